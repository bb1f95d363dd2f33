"""MP4 files whose index comes first, so that a browser plays them while they still load."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

_HOLDERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_BLOCK = 8 << 20
_LARGEST = 0xFFFFFFFF


def index_first(file: IO[bytes]) -> bool:
    """Move the index (``moov``) of a finished MP4 or MOV file before the media, in place.

    ISO/IEC 14496-12 lets the boxes come in any order, but the index names where in the file each
    sample lies: what moves down is counted up there.

    Parameters
    ----------
    file
        Open for reading and writing, in binary.

    Returns
    -------
    bool
        Whether the index comes first now. Not so where the file is no MP4, or where samples would move
        beyond the 4 GiB that its index can express: it is then left as it is.
    """
    file.seek(0, 2)
    boxes = list(_boxes(file, 0, file.tell()))
    starts = {kind: (start, size) for kind, start, size in reversed(boxes)}
    if b"moov" not in starts or b"mdat" not in starts:
        return False
    (moov, length), (media, _) = starts[b"moov"], starts[b"mdat"]
    if moov < media:
        return True
    if boxes[-1][0] != b"moov":
        return False
    file.seek(moov)
    index = bytearray(file.read(length))
    if not _shift(index, 0, length, length):
        return False
    first = next(start for kind, start, _ in boxes if kind != b"ftyp")
    end = moov
    while end > first:  # from the back, because source and target overlap
        start = max(first, end - _BLOCK)
        file.seek(start)
        block = file.read(end - start)
        file.seek(start + length)
        file.write(block)
        end = start
    file.seek(first)
    file.write(index)
    file.flush()
    return True


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, size) of the boxes on the file's top level; ends early where they make no sense."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        elif size == 0:
            size = end - start
        if size < 8 or start + size > end:
            return
        yield kind, start, size
        start += size


def _shift(index: bytearray, start: int, end: int, by: int) -> bool:
    """Count up all sample positions between two places of the index; False where one grows too large."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", index, start)
        if size < 8 or start + size > end:
            return False
        if kind in _HOLDERS:
            if not _shift(index, start + 8, start + size, by):
                return False
        elif kind in (b"stco", b"co64"):
            (count,) = struct.unpack_from(">I", index, start + 12)
            layout = f">{count}{'I' if kind == b'stco' else 'Q'}"
            places = [place + by for place in struct.unpack_from(layout, index, start + 16)]
            if kind == b"stco" and max(places, default=0) > _LARGEST:
                return False
            struct.pack_into(layout, index, start + 16, *places)
        start += size
    return True

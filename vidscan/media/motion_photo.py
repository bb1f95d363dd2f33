"""Photos with a video behind them, as telephones take them: where in the file the video begins.

Makers mark it in different ways (Google and Samsung in XMP, as bytes from the end; Samsung with a trailer;
HEIF files with a ``mpvd`` box): an MP4 file that begins after the picture is what they have in common.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from vidscan.media.sniff import PathLike

_HOLDERS = frozenset({"jpeg", "heif", "avif"})
_BRANDS = (b"mp4", b"iso", b"avc1", b"qt  ", b"3gp", b"MSNV", b"hvc1", b"M4V")
_NEXT_BOXES = frozenset({b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"udta", b"mvex", b"beam"})
_LARGEST_FTYP = 512


def embedded_video(path: PathLike, kind: str) -> int | None:
    """Where the video of a photo of ``kind`` begins, in bytes; None where there is none.

    Raises OSError where the file cannot be read.
    """
    if kind not in _HOLDERS:
        return None
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b"ftyp", 16)
        while at >= 0:
            size = int.from_bytes(data[at - 4 : at], "big")
            if (
                12 <= size <= _LARGEST_FTYP
                and data[at + 4 : at + 8].startswith(_BRANDS)
                and data[at + size : at + size + 4] in _NEXT_BOXES
            ):
                return at - 4
            at = data.find(b"ftyp", at + 4)
    return None

"""A HEIF picture as telephones write it: a grid of HEVC tiles, turned by its own properties."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


def write_grid(
    path: Path, image: NDArray[np.uint8], tile: int, *, turns: int = 0, mirror: bool = False
) -> Path:
    """Write an (H, W, 3) picture whose sides are multiples of ``tile``.

    ``turns`` are anticlockwise quarter turns that a reader is to make (irot), after it mirrored left and
    right (imir).
    """
    rows, columns = image.shape[0] // tile, image.shape[1] // tile
    tiles = [
        _hevc(image[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile])
        for r in range(rows)
        for c in range(columns)
    ]
    primary = len(tiles) + 1
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, image.shape[1], image.shape[0])
    infos = [_full(b"infe", 2, 1, struct.pack(">HH4s", n + 1, 0, b"hvc1") + b"\0") for n in range(len(tiles))]
    infos.append(_full(b"infe", 2, 0, struct.pack(">HH4s", primary, 0, b"grid") + b"\0"))
    properties = _box(
        b"ipco",
        tiles[0][0],
        _full(b"ispe", 0, 0, struct.pack(">II", tile, tile)),
        _full(b"ispe", 0, 0, struct.pack(">II", image.shape[1], image.shape[0])),
        _box(b"imir", b"\1"),
        _box(b"irot", bytes([turns])),
    )
    own = bytes([3, *([0x84] if mirror else []), *([0x85] if turns else [])])
    owners = b"".join(struct.pack(">HB2B", n + 1, 2, 0x81, 2) for n in range(len(tiles)))
    owners += struct.pack(">HB", primary, len(own)) + own
    parts = b"".join(struct.pack(">H", n + 1) for n in range(len(tiles)))
    contents = [data for _, data in tiles] + [grid]

    def meta(at: int) -> bytes:
        places = b""
        for n, content in enumerate(contents):
            places += struct.pack(">HHHHII", n + 1, 0, 0, 1, at, len(content))
            at += len(content)
        return _full(
            b"meta",
            0,
            0,
            _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"pict") + b"\0"),
            _full(b"pitm", 0, 0, struct.pack(">H", primary)),
            _full(b"iloc", 1, 0, b"\x44\0" + struct.pack(">H", len(contents)) + places),
            _full(b"iinf", 0, 0, struct.pack(">H", len(infos)) + b"".join(infos)),
            _full(b"iref", 0, 0, _box(b"dimg", struct.pack(">HH", primary, len(tiles)) + parts)),
            _box(b"iprp", properties, _full(b"ipma", 0, 0, struct.pack(">I", primary) + owners)),
        )

    start = _box(b"ftyp", b"heic" + struct.pack(">I", 0) + b"mif1heic")
    at = len(start) + len(meta(0)) + 8
    path.write_bytes(start + meta(at) + _box(b"mdat", b"".join(contents)))
    return path


def _hevc(image: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """The hvcC box and the sample of one intra picture, out of a HEIF file that holds it alone."""
    from PIL import Image

    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.fromarray(np.ascontiguousarray(image)))
    picture.save(buffer, quality=95)
    data = buffer.getvalue()
    at = data.index(b"hvcC") - 4
    begin = data.index(b"mdat") - 4
    configuration = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    return configuration, data[begin + 8 : begin + int.from_bytes(data[begin : begin + 4], "big")]


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)

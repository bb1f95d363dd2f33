"""One picture (JPEG, PNG, WebP, BMP) as a clip of one frame, through OpenCV."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import CorruptError, TooLargeError, UnreadableError
from vidscan.media.probe import check_size
from vidscan.media.sniff import PathLike, display_name
from vidscan.types import FrameChunk, VideoInfo

_MAX_BYTES = 1 << 29
_STRIP_ROWS = 64
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ORIENTATION = 0x0112
_TURNS = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}
"""Anticlockwise quarter turns that each EXIF orientation asks for, after the mirror."""
_MIRRORED = frozenset({2, 4, 5, 7})


def read_picture(path: PathLike, kind: str, max_pixels: int) -> tuple[VideoInfo, NDArray[np.uint8]]:
    """Read one picture.

    EXIF orientation is obeyed, gray becomes RGB, 16 bits become 8, and transparent pixels are laid
    over white, the way a page shows them.

    Returns
    -------
    info, image
        ``image`` is (H, W, 3) RGB uint8; ``info.rotation`` is 0, whatever EXIF asked for.

    Raises
    ------
    TooLargeError
        More than ``max_pixels`` pixels by its header, or a file of over 512 MB.
    CorruptError
        The picture cannot be decoded.
    UnreadableError
        The file cannot be read any more.
    """
    import cv2

    name = display_name(path)
    data = read_bytes(path)
    try:
        width, height = picture_size(data, kind)
    except (struct.error, IndexError):
        raise CorruptError(f"{name}: the {kind} header is broken") from None
    if kind == "png" and not _chunks_fit(data):
        raise CorruptError(f"{name}: the picture is cut off, or its chunks are broken")
    check_size(name, width, height, max_pixels)
    raw = np.frombuffer(data, np.uint8)
    image: NDArray[Any] | None
    try:
        # Only pictures that can have alpha are asked for it: it would keep 16 bits and gray as well.
        image = _over_white(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)) if kind in ("png", "webp") else None
        if image is None:
            # Which formats it turns upright depends on its version.
            image = cv2.imdecode(raw, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise CorruptError(f"{name}: the {kind} picture cannot be decoded")
    rgb = np.ascontiguousarray(upright(image[..., ::-1], exif_orientation(data)), np.uint8)
    return picture_info(kind, rgb, "opencv"), rgb


def read_bytes(path: PathLike) -> bytes:
    """A picture's file; raises TooLargeError over 512 MB, UnreadableError where it is gone."""
    name = display_name(path)
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise TooLargeError(f"{name}: a picture of over {_MAX_BYTES >> 20} MB")
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from None


def picture_info(kind: str, image: NDArray[np.uint8], decoder: str) -> VideoInfo:
    """What is known of a single picture."""
    height, width = image.shape[:2]
    return VideoInfo(
        container=kind,
        codec=kind,
        width=width,
        height=height,
        fps=None,
        duration_s=None,
        rotation=0,
        has_audio=False,
        decoder=decoder,
    )


def picture_chunks(image: NDArray[np.uint8]) -> Iterator[FrameChunk]:
    """The picture as the only frame of a clip."""
    yield FrameChunk(0, np.zeros(1), image[None])


def exif_orientation(data: bytes) -> int:
    """EXIF's orientation, 1 to 8, of a JPEG, PNG or WebP; 1 where it says nothing."""
    from PIL import Image

    with suppress(Exception), Image.open(io.BytesIO(data)) as picture:
        return int(picture.getexif().get(_ORIENTATION, 1))
    return 1


def upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """An (H, W, ...) picture mirrored and turned as EXIF's ``orientation`` asks for."""
    if orientation in _MIRRORED:
        image = image[:, ::-1]
    return np.rot90(image, _TURNS.get(orientation, 0))


def picture_size(data: bytes, kind: str) -> tuple[int, int]:
    """(width, height) in pixels from the header alone, before EXIF orientation.

    Raises struct.error or IndexError where the header is cut off.
    """
    if kind == "png":
        width, height = struct.unpack_from(">II", data, 16)
    elif kind == "bmp":
        width, height = struct.unpack_from("<ii", data, 18)
    elif kind == "webp":
        width, height = _webp_size(data)
    else:
        width, height = _jpeg_size(data)
    return abs(width), abs(height)


def _webp_size(data: bytes) -> tuple[int, int]:
    form = data[12:16]
    if form == b"VP8X":
        low, mid, wide, low2, mid2, wide2 = struct.unpack_from("<6B", data, 24)
        return 1 + low + (mid << 8) + (wide << 16), 1 + low2 + (mid2 << 8) + (wide2 << 16)
    if form == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _chunks_fit(data: bytes) -> bool:
    """Whether all chunks of a PNG end within it: OpenCV makes room for whatever length one claims."""
    at = 8
    while at < len(data):
        if at + 12 > len(data):
            return False
        (length,) = struct.unpack_from(">I", data, at)
        tag = data[at + 4 : at + 8]
        at += 12 + length
        if tag == b"IEND":
            break
    return at <= len(data)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1  # fill bytes
        marker = data[at + 1]
        if marker in _JPEG_SIZE_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length


def _over_white(image: NDArray[Any] | None) -> NDArray[np.uint8] | None:
    """BGR of a BGRA picture laid over white; None where there is no alpha channel."""
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return None
    full = float(np.iinfo(image.dtype).max)
    laid = np.empty((*image.shape[:2], 3), np.uint8)
    # In strips: the largest picture allowed would take gigabytes as floats.
    for first in range(0, len(image), _STRIP_ROWS):
        strip = image[first : first + _STRIP_ROWS].astype(np.float32)
        alpha = strip[..., 3:] / full
        laid[first : first + _STRIP_ROWS] = np.rint(
            strip[..., :3] * (255.0 / full) * alpha + 255 * (1 - alpha)
        )
    return laid

"""Pictures through Pillow: formats that OpenCV lacks, and files that hold several pictures, as clips.

Animated PNG, WebP and AVIF have the times of their frames. The pages of a TIFF and the pictures of a HEIF
file have none: they follow each other at one per second, those of another size fitted into the first's.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import CorruptError, TooLargeError
from vidscan.media.picture_source import picture_info, read_bytes
from vidscan.media.probe import check_size
from vidscan.media.sniff import PathLike, display_name
from vidscan.types import FrameChunk, Note, VideoInfo

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {
    "tiff": "TIFF",
    "jp2": "JPEG2000",
    "avif": "AVIF",
    "heif": "HEIF",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
}
"""Pillow's name of each kind; only that reader is let near the file."""
_ALWAYS = frozenset({"tiff", "jp2", "avif", "heif"})
_SUBFILE = 254
"""TIFF's tag whose first bit says that a page is another one, smaller."""
_PAGE_S = 1.0
_SHORTEST_S = 0.01
_DEFAULT_S = 0.1
"""What browsers make of a frame that asks for less than the shortest time."""


class Pictures:
    """One or more pictures of a file, decoded as they are asked for.

    Attributes
    ----------
    info : VideoInfo
        ``fps`` and ``duration_s`` are None for a single picture.
    """

    info: VideoInfo

    def __init__(self, name: str, kind: str, data: bytes, max_pixels: int) -> None:
        self._name, self._kind, self._data, self._max_pixels = name, kind, data, max_pixels
        with self._opened() as image:
            self._numbers = self._pages(image)
            first = self._decode(image, self._numbers[0])
        self._size = (first.shape[1], first.shape[0])
        self.info = picture_info(kind, first, "pillow")

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self._numbers) > 1

    def read(self, chunk: int, warn: Callable[[Note], None]) -> Iterator[FrameChunk]:
        """All pictures in order, ``chunk`` at a time (the last chunk may have fewer).

        A picture that cannot be decoded ends the clip with a ``damaged`` note for ``warn``.
        """
        times: list[float] = []
        images: list[NDArray[np.uint8]] = []
        index, time_s = 0, 0.0
        with self._opened() as image:
            for number in self._numbers:
                try:
                    images.append(_fitted(self._decode(image, number), self._size))
                except CorruptError as error:
                    warn(Note("damaged", f"damaged file: {error}"))
                    break
                times.append(time_s)
                time_s += _seconds(image)
                if len(images) == chunk:
                    yield FrameChunk(index, np.array(times), np.stack(images))
                    index += len(images)
                    times, images = [], []
        if images:
            yield FrameChunk(index, np.array(times), np.stack(images))

    def timed(self) -> VideoInfo:
        """:attr:`info` with rate and duration, for which an animation is decoded once."""
        total = 0.0
        with self._opened() as image, suppress(Exception):  # a broken rest is told when it is read
            for number in self._numbers:
                image.seek(number)
                if self._kind not in _ALWAYS or self._kind == "avif":
                    image.load()
                total += _seconds(image)
        return replace(self.info, fps=len(self._numbers) / max(total, _SHORTEST_S), duration_s=total)

    def _pages(self, image: Image) -> list[int]:
        """Numbers of the pictures, without the thumbnails that a TIFF may hold as pages."""
        numbers = list(range(int(getattr(image, "n_frames", 1))))
        if self._kind == "tiff" and len(numbers) > 1:
            full = []
            for number in numbers:
                self._seek(image, number)
                if not int(image.tag_v2.get(_SUBFILE, 0)) & 1:  # type: ignore[attr-defined]
                    full.append(number)
            numbers = full or numbers
        return numbers

    @contextmanager
    def _opened(self) -> Iterator[Image]:
        from PIL import Image, UnidentifiedImageError

        if self._kind == "heif":
            import pillow_heif

            pillow_heif.register_heif_opener(thumbnails=False)
        try:
            # Pillow's own limit warns, and refuses at twice that size: ours comes first.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(self._data), formats=[_FORMATS[self._kind]])
        except Image.DecompressionBombError as error:
            raise TooLargeError(f"{self._name}: {error}") from None
        except (UnidentifiedImageError, KeyError):
            raise CorruptError(f"{self._name}: the {self._kind} picture cannot be decoded") from None
        except Exception as error:  # Pillow's readers raise whatever broke in them
            raise CorruptError(f"{self._name}: the {self._kind} header is broken ({error})") from None
        with image:
            yield image

    def _seek(self, image: Image, number: int) -> None:
        try:
            image.seek(number)
        except Exception as error:
            raise CorruptError(f"{self._name}: picture {number} cannot be decoded ({error})") from None

    def _decode(self, image: Image, number: int) -> NDArray[np.uint8]:
        from PIL import ImageOps

        self._seek(image, number)
        check_size(self._name, *image.size, self._max_pixels)
        try:
            return _rgb(ImageOps.exif_transpose(image))
        except MemoryError:
            raise
        except Exception as error:
            raise CorruptError(f"{self._name}: picture {number} cannot be decoded ({error})") from None


def open_pictures(path: PathLike, kind: str, max_pixels: int) -> Pictures | None:
    """The pictures of a file of ``kind``; None where OpenCV reads it better: one JPEG, PNG, WebP or BMP.

    Raises
    ------
    TooLargeError
        More than ``max_pixels`` pixels in the first, or a file of over 512 MB.
    CorruptError
        The first picture cannot be decoded.
    UnreadableError
        The file cannot be read any more.
    """
    if kind not in _FORMATS:
        return None
    data = read_bytes(path)
    if kind in ("png", "webp") and not _is_animated(data, kind):
        return None
    return Pictures(display_name(path), kind, data, max_pixels)


def is_still_gif(path: PathLike) -> bool:
    """Whether a GIF holds one picture; FFmpeg reads those of several."""
    from PIL import Image

    with suppress(Exception), Image.open(path, formats=["GIF"]) as image:
        try:
            image.seek(1)
        except EOFError:
            return True
    return False


def _is_animated(data: bytes, kind: str) -> bool:
    if kind == "webp":
        return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)
    # The control chunk of an animated PNG comes before its first picture.
    return 0 < data.find(b"acTL", 8, 1 << 16) < data.find(b"IDAT", 8)


def _seconds(image: Image) -> float:
    duration = image.info.get("duration")
    if duration is None:
        return _PAGE_S
    seconds = float(duration) / 1000
    return seconds if seconds >= _SHORTEST_S else _DEFAULT_S


def _rgb(image: Image) -> NDArray[np.uint8]:
    """(H, W, 3): any mode, transparent pixels over white, 16 bits and floats to 8."""
    from PIL import Image as Pillow

    if image.mode.startswith("I"):  # 16 bits of gray, whatever it is called
        grey = np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":  # gray of 0 to 1, or as in 8 or 16 bits
        levels = np.nan_to_num(np.asarray(image), nan=0.0, posinf=0.0, neginf=0.0)
        most = float(levels.max())
        white = next((white for white in (1.0, 255.0, 65535.0) if most <= white), most)
        grey = np.rint(np.clip(255 / white * levels, 0, 255)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if "A" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))


def _fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture within (width, height), its shape kept, the rest black."""
    import cv2

    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas[:high, :wide] = cv2.resize(image, (wide, high), interpolation=how)
    return canvas

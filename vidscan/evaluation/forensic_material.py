"""Pictures and clips whose history is known, for the instruments of the shelf: made from genuine ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.blocks import SIDE, dct, idct, joined, luminance, tiles
from vidscan.training.degrade import jpeg

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Rounding = Callable[[NDArray[np.floating]], NDArray[np.floating]]


def quantization(quality: int) -> list[int]:
    """The 64 steps of libjpeg's luminance table at a quality, row by row."""
    from io import BytesIO

    from PIL import Image

    data = BytesIO()
    Image.new("L", (8, 8)).save(data, "JPEG", quality=quality)
    with Image.open(data) as image:
        return list(image.quantization[0])  # type: ignore[attr-defined]


def saved_pixels(picture: Picture, quality: int, rounding: Rounding) -> Picture:
    """Grey pixels of a picture that was coded with coefficients rounded by ``rounding``."""
    plane = luminance(picture) - 128
    steps = np.array(quantization(quality), np.float32).reshape(SIDE, SIDE)
    made = idct(rounding(dct(tiles(plane)) / steps) * steps)
    grey = np.clip(np.rint(joined(made) + 128), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def save_jpeg(picture: Picture, path: Path, quality: int, rounding: Rounding = np.rint) -> Path:
    """A gray JPEG file whose coefficients were rounded by ``rounding``, such as ``np.floor``.

    The pixels are made from the rounded coefficients and coded with the same table, which keeps each one.
    """
    from PIL import Image

    pixels = saved_pixels(picture, quality, rounding)[..., 0]
    Image.fromarray(pixels).save(path, "JPEG", qtables=[quantization(quality)])
    return path


def resaved(picture: Picture, quality: int) -> Picture:
    """What is left of a picture that was saved as a JPEG."""
    return jpeg(picture, quality, "opencv")


def with_ghost(picture: Picture, quality: int, rest: int) -> tuple[Picture, NDArray[np.bool_]]:
    """A picture saved at ``rest`` whose middle was saved at ``quality`` before, and (H, W) where that is."""
    height, width = (side // 16 * 16 for side in picture.shape[:2])
    rows, columns = slice(height // 48 * 16, height // 24 * 16), slice(width // 48 * 16, width // 24 * 16)
    made = picture.copy()
    made[rows, columns] = resaved(picture, quality)[rows, columns]
    where = np.zeros(picture.shape[:2], np.bool_)
    where[rows, columns] = True
    return resaved(made, rest), where


def middle(picture: Picture) -> tuple[float, float, float, float]:
    """The middle third of a picture as a box (x0, y0, x1, y1)."""
    height, width = picture.shape[:2]
    return width / 3, height / 3, 2 * width / 3, 2 * height / 3


def with_noise(picture: Picture, amount: float = 3.0) -> Picture:
    """A picture whose middle has more noise, of ``amount`` gray levels, than the rest."""
    x0, y0, x1, y1 = map(round, middle(picture))
    noisy = picture.astype(np.float32)
    shape = (y1 - y0, x1 - x0, 1)
    noisy[y0:y1, x0:x1] += np.random.default_rng(0).normal(0, amount, shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def with_enlarged(picture: Picture, factor: float = 1.4) -> Picture:
    """A picture whose middle, half as wide and high, shows its own middle enlarged."""
    height, width = picture.shape[:2]
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    y, x = (large.shape[0] - height // 2) // 2, (large.shape[1] - width // 2) // 2
    made = picture.copy()
    rows, columns = slice(height // 4, height // 4 + height // 2), slice(width // 4, width // 4 + width // 2)
    made[rows, columns] = large[y : y + height // 2, x : x + width // 2]
    return made


def save_clip(
    frames: Sequence[Picture],
    path: Path,
    *,
    fps: int = 25,
    gop: int = 250,
    crf: int = 23,
    interlaced: bool = False,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    """An H.264 clip with a key frame every ``gop`` frames and no others."""
    import av

    height, width = frames[0].shape[0] // 4 * 4, frames[0].shape[1] // 2 * 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        flags = {"flags": "+ildct+ilme", "x264-params": "tff=1"} if interlaced else {}
        stream.codec_context.options = {
            "g": str(gop), "keyint_min": str(gop), "sc_threshold": "0", "crf": str(crf), "threads": "1",
            "preset": "veryfast", **flags, **(options or {}),
        }  # fmt: skip
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def woven(frames: Sequence[Picture]) -> list[Picture]:
    """Interlaced frames: the even lines of one frame with the odd lines of the next, at half the rate."""
    made = []
    for even, odd in zip(frames[::2], frames[1::2], strict=False):
        image = even.copy()
        image[1::2] = odd[1::2]
        made.append(image)
    return made


def deinterlaced(frames: Sequence[Picture]) -> list[Picture]:
    """Interlaced frames whose odd lines are made the mean of the lines about them (line averaging)."""
    made = []
    for image in frames:
        image = image.copy()
        above, below = image[:-2:2].astype(np.uint16), image[2::2].astype(np.uint16)
        image[1 : 1 + 2 * len(above) : 2] = (above + below + 1) // 2
        made.append(image)
    return made


def transposed(picture: Picture) -> Picture:
    """A picture of twice the size, as a transposed convolution of stride 2 and kernel 3 makes it.

    Its kernel overlaps unevenly, as the kernels of trained layers do.
    """
    height, width = picture.shape[:2]
    spread = np.zeros((2 * height, 2 * width, 3), np.float32)
    spread[::2, ::2] = picture
    kernel = np.outer((0.5, 1, 0.5), (0.5, 1, 0.5)).astype(np.float32)
    kernel[1, 1] *= 1.06
    return np.clip(np.rint(cv2.filter2D(spread, -1, kernel)), 0, 255).astype(np.uint8)

"""What happens to a face between the camera and us: size, light, blur, noise, real codecs.

One draw serves both crops of a pair, so that nothing but the forgery tells them apart; a share of
pairs is given two draws, so that pairs are not told by their common draw either.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from vidscan.media.writer import reencode

Image = NDArray[np.uint8]
PILLOW_CHROMA = ("4:4:4", "4:2:2", "4:2:0")


@dataclass(frozen=True, slots=True)
class Degradation:
    """Chances and ranges; the recipe file's ``[degrade]`` table."""

    side: tuple[float, float] = (85.0, 270.0)
    """Side in pixels of the network's field of view before it is resized (log-uniform)."""
    rotation: float = 8.0
    scale: tuple[float, float] = (0.86, 1.18)
    shift: float = 0.05
    light: float = 0.35
    blur: float = 0.2
    blur_sigma: tuple[float, float] = (0.3, 1.6)
    """Standard deviation of the blur in pixels."""
    noise: float = 0.2
    h264: float = 0.45
    h265: float = 0.1
    jpeg: float = 0.45
    crf: tuple[int, int] = (18, 40)
    quality: tuple[int, int] = (30, 100)
    grey: float = 0.04
    again: float = 0.15
    """Chance of a second JPEG after resizing, as re-uploads have it."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the network looks; shared by both crops of a pair and by the mask."""

    to_view: NDArray[np.float64]
    """(2, 3) from store pixels to a view of ``side`` x ``side`` pixels."""
    side: int
    flip: bool


def draw_geometry(rng: np.random.Generator, degradation: Degradation, store: int, view: float) -> Geometry:
    """A random view of a ``store`` x ``store`` crop, of which the network sees the middle ``view`` pixels."""
    low, high = degradation.side
    side = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    scale = rng.uniform(*degradation.scale) * side / view
    middle = (store - 1) / 2
    angle = rng.uniform(-degradation.rotation, degradation.rotation)
    matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), angle, scale), np.float64)
    matrix[:, 2] += (side - 1) / 2 - middle + rng.uniform(-degradation.shift, degradation.shift, 2) * side
    return Geometry(matrix, side, bool(rng.random() < 0.5))


def look(image: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Resample a store crop (or mask) to the view, antialiased."""
    scale = float(np.sqrt(abs(np.linalg.det(geometry.to_view[:, :2]))))
    if scale < 0.95:
        sigma = 0.45 * np.sqrt(1 / scale**2 - 1)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    out = cv2.warpAffine(
        image,
        geometry.to_view,
        (geometry.side, geometry.side),
        flags=cv2.INTER_CUBIC if scale > 0.6 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.ascontiguousarray(out[:, ::-1]) if geometry.flip else out


def degrade(image: Image, rng: np.random.Generator, degradation: Degradation, size: int) -> Image:
    """Light, blur, noise and codecs on a (V, V, 3) view, then resized to ``size``.

    Everything is drawn from ``rng``: two generators of the same state treat two pictures alike.
    """
    d = degradation
    picture: NDArray[Any] = image.astype(np.float32)
    if rng.random() < d.light:
        picture = 255 * (np.clip(picture / 255, 0, 1) ** np.exp(rng.uniform(-0.35, 0.35)))
        picture = (picture - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-25, 25)
        picture = picture * rng.uniform(0.9, 1.1, 3)
    if rng.random() < d.blur:
        picture = blur(picture, rng.uniform(*d.blur_sigma))
    if rng.random() < d.noise:
        picture = picture + rng.normal(0, rng.uniform(0.5, 6), picture.shape)
    if rng.random() < d.grey:
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    out: Image = np.clip(picture, 0, 255).astype(np.uint8)
    draw = rng.random()
    crf = int(rng.integers(d.crf[0], d.crf[1] + 1))
    quality = int(rng.integers(d.quality[0], d.quality[1] + 1))
    frames = int(rng.integers(1, 4))
    step = rng.uniform(-1.5, 1.5, 2)
    coder = draw_coder(rng)
    if draw < d.h264 + d.h265:
        out = _video(out, "libx264" if draw < d.h264 else "libx265", crf, frames, step)
    elif draw < d.h264 + d.h265 + d.jpeg:
        out = jpeg(out, quality, coder)
    kinds = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
    kind = kinds[int(rng.integers(3))] if out.shape[0] > size else kinds[int(rng.integers(2))]
    out = np.asarray(cv2.resize(out, (size, size), interpolation=kind), np.uint8)
    if rng.random() < d.again:
        out = jpeg(out, int(rng.integers(60, 100)), draw_coder(rng))
    return out


def blur(picture: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Gaussian blur of an (H, W, 3) picture; ``sigma`` in pixels may be 0."""
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0 else picture


def draw_coder(rng: np.random.Generator) -> str:
    """A ``coder`` of :func:`jpeg`: OpenCV half of the time, else Pillow with one of its subsamplings."""
    return str(rng.choice(["opencv", "opencv", "opencv", *PILLOW_CHROMA]))


def jpeg(image: Image, quality: int, coder: str) -> Image:
    """An (H, W, 3) RGB picture as JPEG of ``quality`` gives it back.

    ``coder`` is ``opencv`` (chroma at half the resolution) or one of :data:`PILLOW_CHROMA`.
    """
    if coder == "opencv":
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1])
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=coder)
    return np.array(PIL.Image.open(file))


def _video(image: Image, codec: str, crf: int, frames: int, step: NDArray[np.float64]) -> Image:
    """The last of ``frames`` frames under a slow pan, so that predicted frames are seen too."""
    even = [side - side % 2 for side in image.shape[:2]]
    image = image[: even[0], : even[1]]
    clip = [image]
    for i in range(1, frames):
        matrix = np.array([[1, 0, step[0] * i], [0, 1, step[1] * i]])
        size = (image.shape[1], image.shape[0])
        moved = cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
        clip.insert(0, np.asarray(moved, np.uint8))
    return reencode(np.stack(clip), codec=codec, crf=crf, preset="veryfast")[-1]

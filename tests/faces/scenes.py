"""Synthetic frames around the one real face that scikit-image ships."""

from __future__ import annotations

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from vidscan.types import FrameChunk


def astronaut() -> NDArray[np.uint8]:
    """(512, 512, 3) RGB uint8; one face, about 110 px high, around (223, 118)."""
    return np.ascontiguousarray(skimage.data.astronaut())


def other_person() -> NDArray[np.uint8]:
    """The mirrored picture in other colors and proportions: a face, but not that one."""
    image = astronaut()[:, ::-1].astype(np.float32)
    swapped = image[..., [0, 2, 1]] * [0.7, 0.55, 0.45] + [10, 5, 0]
    return np.ascontiguousarray(swapped.clip(0, 255).astype(np.uint8))


def backdrop(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colored texture without a face."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height // 40 + 2, width // 40 + 2, 3))
    return cv2.resize(noise.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def warped(
    image: NDArray[np.uint8], transform: NDArray[np.float64], width: int, height: int
) -> NDArray[np.uint8]:
    return cv2.warpAffine(
        image, transform, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
    )


def pasted(canvas: NDArray[np.uint8], head: NDArray[np.uint8], x: int, y: int) -> NDArray[np.uint8]:
    """``head`` in an oval at (x, y), cut off where it leaves the canvas."""
    out = canvas.copy()
    h, w = head.shape[:2]
    oval = np.zeros((h, w), np.uint8)
    cv2.ellipse(oval, (w // 2, h // 2), (w // 2 - 2, h // 2 - 2), 0, 0, 360, 255, -1)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, out.shape[1]), min(y + h, out.shape[0])
    if x0 < x1 and y0 < y1:
        part = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        region = out[y0:y1, x0:x1]
        region[oval[part] > 0] = head[part][oval[part] > 0]
    return out


def head_of(image: NDArray[np.uint8], mirrored: bool = False) -> NDArray[np.uint8]:
    """(200, 160, 3) head and hair cut out of :func:`astronaut`, or of its mirror image."""
    left = 511 - 303 if mirrored else 143
    return np.ascontiguousarray(image[10:210, left : left + 160])


def chunk(frames: list[NDArray[np.uint8]], first: int = 0, fps: float = 25.0) -> FrameChunk:
    times = (first + np.arange(len(frames))) / fps
    return FrameChunk(first, times.astype(np.float64), np.stack(frames))

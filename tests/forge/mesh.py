"""A made-up face mesh: 478 points that lie as a frontal face's do, near enough for masks and warps."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.forge import mask_shapes
from vidscan.forge.base import Faces

FACE = (0.5, 0.5, 0.27, 0.36)
"""Centre and radii of the face's oval, as shares of the crop's side."""


def _ring(indices: list[int], x: float, y: float, rx: float, ry: float, start: float) -> dict[int, tuple]:
    """``indices`` evenly around an ellipse, clockwise in the picture, from the angle ``start``."""
    count = len(indices)
    angles = [start + 2 * math.pi * i / count for i in range(count)]
    return {i: (x + rx * math.cos(a), y + ry * math.sin(a)) for i, a in zip(indices, angles, strict=True)}


@cache
def _shape() -> NDArray[np.float32]:
    x, y, rx, ry = FACE
    rng = np.random.default_rng(0)
    radius, angle = np.sqrt(rng.uniform(0, 0.9, 478)), rng.uniform(0, 2 * np.pi, 478)
    points = np.stack([x + rx * radius * np.cos(angle), y + ry * radius * np.sin(angle)], 1)
    jaw = [i for i in mask_shapes._INNER if i not in mask_shapes._BROWS]
    placed = {
        i: (x + 0.9 * rx * math.cos(a), y + 0.9 * ry * math.sin(a))
        for i, a in zip(jaw, np.linspace(-0.3, math.pi + 0.3, len(jaw)), strict=True)
    }
    placed |= _ring(mask_shapes._OVAL, x, y, rx, ry, -math.pi / 2)
    placed |= _ring(mask_shapes._LIPS[::-1], x, y + 0.17, 0.09, 0.045, math.pi)
    placed |= _ring(mask_shapes._RIGHT_EYE[::-1], x - 0.11, y - 0.08, 0.05, 0.022, math.pi)
    placed |= _ring(mask_shapes._LEFT_EYE, x + 0.11, y - 0.08, 0.05, 0.022, 0.0)
    placed |= _ring(mask_shapes._NOSE, x, y + 0.02, 0.05, 0.1, -math.pi / 2)
    brows = dict(
        zip(mask_shapes._BROWS, np.r_[np.linspace(-0.18, -0.04, 5), np.linspace(0.04, 0.18, 5)], strict=True)
    )
    placed |= {i: (x + dx, y - 0.14) for i, dx in brows.items()}
    placed |= {1: (x, y + 0.07), 4: (x, y + 0.06), 5: (x, y + 0.03), 13: (x, y + 0.16), 14: (x, y + 0.18)}
    placed |= {50: (x - 0.15, y + 0.07), 117: (x - 0.18, y + 0.0), 205: (x - 0.12, y + 0.1)}
    placed |= {280: (x + 0.15, y + 0.07), 346: (x + 0.18, y + 0.0), 425: (x + 0.12, y + 0.1)}
    for i, at in placed.items():
        points[i] = at
    return points.astype(np.float32)


def fake_mesh(count: int, size: int, seed: int = 0, wander: float = 0.02) -> torch.Tensor:
    """(count, 478, 2) pixels of a ``size`` x ``size`` crop; each face a little elsewhere."""
    rng = np.random.default_rng(seed)
    shift = rng.uniform(-wander, wander, (count, 1, 2))
    stretch = rng.uniform(1 - wander, 1 + wander, (count, 1, 2))
    points = ((_shape()[None] - 0.5) * stretch + 0.5 + shift) * size
    return torch.from_numpy(points.astype(np.float32))


def astronaut_crop(
    size: int, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.uint8]:
    """(size, size, 3) crop of the astronaut's face, which lies where :func:`fake_mesh` has it."""
    import cv2
    from skimage.data import astronaut

    scale = size / 210.0 * zoom
    matrix = np.array([[scale, 0, size / 2 - 222 * scale], [0, scale, size / 2 - 120 * scale]])
    matrix[:, 2] += shift
    crop = cv2.warpAffine(
        astronaut(), matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.ascontiguousarray(crop)


def fake_faces(count: int = 4, size: int = 128, seed: int = 0) -> Faces:
    """A batch of astronauts that differ in place, zoom, light and noise."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        crop = astronaut_crop(size, rng.uniform(0.95, 1.05), tuple(rng.uniform(-3, 3, 2))).astype(np.float32)
        crop = crop * rng.uniform(0.8, 1.1, 3) + rng.normal(0, 2, crop.shape)
        images.append(np.clip(crop, 0, 255))
    stack = np.stack(images).astype(np.float32)
    return Faces(torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous(), fake_mesh(count, size, seed))

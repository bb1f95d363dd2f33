"""Noise of the face against noise of the scene.

One sensor and one encode give a frame one noise, which depends on brightness and texture alone; a face that
came from elsewhere, or out of a generator, brings its own. The level is Immerkaer's, *Fast Noise Variance
Estimation* (CVIU 1996), block by block; that regions disagree tells splices, as in Mahdian & Saic, *Using
Noise Inconsistencies for Blind Image Forensics* (IVC 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.base import Finding, insufficient, looked
from vidscan.forensics.material import Box, Material, SampledFrame, area
from vidscan.forensics.windows import grey

BLOCK = 16
"""Side of a block in pixels."""
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_MIN_BLOCKS = 12
_FLOOR = 0.05
"""Of the noise in gray levels: codecs leave whole blocks without any."""
_FULL = 4.0
"""Deviations of the scene that color the map fully."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Noise of one frame.

    Attributes
    ----------
    map
        (h, w) deviation of every block's log noise from what the scene has at its brightness and texture, in
        the scene's deviations.
    face
        The mean of ``map`` in the face.
    ratio
        Noise of the face over that of the scene at equal brightness and texture.
    area
        Chance that a block of the face is noisier than one of the scene, 0..1.
    """

    map: NDArray[np.float32]
    face: float
    ratio: float
    area: float


def levels(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Log noise (h, w), and what it depends on (h, w, 5), of the blocks of a luminance picture (H, W)."""
    height, width = (side // BLOCK * BLOCK for side in picture.shape)
    picture = picture[:height, :width]
    residual = np.abs(cv2.filter2D(picture, -1, _KERNEL, borderType=cv2.BORDER_REFLECT_101))
    smooth = cv2.GaussianBlur(picture, (0, 0), 2.0)
    texture = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    noise = np.log(_blocks(residual) * (np.sqrt(np.pi / 2) / 6) + _FLOOR)
    t, b = np.log(_blocks(texture) + 1), _blocks(smooth) / 128 - 1
    return noise.astype(np.float32), np.stack([np.ones_like(t), t, t * t, b, b * b], 2).astype(np.float64)


def _blocks(values: NDArray[Any]) -> NDArray[np.float64]:
    h, w = values.shape
    return values.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK).mean((1, 3)).astype(np.float64)


def compare(picture: NDArray[np.float32], faces: tuple[Box, ...]) -> Comparison | None:
    """Compare the largest of ``faces`` with what lies off all of them; None where either is too small."""
    noise, causes = levels(picture)
    inside, outside = np.zeros(noise.shape, bool), np.ones(noise.shape, bool)
    for n, box in enumerate(sorted(faces, key=area, reverse=True)):
        if n == 0:
            inside[_within(box, 0.8)] = True
        outside[_within(box, 1.5)] = False
    if inside.sum() < _MIN_BLOCKS or outside.sum() < 3 * _MIN_BLOCKS:
        return None
    x, y = causes[outside], noise[outside].astype(np.float64)
    keep = np.ones(len(y), bool)
    for _ in range(3):
        weights = np.linalg.lstsq(x[keep], y[keep], rcond=1e-6)[0]
        left = y - x @ weights
        spread = 1.4826 * float(np.median(np.abs(left[keep] - np.median(left[keep])))) + 0.05
        keep = np.abs(left) < 3 * spread
        if keep.sum() < 2 * _MIN_BLOCKS:
            return None
    deviation = noise - causes @ weights
    face = deviation[inside]
    order = (face[:, None] > left[keep]).mean() + 0.5 * (face[:, None] == left[keep]).mean()
    difference = float(np.median(face) - np.median(left[keep]))
    return Comparison(
        (deviation / spread).astype(np.float32),
        float(face.mean() / spread),
        float(np.exp(difference)),
        float(order),
    )


def _over_frame(blocks: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Blocks (h, w) with what the frame (H, W) has beyond them, where it is half a block or more."""
    missing = [(0, max(0, round(side / BLOCK) - own)) for side, own in zip(shape, blocks.shape, strict=True)]
    return np.pad(blocks, missing, mode="edge").astype(np.float32)


def _within(box: Box, scale: float) -> tuple[slice, slice]:
    """Rows and columns of the blocks in a box that is scaled about its middle."""
    spans = []
    for low, high in ((box[1], box[3]), (box[0], box[2])):
        middle, half = (low + high) / 2, (high - low) / 2 * scale
        spans.append(slice(max(0, round((middle - half) / BLOCK)), max(0, round((middle + half) / BLOCK))))
    return spans[0], spans[1]


class NoiseConsistency:
    """Whether the face has the noise of its scene."""

    name = "noise"
    title = "Noise of the face against the scene"
    source = "Mahdian & Saic, Using Noise Inconsistencies for Blind Image Forensics, 2009; Immerkaer 1996"

    def examine(self, material: Material) -> Finding:
        seen = [frame for frame in material.frames if frame.faces]
        if not seen:
            return insufficient(self, "no_face", "No face is known in the frames that were looked at.")
        found: list[tuple[SampledFrame, Comparison]] = []
        for frame in seen:
            if (one := compare(grey(frame.image), frame.faces)) is not None:
                found.append((frame, one))
        if not found:
            return insufficient(self, "too_small", "The face or its scene is too small to measure noise.")
        found.sort(key=lambda pair: pair[1].area)
        frame, middle = found[len(found) // 2]
        ratio = middle.ratio
        than = f"{ratio:.1f} times" if ratio >= 1 else f"{ratio:.0%} of"
        return looked(
            self,
            f"The face has {than} the noise of the scene at like brightness and texture. Focus, make-up, "
            "denoising and a coder that spends more on faces change it too.",
            abs(2 * middle.area - 1),
            map=_over_frame(np.clip(np.abs(middle.map) / _FULL, 0, 1), frame.image.shape[:2]),
            map_time_s=frame.time_s,
        )

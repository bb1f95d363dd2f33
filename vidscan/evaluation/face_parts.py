"""Which part of a face a patch of an aligned crop lies on: by geometry, not by segmentation.

Crops are aligned, so the average face's landmarks tell where brows, eyes, nose and mouth are, to a few
percent of a frontal face. What lies outside the face's outline is told apart by its place alone: above
the brows is called hair or forehead, below the mouth and no wider than the face neck or clothing,
all else background (which holds ears and hair at the sides too).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.faces.align import CropSpec
from vidscan.forge.mask_shapes import REGIONS
from vidscan.forge.template import mean_landmarks
from vidscan.types import CellGrid

FACE_PARTS = (
    "brows",
    "eyes",
    "nose",
    "mouth",
    "chin",
    "skin",
    "hair or forehead",
    "neck or clothing",
    "background",
)
"""Grids of parts hold indices into this."""

_RIGHT_BROW = [70, 63, 105, 66, 107, 55, 65, 52, 53, 46]
_LEFT_BROW = [336, 296, 334, 293, 300, 276, 283, 282, 295, 285]
_FEATURES: tuple[tuple[str, list[int], float], ...] = (
    ("nose", REGIONS["nose"][0], 1.0),
    ("mouth", REGIONS["lips"][0], 1.15),
    ("brows", _RIGHT_BROW, 1.2),
    ("brows", _LEFT_BROW, 1.2),
    ("eyes", REGIONS["right_eye"][0], 1.8),
    ("eyes", REGIONS["left_eye"][0], 1.8),
)
"""Part, face-mesh polygon, and scale about its center: lids belong to the eyes, a little skin to the lips."""
_OUTLINE = REGIONS["hull"][0]
_FINE = 8
"""Samples along a cell's side that tell what covers it."""
_SMALL = FACE_PARTS.index("mouth") + 1
"""Parts before this one are smaller than what they lie on."""


def part_grid(spec: CropSpec, height: int, width: int, grid: CellGrid | None = None) -> NDArray[np.int64]:
    """(height, width) index into :data:`FACE_PARTS` of each cell of a grid over the crop.

    Brows, eyes, nose and mouth get every cell that they cover to a third; else the part that covers most.
    ``grid`` says where the cells belong; without it they cover the crop from edge to edge.
    """
    parts = _pixel_parts(spec)
    rows, columns = (_samples(spec.size, cells, grid) for cells in (height, width))
    inside = parts[rows[:, None, :, None], columns[None, :, None, :]].reshape(height, width, -1)
    covered = np.stack([(inside == part).mean(-1) for part in range(len(FACE_PARTS))], axis=-1)
    small = covered[..., :_SMALL]
    return np.where(small.max(-1) >= 1 / 3, small.argmax(-1), covered.argmax(-1))


def _samples(size: int, cells: int, grid: CellGrid | None) -> NDArray[np.int64]:
    """(cells, n) crop pixels that each cell covers along one side; beyond the crop its border's."""
    stride = size / cells if grid is None else grid.stride
    offset = (stride - 1) / 2 if grid is None else grid.offset
    within = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    places = offset + stride * (np.arange(cells)[:, None] + within)
    return np.clip(np.rint(places), 0, size - 1).astype(int)


def _pixel_parts(spec: CropSpec) -> NDArray[np.int64]:
    """(size, size) the part that each pixel of the crop lies on."""
    points = mean_landmarks(spec)
    hull, mouth = points[_OUTLINE], points[REGIONS["lips"][0]]
    y, x = np.mgrid[: spec.size, : spec.size]
    parts = np.full((spec.size, spec.size), FACE_PARTS.index("background"))
    aside = (x < hull[:, 0].min()) | (x > hull[:, 0].max())
    parts[(y > mouth[:, 1].mean()) & ~aside] = FACE_PARTS.index("neck or clothing")
    parts[y < points[[*_RIGHT_BROW, *_LEFT_BROW], 1].mean()] = FACE_PARTS.index("hair or forehead")
    inside = _filled(hull, spec.size)
    parts[inside] = FACE_PARTS.index("skin")
    parts[inside & (y > mouth[:, 1].max())] = FACE_PARTS.index("chin")
    for name, own, scale in _FEATURES:
        centre = points[own].mean(axis=0)
        parts[_filled(centre + (points[own] - centre) * scale, spec.size)] = FACE_PARTS.index(name)
    return parts


def _filled(polygon: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    canvas = np.zeros((size, size), np.uint8)
    cv2.fillPoly(canvas, [np.rint(polygon).astype(np.int32)], 1)
    return canvas.astype(bool)


def outlines(spec: CropSpec) -> list[NDArray[np.float32]]:
    """Closed lines (n, 2) that draw the average face, in pixels of the crop."""
    points = mean_landmarks(spec)
    lines = [points[_OUTLINE], *(points[own] for _, own, _ in _FEATURES)]
    return [np.concatenate([line, line[:1]]) for line in lines]

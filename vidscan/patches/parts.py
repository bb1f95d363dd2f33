"""Which part of the face a patch looks at, by its place in the aligned crop."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.geometry import TEMPLATE_SIDE, CropSpec

PARTS: dict[str, str] = {
    "brow": "the forehead and brows",
    "eyes": "the eyes",
    "nose": "the nose",
    "mouth": "the mouth",
    "cheeks": "the cheeks",
    "outline": "the outline of the face",
}
"""Names of the parts, and what they are called in a sentence."""

_CENTRE = (55.5, 66.0)
_BOXES = {
    "eyes": (24.0, 41.0, 88.0, 62.0),
    "nose": (45.0, 62.0, 67.0, 82.0),
    "mouth": (37.0, 82.0, 75.0, 105.0),
}
"""x0, y0, x1, y1 in pixels of the canonical face (:data:`vidscan.faces.geometry.TEMPLATE`)."""
_BROW_Y = 41.0
_HALF_WIDTH, _HALF_HEIGHT = 40.0, 52.0
_SKIN, _EDGE = 0.88, 1.2


@lru_cache(maxsize=8)
def boxed_parts(shape: tuple[int, int], spec: CropSpec) -> NDArray[np.int8]:
    """(h, w) index into :data:`PARTS` of each cell of a patch grid over a crop; -1 beside the face.

    Parameters
    ----------
    shape
        (h, w) of the grid.
    spec
        What the crop shows.
    """
    rows, columns = shape
    y = (np.arange(rows)[:, None] + 0.5) / rows * spec.size - 0.5
    x = (np.arange(columns)[None, :] + 0.5) / columns * spec.size - 0.5
    x, y = ((v - (spec.size - 1) / 2) / spec.scale + (TEMPLATE_SIDE - 1) / 2 for v in (x, y))
    radius = np.hypot((x - _CENTRE[0]) / _HALF_WIDTH, (y - _CENTRE[1]) / _HALF_HEIGHT)
    names = list(PARTS)
    grid = np.full(shape, -1, np.int8)
    grid[radius <= _EDGE] = names.index("outline")
    grid[radius <= _SKIN] = names.index("cheeks")
    grid[(radius <= _SKIN) & (y < _BROW_Y)] = names.index("brow")
    for name, (x0, y0, x1, y1) in _BOXES.items():
        grid[(x >= x0) & (x < x1) & (y >= y0) & (y < y1)] = names.index(name)
    return grid


def part_levels(logits: NDArray[np.floating], spec: CropSpec) -> NDArray[np.float32]:
    """(N, 6) mean log-odds over each part of patch grids (N, h, w); parts that no patch covers are NaN."""
    grid = boxed_parts((logits.shape[1], logits.shape[2]), spec)
    found = np.full((len(logits), len(PARTS)), np.nan, np.float32)
    for i in range(len(PARTS)):
        if (grid == i).any():
            found[:, i] = logits[:, grid == i].mean(1)
    return found

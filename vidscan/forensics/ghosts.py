"""JPEG ghosts: a part that was saved before at another quality, found by saving the picture again.

H. Farid, *Exposing Digital Forgeries from JPEG Ghosts*, IEEE TIFS 2009. Saved again at the quality that it
had once, a part changes less than at the qualities beside it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.base import Finding, graded, insufficient, looked, not_applicable
from vidscan.forensics.material import Material

QUALITIES = tuple(range(40, 96, 5))
_BLOCK = 16
_LEAST_BLOCKS = 100
_LEAST_SHARE, _MOST_SHARE = 0.01, 0.4
"""Of the picture that a ghost covers."""
_NONE, _PLAIN = 0.25, 0.6
"""How far a ghost's dip stands apart from the rest of the picture."""


class Ghosts:
    """Looks for a part of the picture that has its least change at a quality where the rest has none."""

    name = "jpeg_ghosts"
    title = "JPEG ghosts"
    source = "H. Farid: Exposing Digital Forgeries from JPEG Ghosts. IEEE TIFS 2009"

    def examine(self, material: Material) -> Finding:
        """Only ghosts on the grid of blocks are found: parts moved by whole blocks, or by chance."""
        if material.kind != "picture":
            return not_applicable(self, "Frames of this clip are not coded as JPEG.")
        image = material.frames[0].image
        if (image.shape[0] // _BLOCK) * (image.shape[1] // _BLOCK) < _LEAST_BLOCKS:
            return insufficient(self, "too_small", "The picture has too few blocks to compare.")
        dips = dip_maps(image)
        best, quality, shown = 0.0, 0, np.zeros_like(dips[0])
        for value, dip in zip(QUALITIES, dips, strict=True):
            strength, where = _apart(dip)
            if strength > best:
                best, quality, shown = strength, value, where
        score = graded(best, _NONE, _PLAIN)
        if score == 0:
            message = "No part of the picture was visibly saved at another quality than the rest."
            return looked(self, message, score)
        message = (
            f"A part (see the map) looks as if it was saved before at about quality {quality}, "
            "and the rest was not. Flat areas can look so too."
        )
        return looked(self, message, score, map=shown)


def dip_maps(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """(h, w) for each of :data:`QUALITIES`: how much less a block changes there than at qualities beside it.

    0 no less; 1 it does not change at all. ``image`` is (H, W, 3) RGB.
    """
    changes = np.stack([cv2.blur(_change(image, quality), (3, 3)) for quality in QUALITIES])
    padded = np.pad(changes, ((1, 1), (0, 0), (0, 0)), mode="reflect")
    beside = np.minimum(padded[:-2], padded[2:])
    # Blocks that change nowhere are flat: they tell nothing.
    textured = changes.max(axis=0) > 4.0
    dips = np.where(textured, 1 - changes / np.maximum(beside, 1e-6), 0)
    return [np.clip(dip, 0, 1).astype(np.float32) for dip in dips]


def _change(image: NDArray[np.uint8], quality: int) -> NDArray[np.float32]:
    """(h, w) mean squared change of each 16 x 16 block where the picture is saved at ``quality``."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    again = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    rows, columns = image.shape[0] // _BLOCK, image.shape[1] // _BLOCK
    difference = np.square(image.astype(np.float32) - again).mean(axis=2)
    cut = difference[: rows * _BLOCK, : columns * _BLOCK]
    return np.asarray(cut.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3)), np.float32)


def _apart(dip: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
    """How far the blocks of one connected part stand above the rest, and the map (h, w) of that part."""
    levels = np.rint(dip * 255).astype(np.uint8)
    _, inside = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.asarray(inside, np.uint8))
    if count < 2:
        return 0.0, np.zeros_like(dip)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    part = labels == largest
    share = part.mean()
    if not _LEAST_SHARE <= share <= _MOST_SHARE:
        return 0.0, np.zeros_like(dip)
    strength = float(np.median(dip[part]) - np.quantile(dip[~part], 0.9))
    return strength, np.where(part, dip, 0).astype(np.float32)

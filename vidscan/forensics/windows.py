"""Square windows at the frame's own resolution: what resampling would erase is still in them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Side in pixels of the windows that the learned instruments look at."""


def grey(window: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) float32 luminance (BT.601), 0..255 and not rounded, of (H, W, 3) RGB."""
    return np.asarray(cv2.cvtColor(window.astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32)


def face_window(
    image: NDArray[np.uint8], box: NDArray[np.floating] | Sequence[float], side: int = SIDE
) -> NDArray[np.uint8] | None:
    """(side, side, 3) about the middle of ``box`` (x0, y0, x1, y1), moved to lie in ``image`` (H, W, 3).

    None where the picture is smaller than the window.
    """
    height, width = image.shape[:2]
    if min(height, width) < side:
        return None
    x, y = (round(float(box[i] + box[i + 2] - side) / 2) for i in (0, 1))
    x, y = min(max(x, 0), width - side), min(max(y, 0), height - side)
    return image[y : y + side, x : x + side]


def scene_window(
    image: NDArray[np.uint8], boxes: Sequence[NDArray[np.floating] | Sequence[float]], side: int = SIDE
) -> NDArray[np.uint8] | None:
    """(side, side, 3) of ``image`` (H, W, 3) that no box touches, the one with most texture.

    None where faces leave no room. Texture is the deviation of the gray levels: flat walls and clipped skies
    have no noise to compare.
    """
    height, width = image.shape[:2]
    best: tuple[float, NDArray[np.uint8]] | None = None
    for y in range(0, height - side + 1, side // 2):
        for x in range(0, width - side + 1, side // 2):
            if any(b[0] < x + side and b[2] > x and b[1] < y + side and b[3] > y for b in boxes):
                continue
            window = image[y : y + side, x : x + side]
            texture = float(window.mean(2).std())
            if best is None or texture > best[0]:
                best = texture, window
    return None if best is None else best[1]

"""Rich-model statistics of noise residuals.

Fridrich & Kodovsky, *Rich Models for Steganalysis of Digital Images* (TIFS 2012), as splicing detectors use
them (Zhou et al., *Learning Rich Features for Image Manipulation Detection*, CVPR 2018): what linear
predictors of a pixel leave over, quantized and cut off, and how often its values stand beside one another.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.windows import grey

_LEVELS = 2
"""Quantised residuals are -2 .. 2."""
KERNELS: dict[str, NDArray[np.float64]] = {
    "first": np.array([[-1.0, 1]]),
    "second": np.array([[1.0, -2, 1]]) / 2,
    "third": np.array([[1.0, -3, 3, -1]]) / 3,
    "square 3": np.array([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4,
    "square 5": np.array(
        [
            [-1.0, 2, -2, 2, -1],
            [2, -6, 8, -6, 2],
            [-2, 8, -12, 8, -2],
            [2, -6, 8, -6, 2],
            [-1, 2, -2, 2, -1],
        ]
    )
    / 12,
}
"""The predictors' residuals, each divided by the weight of the pixel that it predicts."""


def features(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 625) shares of three neighbors' residuals, by kernel, of (N, S, S, 3) RGB windows.

    Kernels that point along rows are turned to columns as well, and both counted together.
    """
    return np.stack([_features(window) for window in windows])


def _features(window: NDArray[np.uint8]) -> NDArray[np.float32]:
    picture = grey(window)
    found = []
    for kernel in KERNELS.values():
        counts = np.zeros((2 * _LEVELS + 1) ** 3)
        for view in (picture, np.ascontiguousarray(picture.T)):
            counts += neighbours(quantised(cv2.filter2D(view, -1, kernel)[3:-3, 3:-3], _LEVELS), _LEVELS, 3)
        found.append(counts / counts.sum())
    return np.concatenate(found).astype(np.float32)


def quantised(residual: NDArray[Any], levels: int, step: float = 1.0) -> NDArray[np.int64]:
    """A residual in steps of ``step`` gray levels, cut off at ``levels`` steps either way."""
    return np.clip(np.rint(residual / step), -levels, levels).astype(np.int64)


def neighbours(values: NDArray[np.int64], levels: int, count: int) -> NDArray[np.float64]:
    """((2 ``levels`` + 1) ** ``count``,) how often ``count`` neighbors in a row have which values.

    ``values`` (h, w) are -``levels`` .. ``levels``.
    """
    base = 2 * levels + 1
    width = values.shape[1] - count + 1
    code = np.zeros((values.shape[0], width), np.int64)
    for offset in range(count):
        code = code * base + values[:, offset : offset + width] + levels
    return np.bincount(code.ravel(), minlength=base**count).astype(np.float64)

"""Co-occurrence of one noise residual.

Cozzolino, Gragnaniello & Verdoliva, *Image Forgery Detection through Residual-based Local Descriptors and
Block-matching* (ICIP 2014); Cozzolino, Poggi & Verdoliva, *Recasting Residual-based Local Descriptors as
Convolutional Neural Networks* (IH&MMSec 2017).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.srm import neighbours, quantised
from vidscan.forensics.windows import grey

_KERNEL = np.array([[1, -3, 3, -1]], np.float32)
_LEVELS, _COUNT, _STEP = 1, 4, 2.0


def features(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 162) square roots of the shares of four neighbors' third-order residuals, of (N, S, S, 3) windows.

    Neighbors along the derivative, then across it; rows and columns are counted together. Roots bring the
    rare patterns up to the frequent ones.
    """
    return np.stack([_features(window) for window in windows])


def _features(window: NDArray[np.uint8]) -> NDArray[np.float32]:
    picture = grey(window)
    along, across = np.zeros((2, (2 * _LEVELS + 1) ** _COUNT))
    for view in (picture, np.ascontiguousarray(picture.T)):
        values = quantised(cv2.filter2D(view, -1, _KERNEL)[3:-3, 3:-3], _LEVELS, _STEP)
        along += neighbours(values, _LEVELS, _COUNT)
        across += neighbours(values.T, _LEVELS, _COUNT)
    return np.sqrt(np.r_[along / along.sum(), across / across.sum()]).astype(np.float32)

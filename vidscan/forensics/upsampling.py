"""The spectrum that up-sampling leaves.

Zhang, Karaman & Chang, *Detecting and Simulating Artifacts in GAN Fake Images* (WIFS 2019): decoders enlarge
feature maps, which repeats the spectrum; a classifier of log spectra needs no generator's pictures to learn
that, only a simulation of the enlarging (:mod:`vidscan.forge.autogan`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.windows import grey

_POOL = 4


def features(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, (S / 4) ** 2 / 2) log magnitudes of the spectrum, its mean taken off, of (N, S, S, 3) RGB windows.

    The window is high-passed and faded out towards its edges first; 4 x 4 frequencies are pooled by their
    maximum, so that a peak remains one. S is a multiple of 8.
    """
    side = windows.shape[1]
    fade = np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)
    found = []
    for window in windows:
        picture = grey(window)
        residual = picture - cv2.medianBlur(picture, 3)
        level = np.log(np.abs(np.fft.fftshift(np.fft.fft2(residual * fade)))[: side // 2] + 1)
        pooled = level.reshape(side // 2 // _POOL, _POOL, side // _POOL, _POOL).max((1, 3))
        found.append((pooled - pooled.mean()).ravel())
    return np.stack(found).astype(np.float32)

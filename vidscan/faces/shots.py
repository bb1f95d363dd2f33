"""Shot cuts, found frame by frame with no look at the future."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Change = Literal["none", "doubtful", "cut"]

_THUMB = (32, 18)
_SAME_PICTURE = 0.6
"""Correlation of thumbnails below which the composition has changed."""
_SAME_COLOURS = 0.6
"""Overlap of color histograms (0..1) below which the scene has changed."""
_FLAT = 6.0
"""Standard deviation in gray levels under which a frame (white flash, black fade) says nothing."""


class CutDetector:
    """Compares each frame with the last one that showed something.

    A cut changes both the composition (correlation of small gray thumbnails, blind to
    brightness and contrast) and the colors (histogram). A fast pan changes the first only, a
    cut between two cameras in the same room possibly too: that is reported as doubtful, and
    it takes a look at the faces to tell. Flat frames are skipped, so that neither a white flash
    nor its end counts as a cut.
    """

    def __init__(self) -> None:
        self._last: tuple[NDArray[np.float32], NDArray[np.uint8]] | None = None

    def update(self, image: NDArray[np.uint8]) -> Change:
        """How (H, W, 3) RGB uint8, best a scaled-down frame, follows on the one before."""
        small = cv2.resize(image, _THUMB, interpolation=cv2.INTER_AREA)
        grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (3, 3), 0)
        deviation = float(grey.std())
        if deviation < _FLAT:
            return "none"
        thumb = np.asarray((grey - grey.mean()) / deviation, np.float32)
        last, self._last = self._last, (thumb, image)
        if last is None or float((thumb * last[0]).mean()) >= _SAME_PICTURE:
            return "none"
        shared = np.minimum(_histogram(image), _histogram(last[1])).sum()
        return "doubtful" if float(shared) >= _SAME_COLOURS else "cut"


def _histogram(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(512,) shares of 8 x 8 x 8 colors, blurred so that a shade lighter is no other color."""
    counts = np.asarray(cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3), np.float32)
    for axis in range(3):
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        counts = np.stack([padded.take(range(k, k + 8), axis=axis) for k in range(3)]).mean(axis=0)
    return np.asarray(counts / counts.sum(), np.float32).ravel()

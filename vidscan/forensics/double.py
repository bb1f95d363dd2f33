"""Double compression: histograms of DCT coefficients that were quantized twice have periodic gaps and peaks.

A. C. Popescu and H. Farid, *Statistical Tools for Digital Forensics*, IH 2004; for pixels that were a JPEG
once: Z. Fan and R. L. de Queiroz, *Identification of Bitmap Compression History*, IEEE TIP 2003.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from vidscan.forensics.base import Finding, graded, insufficient, looked, not_applicable
from vidscan.forensics.blocks import Coefficients, coefficients
from vidscan.forensics.material import Material

_LOW = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3), (3, 0))
"""Frequencies that are looked at: those with many levels."""
_REACH = 60
"""Levels from 1 on, of either sign, that are counted."""
_STEPS = range(2, 41)
"""First steps that are tried."""
_NOISE = 0.35
"""Standard deviation of a coefficient between the compressions: its pixels were rounded."""
_FLOOR = 0.05
"""Share of the usual count that an empty level still has, since no model is perfect."""
_LEAST = 300
"""Coefficients other than 0 that a frequency must have."""
_LEAST_BLOCKS = 400
_NONE, _PLAIN = 0.07, 0.25
"""Nats a coefficient that a first step explains: what chance reaches, and what leaves no doubt."""


class DoubleCompression:
    """Looks for the period that a first quantization leaves in the histogram of each low frequency."""

    name = "double_compression"
    title = "Double JPEG compression"
    source = "A. C. Popescu, H. Farid: Statistical Tools for Digital Forensics. IH 2004"

    def examine(self, material: Material) -> Finding:
        """Pictures only: frames of a clip were quantized by another transform."""
        if material.kind != "picture" and material.info.codec != "mjpeg":
            return not_applicable(self, "Frames of this clip are not coded as JPEG.")
        found = coefficients(material)
        if found.levels.shape[0] * found.levels.shape[1] < _LEAST_BLOCKS:
            return insufficient(self, "too_small", "The picture has too few 8 x 8 blocks to tell.")
        gains = [gain for gain in (_best(found, *at) for at in _LOW) if gain is not None]
        if len(gains) < 3:
            return insufficient(
                self, "too_coarse", "It is compressed so strongly, or so flat, that no period could show."
            )
        score = graded(float(np.mean(gains)), _NONE, _PLAIN)
        return looked(self, self._said(score, found), score)

    def _said(self, score: float, found: Coefficients) -> str:
        was_jpeg = (found.steps > 1).any()
        if score == 0:
            return (
                "Compressed once at most, as far as this picture shows."
                if was_jpeg
                else "Never a JPEG before."
            )
        if was_jpeg:
            return (
                "It was compressed before, with other settings, and saved again: so are most pictures that "
                "were edited, and all that a platform re-encoded."
            )
        return "These pixels were a JPEG once, and were decoded and saved again."


def _best(found: Coefficients, row: int, column: int) -> float | None:
    """Nats a coefficient that the best first step gains; None where there are too few coefficients."""
    levels = np.abs(found.levels[:, :, row, column].ravel())
    counts = np.bincount(np.minimum(levels, _REACH + 1), minlength=_REACH + 2)[1:-1].astype(np.float64)
    if counts.sum() < _LEAST:
        return None
    step = int(found.steps[row, column])
    return max(gain(counts, first, step) for first in _STEPS)


def gain(counts: NDArray[np.float64], first: int, step: int) -> float:
    """Nats a coefficient by which a first quantization explains a histogram better than none does.

    Parameters
    ----------
    counts
        (N,) coefficients at levels 1 to N, of either sign.
    first
        Step of the first quantization.
    step
        Step of the second: a level is so much.
    """
    # A running mean over whole periods of the first quantization is the course without it.
    width = max(3, 2 * round(first / step) + 1)
    edge = np.pad(counts, (width // 2, width // 2), mode="reflect")
    course = np.maximum(np.convolve(edge, np.ones(width) / width, mode="valid"), 1e-3)
    expected = course * np.maximum(_pattern(len(counts), first, step), _FLOOR)
    expected *= counts.sum() / expected.sum()
    plain = course * counts.sum() / course.sum()
    return float((counts * np.log(expected / plain)).sum() / counts.sum())


@functools.cache
def _pattern(levels: int, first: int, step: int) -> NDArray[np.float64]:
    """(levels,) times the usual count that levels 1, 2 ... get where multiples of ``first`` fall there."""
    edges = (np.arange(levels + 1) + 0.5) * step
    multiples = np.arange(int(edges[-1] / first) + 2) * first
    below = ndtr((edges[:, None] - multiples[None]) / _NOISE).sum(axis=1)
    return np.diff(below) * first / step

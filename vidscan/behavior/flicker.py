"""Whether the face's own structure trembles more than that of its surroundings, from frame to frame.

Light, focus and the encoder change face and surroundings together. A generator that draws each frame anew
changes the face alone: second differences over a fifteenth of a second, face against ring.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.material import enough
from vidscan.faces.texture import BANDS, CHANNELS
from vidscan.types import FaceSeries

STEP_S = 1 / 15
"""Seconds between the rows that are compared; finer frame rates are thinned to about this."""

_BAND_NAMES = ("fine", "middle", "coarse")
_FLOOR = 1e-3
_FEWEST = 20

FEATURES: dict[str, str] = {
    f"flicker_{channel}_{band}": f"log ratio, trembling of {band} {channel} structure, face to surroundings"
    for channel in CHANNELS
    for band in _BAND_NAMES
} | {
    f"level_{channel}_{band}": f"log, strength of {band} {channel} structure in the face"
    for channel in CHANNELS
    for band in _BAND_NAMES
}


def describe(series: FaceSeries) -> dict[str, float] | None:
    """:data:`FEATURES` of a series that is already cut to a window; None where too little of it was seen."""
    if not enough(series):
        return None
    step = max(1, round(STEP_S / max(float(np.median(np.diff(series.times))), 1e-3)))
    levels = np.asarray(series.texture, np.float64)
    if len(levels) < 2 * step + _FEWEST:
        return None
    bend = np.abs(levels[2 * step :] - 2 * levels[step:-step] + levels[: -2 * step])
    known = np.isfinite(bend).all(axis=(1, 2, 3))
    if known.sum() < _FEWEST:
        return None
    trembling = np.log(np.median(bend[known], axis=0) + _FLOOR)
    strength = np.nanmedian(levels[..., 0], axis=0)
    return {
        **_named("flicker", trembling[..., 0] - trembling[..., 1]),
        **_named("level", strength),
    }


def _named(prefix: str, values: NDArray[np.float64]) -> dict[str, float]:
    return {
        f"{prefix}_{channel}_{_BAND_NAMES[band]}": float(values[c, band])
        for c, channel in enumerate(CHANNELS)
        for band in range(BANDS)
    }

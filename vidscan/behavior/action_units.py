"""The twenty signals of a moving face, and what its action units say over a window.

The signals are those from which Agarwal, Farid, Gu, He, Nagano & Li, *Protecting World Leaders Against Deep
Fakes* (CVPR Workshops 2019) learn how one person moves: sixteen action units, two angles of the head and two
distances of the mouth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.material import block_means, enough, inter_ocular
from vidscan.faces.units import UNITS
from vidscan.types import FaceSeries

SIGNAL_UNITS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
"""Action units among the signals: all of :data:`vidscan.faces.units.UNITS` but the blink."""

MOVEMENTS: tuple[str, ...] = (
    *(f"AU{unit:02d}" for unit in SIGNAL_UNITS),
    "head_pitch",
    "head_roll",
    "mouth_width",
    "lip_height",
)
"""Names of the signals. Units are intensities 0..5, angles degrees as in ``FaceSeries.rotation``, lengths
inter-ocular distances."""

_COLUMNS = [UNITS.index(unit) for unit in SIGNAL_UNITS]
_PITCH, _ROLL = 0, 2
_MOUTH_CORNERS = (48, 54)
_INNER_LIPS = (62, 66)

GROUPS: dict[str, tuple[int, ...]] = {
    "brow": (1, 2, 4),
    "lids": (5, 6, 7),
    "nose": (9, 10),
    "lips": (12, 14, 15, 17, 20, 23),
    "mouth": (25, 26),
}
"""Action units that move together, or are hard to tell apart within seconds."""

_BLOCK_S = 0.2
"""Activity is measured between averages of so many seconds: from frame to frame it would be noise, and grow
with the frame rate."""

FEATURES: dict[str, str] = {
    f"units_{group}_{name}": text.format(", ".join(map(str, units)))
    for group, units in GROUPS.items()
    for name, text in {
        "mean": "intensity 0..5, mean over time of units {}",
        "spread": "intensity, standard deviation over time, mean of units {}",
        "activity": "intensity a second, mean absolute change of units {}",
    }.items()
} | {
    "units_mouth_width_spread": "inter-ocular distances, standard deviation of the mouth's width",
    "units_lip_height_spread": "inter-ocular distances, standard deviation of the lips' opening",
}
"""Unit and meaning of what :func:`describe` gives."""


def signals(series: FaceSeries) -> NDArray[np.float64]:
    """The twenty :data:`MOVEMENTS` over time.

    Mouth width is the three-dimensional distance of the mouth's corners (iBUG 49, 55), lip height that of the
    inner lips' middles (63, 67), either divided by that of the outer eye corners (37, 46) in the same frame:
    the size of the face does not matter.

    Returns
    -------
    (T, 20) float64; rows in which the face was lost are NaN.
    """
    points = np.asarray(series.landmarks, np.float64)
    rotation = np.asarray(series.rotation, np.float64)
    lengths = [np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in (_MOUTH_CORNERS, _INNER_LIPS)]
    eyes = inter_ocular(points)
    unit = np.where(eyes > 0, eyes, np.nan)
    return np.column_stack(
        [
            np.asarray(series.units, np.float64)[:, _COLUMNS],
            rotation[:, [_PITCH, _ROLL]],
            *(length / unit for length in lengths),
        ]
    )


def describe(series: FaceSeries) -> dict[str, float] | None:
    """:data:`FEATURES` of a series that is already cut to a window.

    Returns
    -------
    Finite values; None where the window is insufficient (:func:`vidscan.behavior.material.enough`: under 4 s
    seen, more than half lost, or a still picture).
    """
    values = signals(series)
    known = np.asarray(np.isfinite(values).all(axis=1), bool)
    if not enough(series, known):
        return None
    mean, spread = values[known].mean(axis=0), values[known].std(axis=0)
    activity = _activity(block_means(series.times, values, _BLOCK_S))
    found: dict[str, float] = {}
    for group, units in GROUPS.items():
        columns = [SIGNAL_UNITS.index(unit) for unit in units]
        for name, what in (("mean", mean), ("spread", spread), ("activity", activity)):
            found[f"units_{group}_{name}"] = float(what[columns].mean())
    for name in ("mouth_width", "lip_height"):
        found[f"units_{name}_spread"] = float(spread[MOVEMENTS.index(name)])
    return found


def _activity(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C,) mean absolute change a second between neighboring blocks (B, 1 + C) that were both seen; 0 where
    there are none."""
    steps = np.diff(blocks, axis=0)
    steps = steps[np.isfinite(steps).all(axis=1)]
    if not len(steps):
        return np.zeros(blocks.shape[1] - 1)
    return np.asarray(np.abs(steps[:, 1:] / steps[:, :1]).mean(axis=0))

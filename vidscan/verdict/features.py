"""The evidence vector: what a window of a track says, in named and grouped numbers.

A track is judged window by window (10 s, half overlapping; whole where it is shorter). A group without enough
material (:mod:`vidscan.verdict.groups`) is marked invalid, which is neutral and never evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.spans import spans
from vidscan.types import BehaviorWindow, FaceEvidence, Track
from vidscan.verdict.groups import COLUMNS, GROUPS
from vidscan.verdict.standardiser import Column


@dataclass(frozen=True, slots=True)
class Evidence:
    """One window of one track.

    Attributes
    ----------
    values
        (d,) float64 in the order of the columns asked for; NaN where a feature is missing.
    valid
        (d,) bool.
    measured
        Everything that was measured, by group.
    """

    track_id: int
    start_s: float
    end_s: float
    values: NDArray[np.float64]
    valid: NDArray[np.bool_]
    measured: dict[str, dict[str, float]]


def evidence(track: Track, columns: Sequence[Column] = COLUMNS) -> list[Evidence]:
    """The windows of a track that hold an analyzed face, in time order; at least one where it has any.

    ``columns`` (d,) are what the vector holds.
    """
    windows = track.behavior or tuple(
        BehaviorWindow(start, end, {}) for start, end in spans(track.start_s, track.end_s)
    )
    found = []
    for window in windows:
        if faces := [f for f in track.faces if window.start_s <= f.time_s <= window.end_s]:
            found.append(_vector(track.track_id, window, faces, columns))
    if not found and track.faces:
        # Seldom classified: all crops may lie in the short rest beyond the last window.
        found.append(_vector(track.track_id, windows[-1], list(track.faces), columns))
    return found


def _vector(
    track_id: int, window: BehaviorWindow, faces: list[FaceEvidence], columns: Sequence[Column]
) -> Evidence:
    groups = {**window.values, **{g.name: g.measure(faces) for g in GROUPS.values() if g.measure}}
    measured = {name: values for name, values in groups.items() if values is not None}
    known = {name: value for values in measured.values() for name, value in values.items()}
    for group in GROUPS.values():
        if own := measured.get(group.name):
            known |= {name: derived.make(own) for name, derived in group.derived.items()}
    values = np.array([known.get(column.name, np.nan) for column in columns])
    return Evidence(track_id, window.start_s, window.end_s, values, np.isfinite(values), measured)


def feature_list() -> list[dict[str, str | None]]:
    """Every feature with its group, its unit and meaning, and which values count as suspicious (or none)."""
    sides = {"one": "high", "low": "low", "both": "high or low"}
    return [
        {
            "group": group.name,
            "name": name,
            "meaning": text,
            "suspicious": sides[group.judged[name]] if name in group.judged else None,
        }
        for group in GROUPS.values()
        for name, text in {**group.features, **{n: d.meaning for n, d in group.derived.items()}}.items()
    ]

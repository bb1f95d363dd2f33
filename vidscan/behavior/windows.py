"""The behavior of a track, window by window, measured while the clip streams by.

Series of an hour-long clip would not fit into memory, so only the rows that a coming window needs are
kept, unless the whole series is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from vidscan.behavior import action_units, blink, correlation, flicker, gaze, head_pose
from vidscan.behavior.material import long_enough, still
from vidscan.behavior.series import cut, seen_seconds
from vidscan.behavior.spans import HOP_S, WINDOW_S, spans, whole
from vidscan.faces.landmarks import FaceReadings, SeriesBuilder
from vidscan.types import BehaviorWindow, EyeRule, Face, FaceSeries

Describe = Callable[[FaceSeries], dict[str, float] | None]

DESCRIBERS: dict[str, Describe] = {
    "flicker": flicker.describe,
    "blink": blink.describe,
    "head_pose": head_pose.describe,
    "gaze": gaze.describe,
    "action_units": action_units.describe,
    "correlation": correlation.describe,
}
"""What measures a window, by group of evidence (:mod:`vidscan.verdict.groups`)."""


def describers(blink_rule: EyeRule) -> dict[str, Describe]:
    """:data:`DESCRIBERS`, with blinks found by ``blink_rule``."""
    return DESCRIBERS | {"blink": partial(blink.describe, rule=blink_rule)}


def describe_window(
    series: FaceSeries, start_s: float, end_s: float, blink_rule: EyeRule = "network"
) -> BehaviorWindow:
    """Every group of one stretch of a series; None for a group that has too little material.

    Blinks are found by ``blink_rule`` (:func:`vidscan.behavior.eye_closure.closure`).
    """
    part = cut(series, start_s, np.nextafter(end_s, np.inf))
    found = {name: describe(part) for name, describe in describers(blink_rule).items()}
    nothing = not any(found.values()) and long_enough(part, seen_seconds(part))
    return BehaviorWindow(start_s, end_s, found, still=nothing and still(part))


@dataclass(slots=True)
class _Open:
    builder: SeriesBuilder = field(default_factory=SeriesBuilder)
    start_s: float = 0.0
    done: list[BehaviorWindow] = field(default_factory=list)
    latest_s: float = 0.0

    def following(self) -> tuple[float, float]:
        return whole(self.start_s, len(self.done))


class BehaviorCollector:
    """Takes readings chunk by chunk and gives the windows, and on request the series, of every track.

    Parameters
    ----------
    keep
        Keep the whole series of every track.
    blink_rule
        How blinks are found (:func:`describe_window`).
    """

    def __init__(self, *, keep: bool = False, blink_rule: EyeRule = "network") -> None:
        self._keep, self._blink_rule = keep, blink_rule
        self._tracks: dict[int, _Open] = {}

    def add(self, faces: list[Face], readings: FaceReadings) -> None:
        """Rows of one chunk, in time order within each track."""
        for track_id, rows in _by_track(faces).items():
            track = self._tracks.get(track_id)
            if track is None:
                track = self._tracks[track_id] = _Open(start_s=faces[rows[0]].time_s)
            track.builder.add([faces[i] for i in rows], readings.rows(rows))
            track.latest_s = faces[rows[-1]].time_s
            # A row beyond the end tells that the window is whole.
            while track.latest_s > track.following()[1]:
                series = track.builder.series(track_id)
                track.done.append(self._describe(series, *track.following()))
            if not self._keep:
                # The last window of the track may reach back ten seconds from any coming row.
                track.builder.forget_before(track.latest_s - WINDOW_S - HOP_S)

    def windows(self) -> dict[int, tuple[BehaviorWindow, ...]]:
        """Of every track its windows (:func:`spans`), the last ones included."""
        found = {}
        for track_id, track in self._tracks.items():
            series = track.builder.series(track_id)
            rest = spans(track.start_s, track.latest_s)[len(track.done) :]
            found[track_id] = (*track.done, *(self._describe(series, a, b) for a, b in rest))
        return found

    def _describe(self, series: FaceSeries, start_s: float, end_s: float) -> BehaviorWindow:
        return describe_window(series, start_s, end_s, self._blink_rule)

    def series(self) -> list[FaceSeries]:
        """Of every track its series; only what is still held where not all was kept."""
        return [track.builder.series(track_id) for track_id, track in sorted(self._tracks.items())]


def _by_track(faces: Iterable[Face]) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for i, face in enumerate(faces):
        rows.setdefault(face.track_id, []).append(i)
    return rows

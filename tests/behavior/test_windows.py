"""Windows of a track: where they lie, and that streaming measures what the whole series would give."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behavior.blinking import disagreeing
from tests.behavior.moving_face import nodding
from vidscan.behavior import blink
from vidscan.behavior.eye_closure import RULES
from vidscan.behavior.series import cut
from vidscan.behavior.spans import HOP_S, WINDOW_S, spans
from vidscan.behavior.windows import DESCRIBERS, BehaviorCollector, describe_window
from vidscan.faces.landmarks import FaceReadings
from vidscan.types import BehaviorWindow, EyeRule, Face, FaceSeries
from vidscan.verdict.groups import GROUPS


def rows_of(series: FaceSeries, rows: slice | list[int]) -> tuple[list[Face], FaceReadings]:
    """What the landmark stage hands over for some rows of a series."""
    box, points = np.array([0, 0, 9, 9], np.float32), np.zeros((5, 2), np.float32)
    faces = [
        Face(int(frame), float(time_s), series.track_id, box, points, 1.0, True)
        for frame, time_s in zip(series.frames[rows], series.times[rows], strict=True)
    ]
    return faces, FaceReadings(**{f.name: getattr(series, f.name)[rows] for f in fields(FaceReadings)})


def collect(series: FaceSeries, chunk: int, *, keep: bool = False) -> BehaviorCollector:
    collector = BehaviorCollector(keep=keep)
    for first in range(0, len(series.times), chunk):
        collector.add(*rows_of(series, slice(first, first + chunk)))
    return collector


def whole(series: FaceSeries) -> tuple[BehaviorWindow, ...]:
    ends = spans(float(series.times[0]), float(series.times[-1]))
    return tuple(describe_window(series, a, b) for a, b in ends)


@given(st.floats(0, 1e4), st.floats(0.0, 200.0))
def test_windows_cover_a_track_from_its_start_to_its_end(start_s: float, seconds: float) -> None:
    end_s = start_s + seconds
    found = spans(start_s, end_s)
    assert found[0][0] == start_s
    assert all(a <= b <= end_s for a, b in found)
    assert end_s - found[-1][1] <= 1.0
    for (a, b), (c, d) in itertools.pairwise(found):
        assert a < c <= a + HOP_S + 1e-6
        assert b < d
    if len(found) > 1:
        assert [b - a for a, b in found] == pytest.approx([WINDOW_S] * len(found))


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [(0.0, [0.0]), (7.0, [7.0]), (10.5, [10.0]), (12.0, [10.0, 12.0]), (23.0, [10.0, 15.0, 20.0, 23.0])],
)
def test_the_last_window_ends_with_the_track(seconds: float, ends: list[float]) -> None:
    assert [b for _, b in spans(0.0, seconds)] == ends


@pytest.mark.parametrize("chunk", [7, 1000])
@pytest.mark.parametrize("start_s", [0.0, 0.1, 3.04])
def test_streamed_windows_are_those_of_the_whole_series(chunk: int, start_s: float) -> None:
    series = nodding(23.0, 20.0, seed=3)
    series.times[:] = start_s + np.arange(len(series.times)) / 20.0
    found = collect(series, chunk).windows()
    assert found == {0: whole(series)}
    assert len(found[0]) == 4
    assert set(found[0][0].values) == set(DESCRIBERS)
    for window in found[0]:
        for group, values in window.values.items():
            assert values is not None, group
            assert set(values) == set(GROUPS[group].features)
            assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("rule", RULES)
def test_blinks_are_found_by_the_asked_rule(rule: EyeRule) -> None:
    series = disagreeing(300)
    collector = BehaviorCollector(blink_rule=rule)
    collector.add(*rows_of(series, slice(None)))
    (windows,) = collector.windows().values()
    for window in windows:
        part = cut(series, window.start_s, np.nextafter(window.end_s, np.inf))
        assert window.values["blink"] == blink.describe(part, rule=rule)
    by_default = collect(series, 50).windows()[0]
    assert (by_default == windows) == (rule == "network")


def test_a_long_pause_costs_no_row_of_the_window_before_it() -> None:
    series = nodding(14.0, 20.0, seed=5)
    late = series.times > 12.0
    series.times[late] += 30.0
    assert collect(series, 10).windows() == {0: whole(series)}


def test_tracks_are_kept_apart() -> None:
    one, two = nodding(6.0, 20.0, seed=1), nodding(6.0, 20.0, seed=2, track_id=1)
    collector = BehaviorCollector()
    for i in range(len(one.times)):
        (a, left), (b, right) = rows_of(one, [i]), rows_of(two, [i])
        both = {f.name: np.concatenate([getattr(r, f.name) for r in (left, right)]) for f in fields(left)}
        collector.add(a + b, FaceReadings(**both))
    assert collector.windows() == {0: whole(one), 1: whole(two)}


def test_memory_forgets_rows_unless_all_are_asked_for() -> None:
    series = nodding(60.0, 10.0, seed=4)
    (held,) = collect(series, 10).series()
    assert WINDOW_S <= held.times[-1] - held.times[0] <= WINDOW_S + 2 * HOP_S
    (kept,) = collect(series, 10, keep=True).series()
    np.testing.assert_array_equal(kept.times, series.times)
    np.testing.assert_array_equal(kept.landmarks, series.landmarks)
    assert collect(series, 10, keep=True).windows() == collect(series, 10).windows()


def test_too_short_a_track_has_a_window_that_says_nothing() -> None:
    (window,) = collect(nodding(0.5, 20.0), 5).windows()[0]
    assert set(window.values.values()) == {None}

"""Blinks: found where they are, whatever the frame rate, and never where nothing was seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.behavior.blinking import both, disagreeing, series_with
from tests.behavior.drawn_eyes import blinks_at, eye_landmarks
from tests.series import make_series
from vidscan.behavior.blink import (
    FEATURES,
    Blink,
    BlinkThresholds,
    describe,
    f1,
    find_blinks,
    match_events,
    statistics,
)
from vidscan.behavior.eye_closure import RULES, closure, eye_aspect_ratio, relative_closure

STARTS = [1.13, 3.4, 4.71, 8.02, 9.5]


def event(start: float, end: float) -> Blink:
    return Blink(start, end, (start + end) / 2, 1.0, end - start, 1.0, 1.0, True)


# --------------------------------------------------------------------------- closure


def test_aspect_ratio_by_hand_and_under_similarity() -> None:
    shut = np.array([[0.0, 0.0], [1.0, 0.5]])
    points = eye_landmarks(shut)[..., :2]
    # Lids 12 px apart over a width of 24 px; shut, 15 % of it.
    assert eye_aspect_ratio(points) == pytest.approx(np.array([[0.5, 0.5], [0.075, 0.2875]]))
    turn = 3.0 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    assert eye_aspect_ratio(points @ turn.T + 7) == pytest.approx(eye_aspect_ratio(points))


def test_aspect_ratio_of_an_eye_without_width_is_lost() -> None:
    points = eye_landmarks(np.zeros((3, 2)))
    points[1, 39] = points[1, 36]
    points[2] = np.nan
    assert np.isnan(eye_aspect_ratio(points)).tolist() == [[False, False], [True, False], [True, True]]


@pytest.mark.parametrize("rule", RULES)
def test_closure_recovers_how_far_eyes_are_closed(rule: str) -> None:
    times = np.arange(300) / 25
    shut = both(blinks_at(times, STARTS))
    assert closure(series_with(shut), rule) == pytest.approx(shut, abs=1e-5)  # type: ignore[arg-type]


def test_closure_is_relative_to_the_person_but_not_to_shut_eyes() -> None:
    openness = np.tile([[0.8, 0.4]], (50, 1))
    openness[10] /= 2
    assert relative_closure(openness, 0.3)[10] == pytest.approx([0.5, 0.5])
    assert relative_closure(np.full((50, 2), 0.05), 0.3) == pytest.approx(1 - 0.05 / 0.3)
    assert np.isnan(relative_closure(np.full((4, 2), np.nan), 0.3)).all()


def test_rule_network_takes_probabilities_and_others_are_refused() -> None:
    series = make_series(2, shut=None)
    given_ = np.zeros((50, 2))
    given_[20], given_[21], given_[22] = 0.35, 0.7, np.nan
    found = closure(replace(series, shut=given_), "network")
    assert found[[0, 20, 21], 0] == pytest.approx([0, 0.5, 1])
    assert np.isnan(found[22]).all()
    with pytest.raises(ValueError, match="probability"):
        closure(replace(series, shut=given_[:-1]), "network")
    with pytest.raises(ValueError, match="probability"):
        closure(series, "network")
    with pytest.raises(ValueError, match="ear, openness, network"):
        closure(series, "brow")  # type: ignore[arg-type]
    assert RULES == ("ear", "openness", "network")


# --------------------------------------------------------------------------- events


@pytest.mark.parametrize("fps", [24.0, 30.0, 59.94, 120.0])
def test_blinks_do_not_depend_on_the_frame_rate(fps: float) -> None:
    times = np.arange(round(12 * fps)) / fps
    found = find_blinks(times, blinks_at(times, STARTS, 0.3)).blinks
    # A raised cosine is above .2 for 70.5 % of its length, from .1476 on.
    assert [b.start_s for b in found] == pytest.approx([s + 0.1476 * 0.3 for s in STARTS], abs=0.012)
    assert [b.duration_s for b in found] == pytest.approx([0.705 * 0.3] * 5, abs=0.02)
    assert all(b.complete and b.depth > 0.85 for b in found)
    assert [b.peak_s for b in found] == pytest.approx([s + 0.15 for s in STARTS], abs=0.6 / fps)


@pytest.mark.parametrize("rule", ["ear", "openness"])
@pytest.mark.parametrize("narrow", [1.0, 0.55])
def test_noisy_blinks_are_found_on_wide_and_on_narrow_eyes(rule: str, narrow: float) -> None:
    times = np.arange(360) / 30
    truth = blinks_at(times, STARTS)
    series = series_with(both(truth), 30, noise=0.03)
    points = series.landmarks.copy()
    points[..., 1] = 80 + (points[..., 1] - 80) * narrow
    series = replace(series, openness=series.openness * np.float32(narrow), landmarks=points)
    found = find_blinks(times, closure(series, rule)).blinks  # type: ignore[arg-type]
    assert match_events(found, find_blinks(times, truth).blinks) == (5, 0, 0)


def test_blinks_of_lowered_eyes_are_found_and_lowering_is_none() -> None:
    times = np.arange(500) / 25
    lowered = 0.35 * np.clip((times - 5) / 1.5, 0, 1) * (times < 15)
    signal = lowered + (1 - lowered) * blinks_at(times, [2.0, 8.0, 12.0, 17.0])
    found = find_blinks(times, signal)
    assert [b.start_s for b in found.blinks] == pytest.approx([2.0, 8.0, 12.0, 17.0], abs=0.08)
    assert found.held_shut == ()


@pytest.mark.parametrize("how", ["lost rows", "missing rows"])
def test_a_blink_that_a_gap_cuts_is_left_out(how: str) -> None:
    times = np.arange(250) / 25
    signal = both(blinks_at(times, [2.0, 5.0, 8.0], 0.4))
    # One frame after the middle of the second blink.
    gap = np.zeros(250, bool)
    gap[129:132] = True
    if how == "lost rows":
        signal[gap] = np.nan
    else:
        times, signal = times[~gap], signal[~gap]
    found = find_blinks(times, signal)
    assert [b.start_s for b in found.blinks] == pytest.approx([2.06, 8.06], abs=0.02)
    assert len(found.stretches) == 2
    assert found.seen_s == pytest.approx(247 / 25)


def test_blinks_cut_by_the_ends_are_left_out() -> None:
    times = np.arange(100) / 25
    found = find_blinks(times, blinks_at(times, [-0.15, 2.0, 3.85], 0.3))
    assert len(found.blinks) == 1


def test_eyes_held_shut_are_told_apart() -> None:
    times = np.arange(500) / 25
    signal = blinks_at(times, [2.0, 17.0])
    signal[150:300] = 1.0  # six seconds: longer than the level about it is looked for
    found = find_blinks(times, signal)
    assert len(found.blinks) == 2
    assert [b.duration_s for b in found.held_shut] == pytest.approx([6.0], abs=0.1)
    assert found.closed_s == pytest.approx(6 + 2 * 0.12, abs=0.1)
    # Shut until the end: the end is not known, but shut they are.
    until_end = find_blinks(times[:250], signal[:250])
    assert [b.duration_s for b in until_end.held_shut] == pytest.approx([4.0], abs=0.1)


def test_depth_of_either_eye_and_completeness() -> None:
    times = np.arange(100) / 25
    shut = np.stack([blinks_at(times, [1.0], 0.32), blinks_at(times, [1.0], 0.32, 0.6)], 1)
    shut += both(blinks_at(times, [3.0], 0.32, 0.5))
    full, partial = find_blinks(times, shut).blinks
    assert (full.left_depth, full.right_depth) == pytest.approx((1.0, 0.6))
    assert full.depth == pytest.approx(0.8)
    assert full.complete and not partial.complete
    assert partial.depth == pytest.approx(0.5)
    assert find_blinks(times, shut, BlinkThresholds(complete=0.45)).blinks[1].complete


def test_too_short_and_too_shallow_are_none() -> None:
    times = np.arange(1200) / 120
    assert find_blinks(times, blinks_at(times, [2.0], 0.04)).blinks == ()
    assert find_blinks(times, blinks_at(times, [2.0], 0.3, depth=0.3)).blinks == ()


@pytest.mark.parametrize(
    "bad", [{"leave": 0.5}, {"leave": 0.0}, {"enter": 1.2}, {"shortest_s": 0.9}, {"shortest_s": -1.0}]
)
def test_rules_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="blink rule"):
        BlinkThresholds(**bad)


def test_nothing_seen_gives_nothing() -> None:
    nowhere = find_blinks(np.arange(5) / 25, np.full((5, 2), np.nan))
    assert nowhere.blinks == () and nowhere.seen_s == 0
    assert find_blinks(np.zeros(0), np.zeros((0, 2))).stretches == ()
    assert find_blinks(np.zeros(3), np.ones((3, 2))).blinks == ()
    assert statistics(nowhere) is None
    with pytest.raises(ValueError, match="shape"):
        find_blinks(np.zeros(3), np.ones((4, 2)))


@st.composite
def signals(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Times of a jittery camera and closures that jump, with lost rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(2, 200))
    steps = rng.choice([0.0, 1 / 32, 1 / 32, 1 / 16, 0.5], count, p=[0.05, 0.6, 0.2, 0.12, 0.03])
    values = np.clip(rng.choice([0.0, 0.1, 0.5, 1.0], (count, 1)) + rng.normal(0, 0.15, (count, 2)), 0, 1)
    if draw(st.booleans()):
        values = np.clip(np.cumsum(rng.normal(0, 0.2, (count, 2)), 0) % 2 - 0.5, 0, 1)
    values[rng.random(count) < draw(st.sampled_from([0.0, 0.05, 0.3]))] = np.nan
    return np.cumsum(steps), values


@settings(max_examples=150, deadline=None)
@given(signals(), st.integers(-40, 4000))
def test_events_of_any_signal(signal: tuple[np.ndarray, np.ndarray], shift: int) -> None:
    times, shut = signal
    found = find_blinks(times, shut)
    every = sorted((*found.blinks, *found.held_shut), key=lambda b: b.start_s)
    for one, other in pairwise(every):
        assert one.end_s <= other.start_s + 1e-9
    lost = times[np.isnan(shut).any(1)]
    for one in every:
        assert any(a <= one.start_s and one.end_s <= b for a, b in found.stretches)
        assert one.start_s <= one.peak_s <= one.end_s
        # A lost row may share its time with a seen one, at the event's very edge.
        assert not ((lost > one.start_s) & (lost < one.end_s)).any()
        assert 0.4 <= one.depth <= 1
    assert all(b.duration_s > 0.8 for b in found.held_shut)
    assert all(0.05 <= b.duration_s <= 0.8 for b in found.blinks)
    # Whole seconds: nothing is rounded, so the very same events come out.
    moved = find_blinks(times + shift, shut)
    assert [b.start_s - shift for b in moved.blinks] == pytest.approx([b.start_s for b in found.blinks])
    assert [b.depth for b in moved.blinks] == [b.depth for b in found.blinks]


# --------------------------------------------------------------------------- statistics


def test_statistics_by_hand() -> None:
    times = np.arange(500) / 25
    shut = np.stack(
        [blinks_at(times, [1, 3, 6, 10, 16], 0.32), blinks_at(times, [1, 3, 6, 10, 16], 0.32, 0.8)], 1
    )
    summary = statistics(find_blinks(times, shut))
    assert summary is not None
    assert summary.rate == pytest.approx(15)
    assert summary.interval_s == pytest.approx(3.5, abs=0.02)  # of 2, 3, 4, 6
    assert summary.interval_spread == pytest.approx((4.5 - 2.75) / 3.5, abs=0.02)
    assert summary.longest_pause_s == pytest.approx(6 - 0.23, abs=0.03)
    assert summary.asymmetry == pytest.approx(0.2, abs=0.01)
    assert summary.complete == 1
    assert summary.duration_s == pytest.approx(0.22, abs=0.02)


def test_a_gap_that_may_hide_a_blink_breaks_the_pause() -> None:
    times = np.arange(300) / 25
    shut = both(blinks_at(times, [2.0, 10.0]))
    short, long = shut.copy(), shut.copy()
    short[150:152] = np.nan
    long[150:175] = np.nan
    unbroken, broken = (statistics(find_blinks(times, s)) for s in (short, long))
    assert unbroken is not None and broken is not None
    assert unbroken.interval_s == pytest.approx(8.0, abs=0.02)
    assert broken.interval_s is None
    assert broken.longest_pause_s == pytest.approx(3.76, abs=0.06)


def test_describe_gives_every_feature_finite() -> None:
    times = np.arange(250) / 25
    blinking = describe(series_with(both(blinks_at(times, [1, 4, 8]))))
    staring = describe(series_with(np.zeros((250, 2))))
    assert blinking is not None and staring is not None
    for values in (blinking, staring):
        assert set(values) == set(FEATURES)
        assert np.isfinite(list(values.values())).all()
    assert blinking["blink_rate"] == pytest.approx(18)
    assert staring["blink_rate"] == 0
    assert staring["blink_interval"] == staring["blink_longest_pause"] == pytest.approx(249 / 25)


def test_each_rule_looks_at_its_own_measure_and_the_network_is_the_default() -> None:
    series = disagreeing(250)
    found = {rule: describe(series, rule=rule) for rule in RULES}  # type: ignore[arg-type]
    rates = {rule: None if values is None else values["blink_rate"] for rule, values in found.items()}
    assert rates == pytest.approx({"ear": 6, "openness": 12, "network": 18})
    assert describe(series) == found["network"]
    np.testing.assert_array_equal(closure(series), closure(series, "network"))
    # Where the network did not look, no other measure steps in.
    with pytest.raises(ValueError, match="probability"):
        describe(replace(series, shut=None))


def test_describe_needs_four_seconds() -> None:
    series = series_with(np.zeros((98, 2)))
    assert describe(series) is None
    lost = series_with(np.zeros((250, 2)))
    lost.landmarks[90:] = np.nan
    lost.openness[90:] = np.nan
    assert describe(lost) is None


# --------------------------------------------------------------------------- against the truth


def test_matching_by_hand() -> None:
    truth = [event(1, 1.2), event(3, 3.2), event(5, 5.2)]
    assert match_events(truth, truth) == (3, 0, 0)
    assert match_events([event(0.91, 0.95)], truth) == (1, 0, 2)  # starts 90 ms apart
    assert match_events([event(0.8, 0.89)], truth) == (0, 1, 3)
    assert match_events([event(1.1, 5.1)], truth) == (1, 0, 2)  # overlaps three, counts once
    assert match_events([], truth) == (0, 0, 3)
    assert f1(3, 1, 1) == 0.75
    assert f1(0, 0, 0) == 1 and f1(0, 2, 0) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), max_size=24), st.lists(st.integers(1, 30), max_size=24))
def test_no_matching_has_more_hits(first: list[int], second: list[int]) -> None:
    from scipy.optimize import linear_sum_assignment

    def events(steps: list[int]) -> list[Blink]:
        edges = np.cumsum(steps) / 50
        return [event(a, b) for a, b in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=False)]

    found, truth = events(first), events(second)
    fits = np.array(
        [
            [
                (a.start_s < b.end_s and b.start_s < a.end_s) or abs(a.start_s - b.start_s) <= 0.1
                for b in truth
            ]
            for a in found
        ]
    ).reshape(len(found), len(truth))
    best = int(fits[linear_sum_assignment(fits, maximize=True)].sum())
    assert match_events(found, truth) == (best, len(found) - best, len(truth) - best)

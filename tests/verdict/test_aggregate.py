"""From crop scores to one statistic: neither one bad frame nor a long genuine stretch decides."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidscan.verdict.aggregate import (
    level,
    running_level,
    statistic,
    stretches,
    suspicious_stretches,
)

FPS = 8.0


def track(seconds: float, seed: int = 0, mean: float = -3.0, spread: float = 0.5) -> tuple:
    rng = np.random.default_rng(seed)
    n = round(seconds * FPS)
    return np.arange(n) / FPS, rng.normal(mean, spread, n)


SCORES = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(-20, 20)))


def test_level_by_hand() -> None:
    assert level(np.array([3.0])) == 3.0
    # 0..19: the lowest five and the highest one do not count
    assert level(np.arange(20.0)[::-1]) == pytest.approx(np.mean(np.arange(5.0, 19.0)))
    assert level(np.array([1, 2, 3, 40])) == pytest.approx(2.5)  # the lowest and one bad frame
    assert level(np.array([1, 2, 30])) == 2


def test_running_level_by_hand() -> None:
    times = np.array([0.0, 0.5, 1.0, 1.5, 9.0])
    scores = np.array([0.0, 10.0, 2.0, 4.0, 7.0])
    # two seconds around 0.0 reach to 1.0; the last frame is alone
    assert running_level(times, scores).tolist() == [2.0, 3.0, 3.0, 4.0, 7.0]


@pytest.mark.parametrize("bad", [5.0, 50.0])
def test_one_bad_frame_does_not_decide(bad: float) -> None:
    times, scores = track(5.0)
    clean = statistic(times, scores)
    scores[17] = bad
    assert abs(statistic(times, scores) - clean) < 0.2


def test_a_few_hidden_frames_do_not_exonerate() -> None:
    times, scores = track(5.0, mean=3.0)
    fake = statistic(times, scores)
    scores[5:12] = -20.0
    assert statistic(times, scores) > fake - 0.3


def test_a_short_forged_stretch_in_a_long_genuine_track_is_found() -> None:
    times, scores = track(30.0)
    genuine = statistic(times, scores)
    assert abs(genuine + 3) < 0.6
    forged = scores.copy()
    forged[(times >= 12) & (times < 19)] += 6.0
    assert statistic(times, forged) > genuine + 2.5
    assert float(np.median(forged)) < -2.5  # the median would have missed it


@settings(max_examples=150, deadline=None)
@given(scores=SCORES, shift=st.floats(-10, 10), fps=st.sampled_from([1.0, 8.0, 30.0]))
def test_statistic_shifts_with_its_scores(scores: np.ndarray, shift: float, fps: float) -> None:
    times = np.arange(len(scores)) / fps
    assert statistic(times, scores + shift) == pytest.approx(statistic(times, scores) + shift, abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(scores=SCORES, start=st.floats(0, 100))
def test_statistic_stays_between_least_and_most(scores: np.ndarray, start: float) -> None:
    value = statistic(start + np.arange(len(scores)) / FPS, scores)
    assert scores.min() - 1e-9 <= value <= scores.max() + 1e-9
    assert value >= level(scores)


@settings(max_examples=80, deadline=None)
@given(scores=SCORES, raised=st.floats(0, 10))
def test_level_never_falls_when_a_score_rises(scores: np.ndarray, raised: float) -> None:
    higher = scores.copy()
    higher[len(scores) // 2] += raised
    assert level(higher) >= level(scores) - 1e-9


def test_steady_genuine_tracks_keep_their_level() -> None:
    """The choice of the worst fifth must not make long tracks more suspicious than short ones."""
    short = [statistic(*track(3, seed)) for seed in range(60)]
    long = [statistic(*track(40, seed)) for seed in range(60)]
    assert abs(np.mean(long) - np.mean(short)) < 0.15


def test_stretches_by_hand() -> None:
    times = np.array([0, 0.5, 1, 3, 3.5, 4.4, 9])
    values = np.array([5, 5, 0, 5, 0, 5, 5.0])
    assert stretches(times, values, 5.0) == [(0, 1), (3, 3), (5, 5), (6, 6)]
    assert stretches(times, values, 5.0, gap_s=1.5) == [(0, 1), (3, 5), (6, 6)]
    assert stretches(times, values, 6.0) == []
    assert stretches(times, values, -1.0) == [(0, 2), (3, 5), (6, 6)]


@settings(max_examples=80, deadline=None)
@given(values=arrays(np.float64, 30, elements=st.floats(-1, 1)))
def test_stretches_cover_everything_above_and_start_and_end_there(values: np.ndarray) -> None:
    times = np.arange(30.0) / 10
    found = stretches(times, values, 0.0, gap_s=0.35)
    covered = {i for a, b in found for i in range(a, b + 1)}
    assert set(np.flatnonzero(values >= 0)) <= covered
    assert all(values[a] >= 0 and values[b] >= 0 and a <= b for a, b in found)
    assert all(later[0] - earlier[1] > 3 for earlier, later in pairwise(found))


def test_suspicious_stretches_begin_and_end_where_the_scores_do() -> None:
    times = np.arange(40) / 3
    scores = np.full(40, -2.0)
    scores[10:17] = 1.0  # two seconds
    scores[30] = 1.0  # a single look is none
    assert suspicious_stretches(times, scores, 0.0) == [(10, 16)]
    scores[12] = -2.0  # nor does a single one part it
    assert suspicious_stretches(times, scores, 0.0) == [(10, 16)]
    assert suspicious_stretches(times[:1], scores[10:11], 0.0) == [(0, 0)]
    assert suspicious_stretches(times, scores, 2.0) == []


@settings(max_examples=80, deadline=None)
@given(scores=arrays(np.float64, 60, elements=st.floats(-1, 1)))
def test_suspicious_stretches_never_overlap(scores: np.ndarray) -> None:
    times = np.arange(60.0) / 3
    found = suspicious_stretches(times, scores, 0.0)
    assert all(a <= b for a, b in found)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(found))
    assert len(found) <= len(stretches(times, running_level(times, scores), 0.0))
    for a, b in found:
        assert scores[a : b + 1].max() >= 0 or (running_level(times, scores)[a : b + 1] >= 0).any()

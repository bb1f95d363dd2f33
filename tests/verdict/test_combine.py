"""Windows and tracks are combined without making more false alarms than one window would."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from vidscan.verdict.combine import Survival, among_tracks, combine_windows

RATES = (0.01, 0.05)
MOST = 1.3
PEOPLE = np.random.default_rng(0).gamma(3.0, size=139)
REFERENCE = Survival.fit(PEOPLE)
MARGIN = st.floats(-30, 60)
WINDOWS = st.lists(MARGIN, min_size=1, max_size=12)


def windows(rng: np.random.Generator, shape: tuple[int, ...], correlation: float) -> np.ndarray:
    """(..., w) standard normal margins; neighbors along the last axis correlate (AR(1))."""
    noise = rng.standard_normal(shape)
    for i in range(1, shape[-1]):
        fresh = math.sqrt(1 - correlation**2) * noise[..., i]
        noise[..., i] = correlation * noise[..., i - 1] + fresh
    return noise


def test_survival_by_hand() -> None:
    values = np.arange(1.0, 10.0)  # the k-th highest of nine is reached with probability k / 10
    for value, p in ((9, 0.1), (8, 0.2), (1, 0.9), (8.5, math.sqrt(0.1 * 0.2))):
        assert Survival.fit(values)(value) == pytest.approx(p)
    assert Survival.fit(np.array([1.0, 2.0, 2.0, 3.0]))(2.0) == pytest.approx(3 / 5)


def test_tail_is_exponential() -> None:
    values = np.random.default_rng(1).exponential(2.0, 20_000)
    for value in (10.0, 20.0, 30.0, 40.0):
        assert float(Survival.fit(values).log(value)) == pytest.approx(-value / 2, rel=0.1)


def test_tail_of_few_people_keeps_its_promise() -> None:
    """Averaged over calibrations, p below 1 / (n + 1) is reached as often as it says."""
    rng = np.random.default_rng(2)
    reached = {0.01: [], 0.002: []}
    for _ in range(3000):
        fitted = Survival.fit(rng.exponential(1.0, 60))
        for p, rates in reached.items():
            rates.append(math.exp(-float(fitted.inverse(math.log(p)))))
    for p, rates in reached.items():
        assert np.mean(rates) == pytest.approx(p, rel=0.15)


@settings(max_examples=200, deadline=None)
@given(a=st.floats(-50, 100), step=st.floats(1e-3, 50))
def test_survival_strictly_decreases(a: float, step: float) -> None:
    assert REFERENCE.log(a + step) < REFERENCE.log(a)
    assert REFERENCE(a) == pytest.approx(math.exp(REFERENCE.log(a)))


@settings(max_examples=200, deadline=None)
@given(value=st.floats(-5, 80))
def test_survival_is_continuous_and_invertible(value: float) -> None:
    assert REFERENCE.log(value + 1e-9) == pytest.approx(float(REFERENCE.log(value)), abs=1e-6)
    assert REFERENCE.inverse(REFERENCE.log(value)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [1.0, math.nan], [0.0, math.inf]])
def test_statistics_that_say_nothing_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="genuine statistics"):
        Survival.fit(values)


def test_tied_people_at_the_top_still_give_a_tail() -> None:
    fitted = Survival.fit([0.0] + [5.0] * 40)
    assert fitted(5.0) == pytest.approx(40 / 42)
    assert 0 < fitted(6.0) < fitted(5.5) < fitted(5.0)


@settings(max_examples=200, deadline=None)
@given(margin=MARGIN, durations=st.lists(st.floats(0.5, 10), min_size=1, max_size=12))
def test_windows_that_agree_give_their_margin(margin: float, durations: list[float]) -> None:
    combined = combine_windows([margin] * len(durations), durations, REFERENCE)
    assert combined == pytest.approx(margin, abs=1e-5)


@settings(max_examples=200, deadline=None)
@given(margins=WINDOWS, which=st.integers(0, 11), step=st.floats(0.01, 20))
def test_combination_rises_with_every_window(margins: list[float], which: int, step: float) -> None:
    lengths = np.ones(len(margins))
    before = combine_windows(margins, lengths, REFERENCE)
    assert min(margins) - 1e-5 <= before <= max(margins) + 1e-5
    assert combine_windows(margins[::-1], lengths, REFERENCE) == pytest.approx(float(before), abs=1e-6)
    margins[which % len(margins)] += step
    after = combine_windows(margins, lengths, REFERENCE)
    assert after >= before - 1e-9
    # Beside a window far out, where p differs by more than double precision, a clean one is rounded away.
    if max(margins) - min(margins) < 10:
        assert after > before


def test_far_out_margins_neither_overflow_nor_tie() -> None:
    far = [combine_windows([0.0, m], [10, 10], REFERENCE) for m in (1e2, 1e3, 1e4, 1e5)]
    assert np.isfinite(far).all()
    assert (np.diff(far) > 0).all()


def test_a_forged_window_in_a_long_track_counts_and_no_clean_one_buys_it_off() -> None:
    genuine = np.full(12, np.median(PEOPLE))
    forged = genuine.copy()
    forged[4] = REFERENCE.inverse(math.log(1e-4))
    combined = combine_windows(forged, np.ones(12), REFERENCE)
    assert REFERENCE(combined) == pytest.approx(12e-4, rel=0.05)
    forged[5] = -20.0  # cleaner than anyone
    assert REFERENCE(combine_windows(forged, np.ones(12), REFERENCE)) < 13e-4
    short = combine_windows(forged, [10.0] * 4 + [2.0] + [10.0] * 7, REFERENCE)
    assert short < combined


@pytest.mark.parametrize(
    ("margins", "durations"), [([], []), ([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0, 0.0]), ([1.0], [math.nan])]
)
def test_windows_without_durations_are_refused(margins: list[float], durations: list[float]) -> None:
    with pytest.raises(ValueError, match="durations"):
        combine_windows(margins, durations, REFERENCE)


@settings(max_examples=200, deadline=None)
@given(statistics=st.lists(st.floats(0, 60), min_size=1, max_size=6))
def test_statistic_among_tracks_has_the_clips_p_value(statistics: list[float]) -> None:
    lowered = [among_tracks(s, len(statistics), REFERENCE) for s in statistics]
    least = float(REFERENCE(np.array(statistics)).min())
    clip = 1.0 if least == 1 else -math.expm1(len(statistics) * math.log1p(-least))
    assert REFERENCE(max(lowered)) == pytest.approx(clip, rel=1e-5)
    assert all(a <= b + 1e-9 for a, b in zip(lowered, statistics, strict=True))


@settings(max_examples=100, deadline=None)
@given(statistic=st.floats(-20, 1e3), step=st.floats(0.01, 10), tracks=st.integers(1, 8))
def test_statistic_among_tracks_strictly_increases(statistic: float, step: float, tracks: int) -> None:
    lower, higher = (among_tracks(s, tracks, REFERENCE) for s in (statistic, statistic + step))
    assert lower < higher
    if tracks == 1:
        assert lower == pytest.approx(statistic, abs=1e-5)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_false_alarms_with_many_windows_and_tracks(correlation: float) -> None:
    """The rule itself: calibrated on single windows, 1 to 12 windows and 1 to 4 tracks."""
    rng = np.random.default_rng(3)
    reference = Survival.fit(rng.standard_normal(200_000))
    clips = 40_000
    for count in range(1, 13):
        margins = windows(rng, (clips, 4, count), correlation)
        statistics = combine_windows(margins, np.full(count, 10.0), reference)
        p = reference(statistics)
        for tracks in range(1, 5):
            p_clip = 1 - (1 - p[:, :tracks].min(1)) ** tracks
            for rate in RATES:
                noise = 2.5 * math.sqrt(rate * (1 - rate) / clips)
                alarms = np.mean(p_clip <= rate)
                assert alarms <= MOST * rate + noise, (count, tracks, rate)
                assert alarms >= 0.7 * rate - noise, (count, tracks, rate)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_false_alarms_of_the_whole_rule_with_139_people(correlation: float) -> None:
    """Clips of any length calibrate together: 139 people with 1 to 12 windows each, exponential tails."""
    rng = np.random.default_rng(4)
    repeats, clips, counts = 400, 100, (1, 4, 12)
    alarms = {(c, t, r): 0.0 for c in counts for t in (1, 4) for r in RATES}
    for _ in range(repeats):
        of_length = np.bincount(rng.integers(0, 12, 139), minlength=12)
        people = [
            -norm.logsf(windows(rng, (number, length), correlation))
            for length, number in enumerate(of_length, 1)
        ]
        reference = Survival.fit(np.concatenate([group.ravel() for group in people]))
        combined = [combine_windows(group, np.ones(group.shape[1]), reference) for group in people]
        calibration = Survival.fit(np.concatenate(combined))
        for count in counts:
            margins = -norm.logsf(windows(rng, (clips, 4, count), correlation))
            p = calibration(combine_windows(margins, np.ones(count), reference))
            for tracks in (1, 4):
                p_clip = 1 - (1 - p[:, :tracks].min(1)) ** tracks
                for rate in RATES:
                    alarms[count, tracks, rate] += float(np.mean(p_clip <= rate)) / repeats
    for (count, tracks, rate), found in alarms.items():
        assert found <= MOST * rate, (count, tracks, rate)
        assert found >= 0.6 * rate, (count, tracks, rate)

"""Conformal thresholds hold their false-alarm rate; the score's scale is fixed by them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.verdict.calibration import ScoreScale, conformal_quantile, p_value

STATISTICS = np.linspace(-4, 2, 199)


def test_conformal_quantile_by_hand() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))  # 1..19
    # ceil(20 * .95) = 19th, ceil(20 * .9) = 18th, ceil(20 * .5) = 10th smallest
    assert conformal_quantile(values, 0.05) == 19
    assert conformal_quantile(values, 0.10) == 18
    assert conformal_quantile(values, 0.50) == 10


@pytest.mark.parametrize(("people", "alpha"), [(18, 0.05), (98, 0.01), (0, 0.5)])
def test_too_few_people_cannot_set_a_threshold(people: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="cannot set"):
        conformal_quantile(np.arange(people, dtype=float), alpha)
    conformal_quantile(np.arange(people + 1, dtype=float), alpha)


@pytest.mark.parametrize(("people", "alpha"), [(19, 0.05), (99, 0.01), (120, 0.05), (50, 0.1)])
def test_false_alarms_stay_below_alpha(people: int, alpha: float) -> None:
    rng = np.random.default_rng(7)
    trials = 6000
    draws = rng.standard_t(3, (trials, people + 1))
    over = np.mean([new[-1] > conformal_quantile(new[:-1], alpha) for new in draws])
    noise = 3 * math.sqrt(alpha * (1 - alpha) / trials)
    assert over <= alpha + noise
    assert over >= alpha - 1 / (people + 1) - noise  # and the threshold is not needlessly high


def test_p_value_by_hand() -> None:
    people = np.array([1.0, 2.0, 2.0, 5.0])
    assert [p_value(people, v) for v in (0.0, 2.0, 2.1, 5.0, 6.0)] == [1.0, 0.8, 0.4, 0.4, 0.2]


def test_p_values_of_exchangeable_clips_are_valid() -> None:
    rng = np.random.default_rng(1)
    values = np.array([p_value(d[:-1], d[-1]) for d in rng.normal(size=(4000, 40))])
    for alpha in (0.05, 0.2, 0.5):
        assert np.mean(values <= alpha) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 4000)


def test_fit_takes_the_two_quantiles() -> None:
    rng = np.random.default_rng(0)
    scale = ScoreScale.fit(
        rng.permutation(STATISTICS), manipulated_fpr=0.01, uncertain_fpr=0.05, bin_name="people"
    )
    assert np.array_equal(scale.statistics, STATISTICS)
    assert scale.manipulated == STATISTICS[197]  # ceil(200 * .99) = 198th
    assert scale.uncertain == STATISTICS[189]  # ceil(200 * .95) = 190th
    assert (scale.target_fpr, scale.bin) == (0.01, "people")
    assert scale.p_value(scale.manipulated) == pytest.approx((1 + 2) / 200)


def test_fit_keeps_the_thresholds_apart() -> None:
    scale = ScoreScale.fit(np.zeros(200), manipulated_fpr=0.01, uncertain_fpr=0.05, bin_name="")
    assert scale.uncertain < scale.manipulated
    assert scale.score(scale.manipulated) == pytest.approx(0.8)


@settings(max_examples=100, deadline=None)
@given(uncertain=st.floats(-20, 20), gap=st.floats(0.01, 20), a=st.floats(-10, 10), b=st.floats(-10, 10))
def test_score_is_fixed_at_the_thresholds_and_rises(uncertain: float, gap: float, a: float, b: float) -> None:
    scale = ScoreScale(STATISTICS, uncertain, uncertain + gap, 0.01, "")
    assert scale.score(uncertain) == pytest.approx(0.5, abs=1e-9)
    assert scale.score(uncertain + gap) == pytest.approx(0.8, abs=1e-6)
    low, high = sorted((a, b))
    if high - low > 1e-3:
        assert scale.score(uncertain + low * gap) < scale.score(uncertain + high * gap)
    assert 0 < scale.score(-1e6) < scale.score(1e6) < 1


def test_other_rates_move_the_thresholds_along_the_score() -> None:
    scale = ScoreScale.fit(STATISTICS, manipulated_fpr=0.01, uncertain_fpr=0.05, bin_name="people")
    own = scale.thresholds()
    assert (own.uncertain, own.manipulated) == (0.5, 0.8)
    assert scale.thresholds(0.01, 0.05) == own
    # ceil(200 * .9) = 180th, ceil(200 * .8) = 160th
    assert scale.levels(0.1, 0.2) == (STATISTICS[159], STATISTICS[179])
    found = scale.thresholds(0.1, 0.2)
    assert found.uncertain == scale.score(STATISTICS[159]) < found.manipulated == scale.score(STATISTICS[179])
    assert found.manipulated < 0.5


def test_uncertain_never_begins_above_manipulated() -> None:
    scale = ScoreScale.fit(STATISTICS, manipulated_fpr=0.01, uncertain_fpr=0.05, bin_name="people")
    assert scale.levels(0.2, 0.1) == (STATISTICS[159], STATISTICS[159])
    assert scale.thresholds(uncertain_fpr=0.2).manipulated == 0.8


def test_uncertain_alone_follows_manipulated_at_twice_its_rate() -> None:
    scale = ScoreScale.fit(STATISTICS, manipulated_fpr=0.01, uncertain_fpr=0.05, bin_name="people")
    assert scale.levels(0.02) == (STATISTICS[189], STATISTICS[195])  # 5 % is more than twice 2 %
    assert scale.levels(0.2) == (STATISTICS[119], STATISTICS[159])
    assert scale.levels(0.7)[0] == STATISTICS[1]  # of 99 %
    with pytest.raises(ValueError, match=r"199 people cannot set a threshold of 0\.40%"):
        scale.levels(0.004)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from vidscan.evaluation import statistics
from vidscan.evaluation.statistics import (
    Sample,
    auc_interval,
    loss_interval,
    mean_of,
    rate,
)
from vidscan.training.transfer import auc


def sample(values: list[float], people: list[str] | None = None) -> Sample:
    return Sample(np.array(values, float), people or [f"p{i}" for i in range(len(values))])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_rates_are_clopper_pearson(hits: list[bool]) -> None:
    found = rate("r", hits)
    wanted = binomtest(sum(hits), len(hits)).proportion_ci(0.95, method="exact")
    assert found.rate == sum(hits) / len(hits)
    assert found.interval == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_a_rate_of_nothing_says_nothing() -> None:
    assert rate("r", []).interval == (0.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_weighted_areas_are_those_of_repeated_clips(data: st.DataObject) -> None:
    levels = st.integers(0, 4).map(float)
    genuine, forged = (data.draw(st.lists(levels, min_size=1, max_size=6)) for _ in range(2))
    counts = [
        data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)) for n in map(len, (genuine, forged))
    ]
    weights = [np.array([c], float) for c in counts]
    found = statistics._weighted_auc(sample(genuine), sample(forged), weights[0], weights[1])
    repeated = [np.repeat(v, c) for v, c in zip((genuine, forged), counts, strict=True)]
    labels = np.r_[np.zeros(len(repeated[0])), np.ones(len(repeated[1]))]
    assert found[0] == pytest.approx(roc_auc_score(labels, np.concatenate(repeated)))


def test_nothing_lost_where_nothing_changed() -> None:
    draw = rng()
    sides = (sample(list(draw.normal(0, 1, 12))), sample(list(draw.normal(1, 1, 9))))
    assert loss_interval(sides, sides, rng()) == (0.0, 0.0)


def test_a_paired_loss_is_known_better_than_either_area() -> None:
    draw = rng()
    genuine, forged = draw.normal(0, 1, 30), draw.normal(1, 1, 30)
    clean = (sample(list(genuine)), sample(list(forged)))
    worse = (clean[0], sample(list(forged - 0.3)))
    low, high = loss_interval(clean, worse, rng())
    lost = auc(genuine, forged) - auc(genuine, forged - 0.3)
    assert low < lost < high
    assert low > 0  # everybody lost
    alone = auc_interval(clean[0], [clean[1]], rng())
    assert high - low < 0.6 * (alone[1] - alone[0])


def test_two_people_may_leave_a_side_empty() -> None:
    clean = (sample([0.0], ["a"]), sample([1.0], ["b"]))
    changed = (sample([1.0], ["a"]), sample([0.0], ["b"]))
    assert loss_interval(clean, changed, rng()) == (1.0, 1.0)


def test_means_draw_people() -> None:
    values = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    apart = mean_of(sample(values), rng()).interval
    pairs = mean_of(sample(values, ["a", "a", "a", "b", "b", "b"]), rng()).interval
    assert apart[0] > 0.0 and apart[1] < 1.0
    assert pairs == (0.0, 1.0)

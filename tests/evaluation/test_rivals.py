"""Rivals rank like the papers' models, as scikit-learn has them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest as SklearnForest

from vidscan.evaluation.rivals import RIVALS, IsolationForest, Mahalanobis

POINTS = np.random.default_rng(0).normal(size=(200, 6)) * [1, 2, 1, 1, 0.5, 1]
FAR = np.concatenate([np.random.default_rng(5).normal(size=(300, 6)) * 2, np.full((1, 6), 50.0)])


@pytest.mark.parametrize(("count", "trees", "seed"), [(200, 40, 3), (9, 5, 0)])
def test_forest_equals_scikit_learn(count: int, trees: int, seed: int) -> None:
    reference = SklearnForest(n_estimators=trees, random_state=seed).fit(POINTS[:count])
    own = IsolationForest(POINTS[:count], trees=trees, seed=seed)
    assert np.array_equal(own.score_samples(FAR), -reference.score_samples(FAR))


def test_distance_is_taken_from_neutral_and_not_from_the_mean() -> None:
    moved = POINTS + 1
    found = Mahalanobis(moved).score_samples(FAR)
    reference = LedoitWolf(assume_centered=True).fit(moved)
    assert found**2 == pytest.approx(reference.mahalanobis(FAR))
    assert Mahalanobis(moved).score_samples(np.zeros((1, 6))) == 0


@pytest.mark.parametrize("name", RIVALS)
def test_what_lies_far_out_is_more_anomalous(name: str) -> None:
    model = RIVALS[name](POINTS)
    assert model.score_samples(FAR[-1:]) > np.quantile(model.score_samples(POINTS), 0.99)

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vidscan.training.linear_head import LinearHeads, Standardised, crop_weights


def test_the_head_is_scikit_learns_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(60, 8)) * rng.uniform(0.5, 4, 8) + rng.normal(size=8)).astype(np.float32)
    forged = features[:, 0] + rng.normal(size=60) > 0
    weights = rng.uniform(0.5, 2, 60)
    weight, bias = Standardised.of(features.copy()).fit(np.arange(60), forged, weights, 0.1)
    head = LinearHeads(weight[None], np.array([bias]))
    z = (features - features.mean(0)) / features.std(0, ddof=1)
    expected = LogisticRegression(C=0.1, tol=1e-8).fit(z, forged, sample_weight=weights)
    assert head.log_odds(features)[:, 0] == pytest.approx(expected.decision_function(z), abs=2e-3)


def test_rescaled_heads_speak_in_deviations() -> None:
    rng = np.random.default_rng(2)
    heads = LinearHeads(rng.normal(size=(2, 5)).astype(np.float32), rng.normal(size=2))
    features = rng.normal(size=(30, 5))
    plain = heads.log_odds(features)
    centre, deviation = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    found = heads.rescaled(centre, deviation).log_odds(features)
    assert found == pytest.approx((plain - centre) / deviation, abs=1e-5)


def test_rows_that_are_left_out_teach_nothing() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    forged = rng.random(40) > 0.5
    rows = np.arange(0, 40, 2)
    first = Standardised.of(features.copy()).fit(rows, forged[rows], np.ones(20), 1.0)
    swapped = forged.copy()
    swapped[1::2] = ~swapped[1::2]
    again = Standardised.of(features.copy()).fit(rows, swapped[rows], np.ones(20), 1.0)
    assert np.array_equal(first[0], again[0])


def test_both_sides_weigh_alike_and_large_sources_less_than_their_size() -> None:
    groups = [("a", "")] * 9 + [("b", "")] + [("a", "m")] * 5
    forged = np.array([False] * 10 + [True] * 5)
    weights = crop_weights(groups, forged, 0.5)
    assert weights[forged].sum() == pytest.approx(7.5)
    assert weights[~forged].sum() == pytest.approx(7.5)
    assert weights[:9].sum() / weights[9] == pytest.approx(3.0)


def test_one_side_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="genuine and forged"):
        crop_weights([("a", "")], np.array([True]), 0.5)

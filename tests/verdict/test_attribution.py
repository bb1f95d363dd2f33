"""Which group of features carries a window's anomaly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.verdict.attribution import occlusion
from vidscan.verdict.one_class import OneClassSVM
from vidscan.verdict.standardiser import Column, Standardiser

COLUMNS = (
    Column("level", "patch", "one"),
    Column("rate", "blink"),
    Column("yaw", "head_pose"),
    Column("pitch", "head_pose"),
)
STANDARDISER = Standardiser(
    COLUMNS, np.zeros(4), np.ones(4), np.array([1, 1, 0.5**0.5, 0.5**0.5]), np.full(4, 100.0)
)
ALL = np.ones(4, bool)


@dataclass(frozen=True)
class Additive:
    """Sum of squares: every group carries its own part exactly."""

    name = "additive"

    def score_samples(self, points: np.ndarray) -> np.ndarray:
        return (points**2).sum(1)


def test_additive_margin_by_hand() -> None:
    x = np.array([2.0, 1.0, 3.0, 1.0])  # squares 4, 1, (9 + 1) / 2
    assert occlusion(Additive(), STANDARDISER, x, ALL) == pytest.approx(
        {"patch": 0.4, "blink": 0.1, "head_pose": 0.5}
    )


@settings(max_examples=100, deadline=None)
@given(
    x=st.lists(st.floats(-50, 50), min_size=4, max_size=4),
    valid=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_shares_are_those_of_an_additive_margin(x: list[float], valid: list[bool]) -> None:
    squares = STANDARDISER.transform(np.array([x]), np.array([valid]))[0] ** 2
    own = {"patch": squares[0], "blink": squares[1], "head_pose": squares[2:].sum()}
    shares = occlusion(Additive(), STANDARDISER, np.array(x), np.array(valid))
    total = sum(own.values())
    if total > 1e-9:
        assert shares == pytest.approx({g: v / total for g, v in own.items()}, abs=1e-6)
        assert sum(shares.values()) == pytest.approx(1)


def test_nothing_anomalous_has_no_shares() -> None:
    assert set(occlusion(Additive(), STANDARDISER, np.zeros(4), ALL).values()) == {0.0}
    clean = np.array([-9.0, 0.0, 0.0, 0.0])
    assert set(occlusion(Additive(), STANDARDISER, clean, ALL).values()) == {0.0}


def test_a_missing_group_carries_nothing() -> None:
    x = np.array([2.0, np.nan, 3.0, 1.0])
    shares = occlusion(Additive(), STANDARDISER, x, np.array([True, False, True, True]))
    assert shares["blink"] == 0
    assert shares["patch"] == pytest.approx(4 / 9)


def test_a_group_that_lowers_the_margin_counts_as_nothing() -> None:
    class Against(Additive):
        def score_samples(self, points: np.ndarray) -> np.ndarray:
            return points[:, 0] - np.abs(points[:, 1])

    assert occlusion(Against(), STANDARDISER, np.array([3.0, 2.0, 0.0, 0.0]), ALL) == {
        "patch": 1.0,
        "blink": 0.0,
        "head_pose": 0.0,
    }


@pytest.mark.parametrize(("columns", "group"), [([0], "patch"), ([1], "blink"), ([2, 3], "head_pose")])
def test_svm_margin_names_the_group_that_was_moved(columns: list[int], group: str) -> None:
    rng = np.random.default_rng(0)
    features, valid = rng.normal(size=(300, 4)), np.ones((300, 4), bool)
    standardiser = Standardiser.fit(features, valid, COLUMNS)
    points = standardiser.transform(features, valid)
    model = OneClassSVM.fit(points, nu=0.05, gamma=1 / (points.shape[1] * points.var()))
    x = standardiser.centre.copy()
    x[columns] += 5
    shares = occlusion(model, standardiser, x, ALL)
    assert shares[group] > 0.9
    x[0] += 5  # two at once share
    if group != "patch":
        both = occlusion(model, standardiser, x, ALL)
        assert min(both["patch"], both[group]) > 0.2

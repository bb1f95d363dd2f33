"""One-class models equal scikit-learn's, survive storage, and take missing evidence as neutral."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sklearn.svm import OneClassSVM as SklearnSVM

from vidscan.errors import WeightsError
from vidscan.verdict.one_class import LinearOneClassSVM, OneClassSVM, pack, unpack
from vidscan.verdict.standardiser import Column, Standardiser

COLUMNS = (
    Column("patch.level", "patch", "one"),
    Column("patch.spread", "patch", "one"),
    Column("blink.rate", "blink"),
    Column("pose.yaw", "head_pose"),
    Column("pose.pitch", "head_pose"),
    Column("pose.roll", "head_pose"),
)
GROUPS = ("patch", "blink", "head_pose")


def genuine(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 6) evidence in very different units, and its validity: a fifth has no blinks to speak of."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6)) * [1, 0.1, 5, 30, 20, 10] + [-3, 0.5, 17, 0, 2, -1]
    valid = np.ones((n, 6), bool)
    valid[rng.random(n) < 0.2, 2] = False
    return np.where(valid, features, np.nan), valid


FEATURES, VALID = genuine()
STANDARDISER = Standardiser.fit(FEATURES, VALID, COLUMNS)
POINTS = STANDARDISER.transform(FEATURES, VALID)
FAR = np.random.default_rng(5).normal(size=(300, 6)) * 2
SVM = OneClassSVM.fit(POINTS, nu=0.1, gamma=1 / (6 * POINTS.var()))
PLANE = LinearOneClassSVM.fit(POINTS, corner=STANDARDISER.weight * 6)
EACH = pytest.mark.parametrize("model", [SVM, PLANE], ids=lambda model: type(model).__name__)
Model = OneClassSVM | LinearOneClassSVM


# Standardization


def test_standardised_by_hand() -> None:
    features = np.column_stack([np.arange(101.0), np.arange(101.0) * 10, np.arange(101.0)])
    columns = [Column("a", "g", "both"), Column("b", "g", "one"), Column("c", "h", "both")]
    fitted = Standardiser.fit(features, np.ones((101, 3), bool), columns, weights={"h": 3.0})
    # 0..100: median 50, median deviation 25; upwards one standard deviation is the 84.13 % quantile
    assert fitted.centre.tolist() == [50, 500, 50]
    assert fitted.scale == pytest.approx([1.4826 * 25, 341.3, 1.4826 * 25])
    got = fitted.transform(
        np.array([[50 + 1.4826 * 25, 500 + 341.3, 50 - 1.4826 * 25]]), np.ones((1, 3), bool)
    )
    assert got == pytest.approx(np.array([[1 / np.sqrt(2), 1 / np.sqrt(2), -3]]))


def test_only_high_values_of_one_sided_features_count_and_none_without_limit() -> None:
    row = np.array([[-1e9, 1e9, -1e9, 1e9, 0.0, 0.0]])
    point = STANDARDISER.transform(row, np.ones((1, 6), bool))[0]
    assert point[0] == 0
    assert point[1] == pytest.approx(6 / np.sqrt(2))
    assert point[2] == -6
    assert point[3] == pytest.approx(6 / np.sqrt(3))


def test_low_values_of_low_sided_features_count_up_to_the_limit_of_their_group() -> None:
    rng = np.random.default_rng(0)
    columns = [Column("a", "g", "low"), Column("b", "h", "one")]
    features, valid = rng.normal(5, 2, (500, 2)), np.ones((500, 2), bool)
    fitted = Standardiser.fit(features, valid, columns, limit={"h": 2.0})
    assert fitted.limit.tolist() == [6, 2]
    rows = fitted.centre + np.array([[-1.0, 1.0], [1.0, -1.0], [-99.0, 99.0]]) * fitted.scale
    assert fitted.transform(rows, valid[:3]) == pytest.approx(np.array([[1, 1], [0, 0], [6, 2]]))
    signed = Standardiser.fit(features, valid, columns, limit={"h": 2.0}, signed=True)
    assert signed.transform(rows, valid[:3]) == pytest.approx(np.array([[1, 1], [-1, -1], [6, 2]]))
    one_limit = Standardiser.fit(features, valid, columns, limit=3.0)
    assert one_limit.transform(rows, valid[:3])[2] == pytest.approx([3, 3])
    # The spread is that of the side that counts.
    assert fitted.scale[0] == pytest.approx(fitted.centre[0] - np.quantile(features[:, 0], 1 - 0.8413))


def test_signed_and_limits_are_stored() -> None:
    for signed in (False, True):
        fitted = Standardiser.fit(FEATURES, VALID, COLUMNS, limit={"patch": 10.0}, signed=signed)
        loaded = Standardiser.from_tensors(fitted.to_tensors(), json.loads(json.dumps(fitted.settings())))
        assert (loaded.signed, loaded.limit.tolist()) == (signed, [10, 10, 6, 6, 6, 6])


def test_every_group_weighs_alike() -> None:
    squares = {g: (POINTS[:, np.array(STANDARDISER.groups) == g] ** 2).sum(1) for g in GROUPS}
    assert np.mean(squares["head_pose"]) == pytest.approx(1, abs=0.25)
    assert np.mean(squares["blink"]) == pytest.approx(0.8, abs=0.25)  # missing in a fifth
    assert np.mean(squares["patch"]) == pytest.approx(0.5, abs=0.2)  # low values do not count


def test_features_that_do_not_vary_or_are_too_rare_are_left_out() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=200), np.full(200, 0.1), rng.normal(size=200)])
    valid = np.ones((200, 3), bool)
    valid[5:, 2] = False
    fitted = Standardiser.fit(features, valid, [Column(name, "g") for name in "abc"])
    assert fitted.unused == ("b", "c")
    point = fitted.transform(np.array([[9.0, 9.0, 9.0]]), np.ones((1, 3), bool))[0]
    assert point[0] > 1  # alone in its group it has the whole weight
    assert point[1:].tolist() == [0, 0]


def test_a_share_that_is_nearly_always_zero_still_counts() -> None:
    share = np.zeros((200, 1))
    share[:8] = 0.5
    fitted = Standardiser.fit(share, np.ones((200, 1), bool), [Column("share", "patch", "one")])
    assert fitted.transform(np.array([[0.5]]), np.ones((1, 1), bool))[0, 0] > 3


def test_scale_withstands_spoilt_windows() -> None:
    spoilt = FEATURES.copy()
    spoilt[:20, 3:] = 1e6
    fitted = Standardiser.fit(spoilt, VALID, COLUMNS)
    assert fitted.scale[3:] == pytest.approx(STANDARDISER.scale[3:], rel=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"gaze": 1.0}}, "unknown groups: gaze"),
        ({"weights": {"patch": -1.0}}, "negative"),
        ({"valid": np.ones((400, 6), bool)}, "not finite"),
        ({"features": FEATURES[:, :5]}, "columns"),
        ({"features": np.zeros((400, 6))}, "no feature varies"),
    ],
)
def test_unusable_material_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Standardiser.fit(**({"features": FEATURES, "valid": VALID, "columns": COLUMNS} | change))


# Equal to scikit-learn


def rows(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, FAR, np.zeros((1, 6)), np.full((1, 6), 50.0)])


@pytest.mark.parametrize("nu", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("gamma", [SVM.gamma, 0.02, 3.0])
def test_svm_equals_scikit_learn(nu: float, gamma: float) -> None:
    reference = SklearnSVM(nu=nu, gamma=gamma).fit(POINTS)
    own = OneClassSVM.fit(POINTS, nu=nu, gamma=gamma)
    points = rows(POINTS)
    assert np.abs(own.decision_function(points) - reference.decision_function(points)).max() < 1e-6
    assert np.array_equal(own.decision_function(FAR) < -1e-9, own.score_samples(FAR) > 1e-9 / -own.intercept)


@pytest.mark.parametrize("nu", [0.02, 0.1, 0.5])
def test_linear_svm_equals_scikit_learn(nu: float) -> None:
    corner = STANDARDISER.weight * 6
    reference = SklearnSVM(kernel="linear", nu=nu).fit(corner - POINTS)
    own = LinearOneClassSVM.fit(POINTS, corner=corner, nu=nu)
    points = rows(POINTS)
    decision = own.decision_function(points)
    assert np.abs(decision - reference.decision_function(corner - points)).max() < 1e-6
    # The margin is the distance from the plane, towards the corner.
    assert own.score_samples(points) * np.linalg.norm(own.normal) == pytest.approx(-decision)
    assert own.score_samples(corner[None])[0] > own.score_samples(POINTS).max()
    assert np.mean(own.score_samples(POINTS) > 1e-6) <= nu + 0.01


# The margin


@settings(max_examples=150, deadline=None)
@given(a=st.integers(0, 299), b=st.integers(0, 299))
def test_margin_has_the_order_of_the_decision_function(a: int, b: int) -> None:
    decision, margin = SVM.decision_function(FAR[[a, b]]), SVM.score_samples(FAR[[a, b]])
    if abs(decision[0] - decision[1]) > 1e-9:
        assert (decision[0] > decision[1]) == (margin[0] < margin[1])


@settings(max_examples=60, deadline=None)
@given(direction=st.lists(st.floats(-1, 1), min_size=6, max_size=6).filter(lambda d: np.linalg.norm(d) > 0.3))
def test_margin_grows_where_the_decision_function_no_longer_does(direction: list[float]) -> None:
    ray = np.outer([30.0, 31.0, 60.0, 1e3], np.array(direction) / np.linalg.norm(direction))
    assert SVM.decision_function(ray) == pytest.approx(SVM.intercept)
    margin = SVM.score_samples(ray)
    assert np.isfinite(margin).all()
    assert (np.diff(margin) > 0).all()


@EACH
def test_forged_windows_are_more_anomalous(model: Model) -> None:
    forged, valid = genuine(100, seed=9)
    forged[:, :2] += [5, 0.6]
    fresh = model.score_samples(STANDARDISER.transform(*genuine(100, seed=8)))
    found = model.score_samples(STANDARDISER.transform(forged, valid))
    assert np.mean(found[:, None] > fresh) > 0.9


@EACH
def test_unusually_clean_patches_are_not_suspicious(model: Model) -> None:
    clean = np.where(VALID, FEATURES, 0.0)
    usual = clean.copy()
    clean[:, :2], usual[:, :2] = -1e3, STANDARDISER.centre[:2]
    both = [model.score_samples(STANDARDISER.transform(x, VALID)) for x in (clean, usual)]
    assert np.array_equal(*both)


# Missing evidence


@EACH
@pytest.mark.parametrize("group", GROUPS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_missing_group_is_as_anomalous_as_its_median(model: Model, group: str, data: st.DataObject) -> None:
    row = np.where(VALID, FEATURES, STANDARDISER.centre)[data.draw(st.integers(0, len(FEATURES) - 1))]
    inside = np.array(STANDARDISER.groups) == group
    missing = np.where(inside, np.nan, row)[None]
    median = np.where(inside, STANDARDISER.centre, row)[None]
    dropped = model.score_samples(STANDARDISER.transform(missing, ~inside[None]))
    neutral = model.score_samples(STANDARDISER.transform(median, np.ones((1, 6), bool)))
    assert dropped == neutral


@pytest.mark.parametrize("group", GROUPS)
@settings(max_examples=40, deadline=None)
@given(number=st.integers(0, len(FEATURES) - 1), how_far=st.floats(4, 50))
def test_dropping_what_is_unusual_makes_a_genuine_window_less_anomalous(
    group: str, number: int, how_far: float
) -> None:
    inside = np.array(STANDARDISER.groups) == group
    row = np.where(VALID, FEATURES, STANDARDISER.centre)[number]
    row = np.where(inside, STANDARDISER.centre + how_far * STANDARDISER.scale, row)[None]
    for model in (SVM, PLANE):
        whole = model.score_samples(STANDARDISER.transform(row, np.ones((1, 6), bool)))
        dropped = model.score_samples(STANDARDISER.transform(row, ~inside[None]))
        assert dropped < whole


def test_one_missing_feature_does_not_raise_its_neighbours() -> None:
    row = STANDARDISER.centre[None] + STANDARDISER.scale
    valid = np.ones((1, 6), bool)
    whole = STANDARDISER.transform(row, valid)
    valid[0, 3] = False
    assert np.array_equal(STANDARDISER.transform(row, valid), whole * valid)


# Storage


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_stored_model_scores_the_same(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors, record = pack(STANDARDISER, PLANE)
    save_file({k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}, tmp_path / "m")
    standardiser, loaded = unpack(load_file(tmp_path / "m"), json.loads(json.dumps(record)))
    assert standardiser.columns == COLUMNS
    exact = 0.0 if dtype == torch.float64 else 1e-4
    points = standardiser.transform(FEATURES, VALID)
    assert points == pytest.approx(POINTS, abs=exact)
    assert loaded.score_samples(POINTS) == pytest.approx(PLANE.score_samples(POINTS), abs=exact)


def without(key: str) -> Callable[[dict, dict], None]:
    return lambda tensors, record: tensors.pop(key)


def put(key: str, value: object) -> Callable[[dict, dict], None]:
    return lambda tensors, record: tensors.update({key: torch.as_tensor(value)})


@pytest.mark.parametrize(
    "spoil",
    [
        without("model.offset"),
        put("model.normal", np.zeros(6)),
        put("model.normal", np.ones(5)),
        lambda tensors, record: [
            put(f"model.{name}", np.ones(5))(tensors, record) for name in ("normal", "corner")
        ],
        put("model.offset", float("nan")),
        put("model.corner", np.full(6, np.inf)),
        put("standardiser.limit", np.zeros(6)),
        put("standardiser.limit", np.full(6, np.nan)),
        without("standardiser.limit"),
        lambda tensors, record: record.pop("signed"),
        without("standardiser.centre"),
        put("standardiser.scale", np.zeros(6)),
        put("standardiser.weight", np.ones(5)),
        lambda tensors, record: record.pop("columns"),
        lambda tensors, record: record["columns"].__setitem__(0, ["a", "b", "upper"]),
        lambda tensors, record: record.update(model="autoencoder"),
    ],
)
def test_damaged_models_are_refused_in_one_line(spoil: Callable[[dict, dict], None]) -> None:
    tensors, record = pack(STANDARDISER, PLANE)
    spoil(tensors, record)
    with pytest.raises(WeightsError) as caught:
        unpack(tensors, record)
    assert "\n" not in str(caught.value)


def test_windows_without_variation_cannot_train_a_plane() -> None:
    with pytest.raises(ValueError, match="without variation"):
        LinearOneClassSVM.fit(np.zeros((30, 4)), corner=np.ones(4))

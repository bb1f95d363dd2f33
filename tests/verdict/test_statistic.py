"""The track's one number: monotone, neutral to what is missing, fair over qualities, and storable."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracks import make_faces, make_track
from vidscan.errors import WeightsError
from vidscan.models import register
from vidscan.types import Track
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.calibration import ScoreScale
from vidscan.verdict.features import Evidence, evidence
from vidscan.verdict.groups import COLUMNS, GROUPS
from vidscan.verdict.judge import Judge, QualityLimits, load_judge
from vidscan.verdict.one_class import LinearOneClassSVM
from vidscan.verdict.standardiser import Column, Standardiser
from vidscan.verdict.statistic import EvidenceStatistic, PatchStatistic, QualityEffect

GENUINE = [w for seed in range(120) for w in evidence(make_track(seed))]
VALUES, VALID = np.stack([w.values for w in GENUINE]), np.stack([w.valid for w in GENUINE])


def fitted() -> EvidenceStatistic:
    limits = {group.name: group.limit for group in GROUPS.values()}
    standardiser = Standardiser.fit(VALUES, VALID, COLUMNS, limit=limits, signed=True)
    points = standardiser.transform(VALUES, VALID)
    model = LinearOneClassSVM.fit(points, corner=standardiser.weight * 6.0)
    return EvidenceStatistic(standardiser, model, model.score_samples(points), QualityEffect.none())


STATISTIC = fitted()


def window(values: np.ndarray, valid: np.ndarray | None = None) -> Evidence:
    known = np.isfinite(values) if valid is None else valid
    return Evidence(0, 0.0, 10.0, values, known, {})


def combined(windows: list[Evidence]) -> float:
    return STATISTIC.combine(windows, STATISTIC.margins(windows))


# Patches alone


def test_patch_statistic_is_the_level_and_nothing_else() -> None:
    track = make_track(3)
    scores = np.array([f.score for f in track.faces])
    judged = PatchStatistic().assess(track, 0.1)
    assert judged.statistic == statistic(np.array([f.time_s for f in track.faces]), scores)
    assert judged.shares == {"patch": 1.0}
    assert judged.alone == {"patch": judged.statistic}
    assert judged.values["patch"]["patch_spread"] == pytest.approx(scores.std())


# Quality


@settings(max_examples=30, deadline=None)
@given(slope=st.lists(st.floats(-3, 3), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_quality_recovers_a_known_slope(slope: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    measures = rng.uniform(-1, 1, (400, 3)) + np.array([4.8, 2.2, -2.0])
    effect = QualityEffect.fit(
        measures, 7.0 + np.clip(measures, *np.percentile(measures, [2.5, 97.5], 0)) @ slope
    )
    assert effect.slope == pytest.approx(slope, abs=1e-6)
    assert effect.centre == pytest.approx(np.median(measures, axis=0))


def track_of(face_px: float, sharpness: float) -> Track:
    return Track(0, make_faces([0.0, 1.0], [0.0, 0.0], face_px=face_px, sharpness=sharpness), 2, 0.0, 1.0)


EFFECT = QualityEffect(
    slope=np.array([-1.0, 2.0, 0.5]),
    centre=np.log([100.0, 8.0, 0.1]),
    low=np.log([50.0, 4.0, 0.05]),
    high=np.log([200.0, 16.0, 0.2]),
)


def test_quality_by_hand() -> None:
    assert EFFECT.usual(track_of(100, 8), 0.1) == pytest.approx(0)
    assert EFFECT.usual(track_of(100 * np.e**0.5, 8), 0.1) == pytest.approx(-0.5)
    assert EFFECT.usual(track_of(100, 12), 0.1) == pytest.approx(2 * np.log(1.5))


@pytest.mark.parametrize(
    ("beyond", "edge"), [((1e4, 8, 0.1), (200, 8, 0.1)), ((100, 0, 1e-9), (100, 4, 0.05))]
)
def test_quality_beyond_the_range_counts_as_its_edge(
    beyond: tuple[float, float, float], edge: tuple[float, float, float]
) -> None:
    assert EFFECT.usual(track_of(*beyond[:2]), beyond[2]) == pytest.approx(
        EFFECT.usual(track_of(*edge[:2]), edge[2])
    )


@pytest.mark.parametrize("bits", [None, 0.0])
def test_unknown_bits_are_neutral(bits: float | None) -> None:
    assert np.isnan(QualityEffect.measures(track_of(70, 6), bits)[2])
    assert EFFECT.usual(track_of(70, 6), bits) == EFFECT.usual(track_of(70, 6), 0.1)


def test_unknown_bits_do_not_spoil_the_fit() -> None:
    measures = np.random.default_rng(0).normal(size=(200, 3))
    measures[::4, 2] = np.nan
    effect = QualityEffect.fit(measures, 3 * measures[:, 0])
    assert effect.slope[0] == pytest.approx(3, rel=0.1)
    assert np.isfinite(effect.array()).all()


def test_quality_is_taken_off_the_statistic() -> None:
    track = make_track(4, face_px=150)
    adjusted = replace(STATISTIC, quality=EFFECT)
    plain, taken = STATISTIC.assess(track, 0.1), adjusted.assess(track, 0.1)
    usual = EFFECT.usual(track, 0.1)
    assert usual != 0
    assert taken.statistic == pytest.approx(plain.statistic - usual)
    assert taken.alone["patch"] == pytest.approx(plain.alone["patch"] - usual)
    assert taken.shares == plain.shares


# The evidence


@settings(max_examples=150, deadline=None)
@given(
    number=st.integers(0, len(GENUINE) - 1),
    column=st.integers(0, len(COLUMNS) - 1),
    step=st.floats(0, 50),
    others=st.integers(0, 3),
)
def test_more_suspicious_never_lowers_the_statistic(
    number: int, column: int, step: float, others: int
) -> None:
    windows = GENUINE[number : number + 1 + others]
    values = windows[0].values.copy()
    towards = {"one": 1.0, "low": -1.0}[COLUMNS[column].sided]
    values[column] += towards * step * STATISTIC.standardiser.scale[column]
    raised = combined([window(values), *windows[1:]])
    assert raised >= combined([window(windows[0].values), *windows[1:]]) - 1e-9


def test_suspicious_values_do_raise_it() -> None:
    for column in range(len(COLUMNS)):
        values = STATISTIC.standardiser.centre.copy()
        before = combined([window(values.copy())])
        values[column] += {"one": 0.9, "low": -0.9}[COLUMNS[column].sided] * STATISTIC.standardiser.scale[
            column
        ]
        assert combined([window(values)]) > before, COLUMNS[column].name


@pytest.mark.parametrize("group", list(GROUPS))
def test_a_missing_group_is_neutral(group: str) -> None:
    own = np.array([c.group == group for c in COLUMNS])
    for genuine in GENUINE[:20]:
        missing = window(np.where(own, np.nan, genuine.values))
        median = window(np.where(own, STATISTIC.standardiser.centre, genuine.values))
        assert combined([missing]) == combined([median])


def test_forged_tracks_stand_out_and_are_explained() -> None:
    genuine = [STATISTIC.assess(make_track(1000 + i), None).statistic for i in range(20)]
    forged = [STATISTIC.assess(make_track(2000 + i, shift=6.0), None) for i in range(10)]
    assert min(j.statistic for j in forged) > max(genuine)
    for judged in forged:
        assert sum(judged.shares.values()) == pytest.approx(1)
        assert max(judged.shares, key=lambda g: judged.shares[g]) in ("encoder", "patch")
        assert judged.telling["head_pose"].value < judged.telling["head_pose"].low
        assert judged.alone["patch"] is not None


def test_a_group_alone_is_none_where_it_is_missing() -> None:
    judged = STATISTIC.assess(make_track(5, absent=["gaze", "blink"]), None)
    assert {g for g, v in judged.alone.items() if v is None} == {"gaze", "blink"}
    assert "gaze" not in judged.telling
    assert judged.shares["gaze"] == 0
    only = STATISTIC.assess(replace(make_track(5, absent=["encoder"]), behavior=()), None)
    assert only.alone["patch"] == pytest.approx(only.statistic)
    assert {g for g, v in only.alone.items() if v is not None} == {"patch"}


def test_values_and_reasons_are_those_of_the_worst_window() -> None:
    track = make_track(6, seconds=20)
    times = np.array([f.time_s for f in track.faces])
    spoilt = make_faces(times, np.where(times > 12, 4.0, -3.0))
    judged = STATISTIC.assess(replace(track, faces=spoilt), None)
    assert judged.values["patch"]["patch_statistic"] == pytest.approx(4.0)


# Several tracks

SCALE = ScoreScale(
    np.sort(STATISTIC.margins_of_genuine),
    *np.quantile(STATISTIC.margins_of_genuine, [0.95, 0.99]),
    0.01,
    "people",
)
LIMITS = QualityLimits(48, 2, 25)


def test_one_of_several_tracks_is_judged_more_leniently() -> None:
    tracks = [make_track(30 + i, track_id=i, shift=1.5 if i == 0 else 0.0) for i in range(3)]
    judge = Judge(SCALE, LIMITS, statistic=STATISTIC)
    alone = judge.judge(tracks[:1], None).tracks[0]
    among = judge.judge(tracks, None).tracks[0]
    assert alone.track_id == among.track_id == 0
    assert among.score < alone.score
    patches = Judge(SCALE, LIMITS)  # patch scores alone are not corrected
    assert patches.judge(tracks, None).tracks[0].score == patches.judge(tracks[:1], None).tracks[0].score


# Storage


def test_stored_and_loaded_it_judges_exactly_the_same(tmp_path: Path) -> None:
    shipped = replace(STATISTIC, quality=EFFECT)
    tensors, record = shipped.to_record()
    stored = register(tmp_path, "v", tensors, {"kind": "verdict", **json.loads(json.dumps(record))})
    loaded = EvidenceStatistic.from_record(stored.load(), stored.settings)
    assert all(t.dtype == torch.float64 for t in stored.load().values())
    assert loaded.standardiser.columns == COLUMNS
    assert loaded.standardiser.signed
    assert np.array_equal(loaded.standardiser.limit, STATISTIC.standardiser.limit)
    for seed in range(5):
        track = make_track(seed, seconds=14, shift=seed)
        assert loaded.assess(track, 0.07) == shipped.assess(track, 0.07)


def test_load_judge_reads_an_evidence_verdict(tmp_path: Path) -> None:
    tensors, record = STATISTIC.to_record()
    tensors |= {
        "statistics": torch.from_numpy(SCALE.statistics.copy()),
        "thresholds": torch.tensor([SCALE.uncertain, SCALE.manipulated], dtype=torch.float64),
        "patch_statistics": torch.linspace(-4, 1, 99, dtype=torch.float64),
        "patch_thresholds": torch.tensor([0.0, 1.0], dtype=torch.float64),
        "limits": torch.tensor([48.0, 2.0, 25.0], dtype=torch.float64),
    }
    settings_of = {"kind": "verdict", "target_fpr": 0.01, "bin": "people", **record}
    judge = load_judge(register(tmp_path, "v", tensors, settings_of))
    track = make_track(8, shift=4.0)
    own = Judge(SCALE, LIMITS, statistic=STATISTIC, patch_scale=judge.patch_scale)
    assert judge.judge([track], 0.1) == own.judge([track], 0.1)
    assert judge.patch_scale.manipulated == 1.0
    signals = judge.judge([track], 0.1).signals
    assert {name: signal.status for name, signal in signals.items()} == dict.fromkeys(GROUPS, "ok")
    assert "correlation_smile" in signals["correlation"].values
    assert sum(signal.weight for signal in signals.values()) == pytest.approx(1)
    assert max(signals, key=lambda name: signals[name].weight) == "patch"
    del tensors["patch_thresholds"]
    with pytest.raises(WeightsError, match="verdict model w is not usable"):
        load_judge(register(tmp_path, "w", tensors, settings_of))


def test_a_model_brings_its_own_columns() -> None:
    own = (Column("patch_upper", "patch", "one"), Column("gaze_vergence_log", "gaze", "low"))
    windows = [w for seed in range(120) for w in evidence(make_track(seed), own)]
    values, valid = np.stack([w.values for w in windows]), np.stack([w.valid for w in windows])
    standardiser = Standardiser.fit(values, valid, own, signed=True)
    points = standardiser.transform(values, valid)
    model = LinearOneClassSVM.fit(points, corner=standardiser.weight * 6.0)
    fitted = EvidenceStatistic(standardiser, model, model.score_samples(points), QualityEffect.none())
    tensors, record = fitted.to_record()
    loaded = EvidenceStatistic.from_record(tensors, json.loads(json.dumps(record)))
    track = make_track(3, shift=4.0)
    judged = loaded.assess(track, None)
    assert judged == fitted.assess(track, None)
    assert set(judged.alone) == set(judged.shares) == {"patch", "gaze"}
    signals = Judge(SCALE, LIMITS, statistic=loaded).judge([track], None).signals
    assert {name for name, signal in signals.items() if signal.status == "ok"} == {"patch", "gaze"}
    assert {s.status for n, s in signals.items() if n not in judged.alone} == {"not_applicable"}
    assert STATISTIC.assess(track, None).statistic != judged.statistic  # side by side with all columns


def test_columns_follow_their_names_into_other_orders_and_renamed_groups() -> None:
    tensors, record = STATISTIC.to_record()
    order = list(range(len(COLUMNS)))[::-1]
    turned = {k: v[order] if v.shape == (len(COLUMNS),) else v for k, v in tensors.items()}
    columns = [[name, "once called otherwise", sided] for name, _, sided in record["columns"][::-1]]
    loaded = EvidenceStatistic.from_record(turned, record | {"columns": columns})
    track = make_track(4, shift=3.0)
    found, expected = loaded.assess(track, 0.1), STATISTIC.assess(track, 0.1)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.shares == pytest.approx(expected.shares)


def test_a_feature_that_nobody_measures_is_refused() -> None:
    tensors, record = STATISTIC.to_record()
    record["columns"] = [["ear_wiggle", "ears", "one"], *record["columns"][1:]]
    with pytest.raises(WeightsError, match="does not measure: ear_wiggle"):
        EvidenceStatistic.from_record(tensors, record)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reference", None),
        ("reference", torch.zeros(5)),
        ("reference", torch.tensor([0.0, float("nan")])),
        ("quality", None),
        ("quality", torch.zeros(3, 3)),
        ("quality", torch.full((4, 3), float("inf"))),
    ],
)
def test_a_damaged_reference_is_refused(key: str, value: torch.Tensor | None) -> None:
    tensors, record = STATISTIC.to_record()
    del tensors[key]
    if value is not None:
        tensors[key] = value
    with pytest.raises(WeightsError, match="reference is not usable"):
        EvidenceStatistic.from_record(tensors, record)

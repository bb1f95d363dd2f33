"""Windows of a track, the patch features of each, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.person_series import person_series
from tests.tracks import make_faces, make_track
from vidscan.behavior.spans import HOP_S, WINDOW_S, spans
from vidscan.behavior.windows import DESCRIBERS, describe_window
from vidscan.patches.parts import PARTS
from vidscan.types import BehaviorWindow, Track
from vidscan.verdict import patch_features
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.features import evidence, feature_list
from vidscan.verdict.groups import COLUMNS, GROUP_OF, GROUPS
from vidscan.verdict.standardiser import Column

# Windows


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (3.0, 3.0, [(3, 3)]),
        (0.0, 9.9, [(0, 9.9)]),
        (0.0, 10.0, [(0, 10)]),
        (0.0, 10.9, [(0, 10)]),  # a sliver
        (0.0, 11.5, [(0, 10), (1.5, 11.5)]),
        (2.0, 22.0, [(2, 12), (7, 17), (12, 22)]),
        (0.0, 18.0, [(0, 10), (5, 15), (8, 18)]),
    ],
)
def test_spans_by_hand(start: float, end: float, expected: list[tuple[float, float]]) -> None:
    assert np.array(spans(start, end)) == pytest.approx(np.array(expected))


@settings(max_examples=200, deadline=None)
@given(start=st.floats(0, 1e4), seconds=st.floats(0, 300))
def test_spans_cover_the_track_but_for_a_sliver(start: float, seconds: float) -> None:
    found = spans(start, start + seconds)
    end = start + seconds
    assert found[0][0] == start
    assert end - 1.0 - 1e-9 <= found[-1][1] <= end
    assert all(b - a <= WINDOW_S + 1e-6 for a, b in found)
    if len(found) > 1:
        assert all(b - a == pytest.approx(WINDOW_S) for a, b in found)
        steps = np.diff([a for a, _ in found])
        assert (steps > 0).all()
        assert (steps <= HOP_S + 1e-6).all()  # no gap between windows


def test_a_window_describes_its_own_rows_and_every_group() -> None:
    series = person_series(1, 20.0)
    whole = describe_window(series, 5.0, 15.0)
    assert set(whole.values) == set(DESCRIBERS)
    for group, values in whole.values.items():
        if values is not None:
            assert set(values) == set(GROUPS[group].features)
            assert np.isfinite(list(values.values())).all()
    assert any(values is not None for values in whole.values.values())
    lost = replace(series, landmarks=np.where(series.times[:, None, None] < 5, np.nan, series.landmarks))
    assert describe_window(lost, 5.0, 15.0) == whole
    assert not any(describe_window(series, 5.0, 6.0).values.values())  # too short to say anything


def test_each_window_holds_its_own_crops() -> None:
    times = np.arange(0, 20.01, 0.25)
    levels = np.where(times < 10, -4.0, 3.0)
    track = Track(7, make_faces(times, levels), len(times), 0.0, 20.0)
    first, middle, last = evidence(track)
    assert [(w.track_id, w.start_s, w.end_s) for w in (first, middle, last)] == [
        (7, 0, 10),
        (7, 5, 15),
        (7, 10, 20),
    ]
    assert first.values[0] == pytest.approx(-4)
    assert last.values[0] == pytest.approx(3)
    assert last.measured["patch"]["patch_share"] == 1
    assert middle.measured["patch"]["patch_share"] == pytest.approx(0.5, abs=0.03)


def test_windows_without_crops_are_left_out() -> None:
    times = np.concatenate([np.arange(0, 9, 0.25), np.arange(30.1, 39, 0.25)])
    track = Track(0, make_faces(times, np.zeros(len(times))), 500, 0.0, 39.0)
    found = [(w.start_s, w.end_s) for w in evidence(track)]
    assert (0, 10) in found
    assert (15, 25) not in found
    assert len(found) < len(spans(0.0, 39.0))


@pytest.mark.parametrize(("end_s", "at"), [(10.5, 10.2), (15.5, 15.2)])
def test_crops_beyond_the_last_window_are_still_evidence(end_s: float, at: float) -> None:
    (window,) = evidence(Track(0, make_faces([at], [2.5]), 300, 0.0, end_s))
    assert window.values[0] == 2.5
    assert window.measured["patch"] == {"patch_statistic": 2.5}


# The vector


def test_the_vector_is_in_the_order_of_the_columns() -> None:
    (window,) = evidence(make_track(1))
    assert window.valid.all()
    for column, value in zip(COLUMNS, window.values, strict=True):
        if column.name in window.measured[column.group]:
            assert value == window.measured[column.group][column.name]
        else:
            assert column.name in GROUPS[column.group].derived
    derived = dict(zip((c.name for c in COLUMNS), window.values, strict=True))
    assert derived["head_pose_wander_log"] == pytest.approx(
        np.log(window.measured["head_pose"]["head_pose_wander"]), abs=0.01
    )
    spreads = [v for k, v in window.measured["action_units"].items() if k.endswith("_spread")]
    assert derived["expression_stillness"] == pytest.approx(-np.mean(np.log(spreads)), abs=0.01)


def test_the_vector_holds_the_columns_asked_for() -> None:
    columns = (Column("patch_share", "patch"), Column("gaze_vergence_log", "gaze", "low"))
    (window,), (whole,) = evidence(make_track(1), columns), evidence(make_track(1))
    assert window.values[0] == window.measured["patch"]["patch_share"]
    assert window.values[1] == whole.values[[c.name for c in COLUMNS].index("gaze_vergence_log")]
    assert window.measured == whole.measured


@pytest.mark.parametrize("group", list(DESCRIBERS))
def test_a_missing_group_is_nan_and_invalid_and_leaves_the_others(group: str) -> None:
    (whole,), (window,) = evidence(make_track(1)), evidence(make_track(1, absent=[group]))
    own = np.array([c.group == group for c in COLUMNS])
    assert own.any()
    assert np.isnan(window.values[own]).all()
    assert not window.valid[own].any()
    assert window.valid[~own].all()
    assert np.array_equal(window.values[~own], whole.values[~own])
    assert group not in window.measured


def test_a_track_without_behavior_is_judged_by_its_crops() -> None:
    track = replace(make_track(1), behavior=())
    (window,) = evidence(track)
    assert set(window.measured) == {"patch", "encoder"}
    judged = [c.group for c, v in zip(COLUMNS, window.valid, strict=True) if v]
    assert judged == ["patch", "patch", "patch", "encoder"]


def test_a_value_that_is_not_finite_is_invalid() -> None:
    track = make_track(1)
    values = {**track.behavior[0].values, "flicker": {"flicker_blue_coarse": float("nan")}}
    (window,) = evidence(replace(track, behavior=(BehaviorWindow(0.0, 6.0, values),)))
    assert not window.valid[[c.name for c in COLUMNS].index("flicker_blue_coarse")]


# Patch features


def test_patch_features_by_hand() -> None:
    scores = [-2.0, 1.0, 1.0, 1.0, -2.0, -2.0, 1.0, -2.0]
    times = np.arange(8) * 3.0  # two seconds hold one crop each
    found = patch_features.describe(list(make_faces(times, scores)))
    assert found is not None
    assert found["patch_statistic"] == pytest.approx(statistic(times, np.array(scores)))
    assert found["patch_upper"] == pytest.approx(1.0)
    assert found["patch_share"] == 0.5
    assert found["patch_run"] == pytest.approx(3 / 8)
    assert found["patch_flicker"] == pytest.approx(3.0)
    assert found["patch_spread"] == pytest.approx(1.5)
    of_parts = {f"patch_{p}" for p in PARTS} | {"patch_mouth_level", "patch_contrast"}
    assert set(found) | of_parts == set(patch_features.FEATURES) and not set(found) & of_parts


def test_contrast_is_the_mouth_less_the_brow() -> None:
    levels = dict.fromkeys(PARTS, -3.0) | {"mouth": 2.0, "brow": -4.0}
    found = patch_features.describe(list(make_faces(np.arange(5.0), np.zeros(5), list(levels.values()))))
    assert found is not None
    assert found["patch_contrast"] == pytest.approx(6.0)
    assert found["patch_mouth"] == pytest.approx(5.0)  # the whole face's median is -3
    assert found["patch_cheeks"] == pytest.approx(0.0)
    assert found["patch_mouth_level"] == pytest.approx(2.0)


def test_a_part_that_is_never_seen_is_left_out() -> None:
    levels = dict.fromkeys(PARTS, -3.0) | {"mouth": float("nan")}
    faces = make_faces(np.arange(6.0), np.zeros(6), list(levels.values()))
    found = patch_features.describe(list(faces))
    assert found is not None
    assert np.isfinite(list(found.values())).all()
    assert "patch_mouth" not in found
    assert "patch_contrast" not in found and "patch_mouth_level" not in found
    assert found["patch_nose"] == pytest.approx(0.0)
    (window,) = evidence(Track(0, faces, 6, 0.0, 5.0))
    assert window.valid.nonzero()[0].tolist() == [[c.name for c in COLUMNS].index("patch_statistic")]


def test_faces_without_parts_or_too_few_crops_tell_only_their_level() -> None:
    assert patch_features.describe([]) is None
    assert patch_features.describe(list(make_faces([0.0, 0.1], [1.0, 2.0]))) == {"patch_statistic": 1.5}


# The list of features


def test_feature_list_covers_everything_once() -> None:
    listed = feature_list()
    names = [row["name"] for row in listed]
    assert sorted(names) == sorted(GROUP_OF)
    assert len(set(names)) == len(names)
    assert {c.name for c in COLUMNS} == {row["name"] for row in listed if row["suspicious"]}
    by_name = {row["name"]: row for row in listed}
    for column in COLUMNS:
        assert by_name[column.name]["group"] == column.group
        assert by_name[column.name]["suspicious"] == {"one": "high", "low": "low"}[column.sided]
    assert all(row["meaning"] for row in listed)

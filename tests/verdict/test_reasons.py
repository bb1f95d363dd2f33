"""Reasons of a verdict: codes, weights, the part of the face and what genuine people do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.patches.parts import PARTS
from vidscan.types import Label, Note, Quality, Segment, TrackReport
from vidscan.verdict.groups import COLUMNS, GROUPS
from vidscan.verdict.reasons import LEAST_SHARE, evidence_reasons, quality_reasons
from vidscan.verdict.statistic import Assessment, Telling


def report(label: Label = "manipulated", flags: tuple[Note, ...] = ()) -> TrackReport:
    return TrackReport(3, label, 0.9, 0.01, 1.0, 9.0, 200, 120.0, Quality(120.0, 9.0, 110.0, 0.1, flags))


def judged(shares: dict[str, float], values: dict | None = None, telling: dict | None = None) -> Assessment:
    return Assessment(3.0, shares, dict.fromkeys(GROUPS), values or {}, telling or {})


@settings(max_examples=100, deadline=None)
@given(
    raw=st.lists(st.floats(0, 1), min_size=len(GROUPS), max_size=len(GROUPS)),
    lengths=st.lists(st.floats(0, 20), max_size=4),
)
def test_weights_sum_to_one_and_light_groups_are_not_named(raw: list[float], lengths: list[float]) -> None:
    total = sum(raw)
    shares = {g: v / total if total > 1e-6 else 0.0 for g, v in zip(GROUPS, raw, strict=True)}
    segments = tuple(Segment(3, 1.0, 1.0 + s, 1.0, 0.7) for s in lengths)
    reasons = evidence_reasons(report(), judged(shares), segments)
    assert sum(r.weight for r in reasons) == pytest.approx(1)
    named = max(1, sum(s >= LEAST_SHARE for s in shares.values()))
    assert len({r.code for r in reasons}) == named
    assert all(r.track_id == 3 for r in reasons)


def test_heaviest_group_first() -> None:
    reasons = evidence_reasons(report(), judged({"patch": 0.3, "blink": 0.5, "gaze": 0.2}), ())
    assert [r.code for r in reasons] == ["blinking_unusual", "patches_manipulated", "gaze_incoherent"]
    assert [r.weight for r in reasons] == pytest.approx([0.5, 0.3, 0.2])
    assert {(r.start_s, r.end_s) for r in reasons} == {(1.0, 9.0)}


@pytest.mark.parametrize(
    ("label", "code"), [("manipulated", "patches_manipulated"), ("uncertain", "patches_suspicious")]
)
def test_code_of_the_patches_follows_the_label(label: Label, code: str) -> None:
    (reason,) = evidence_reasons(report(label), judged({"patch": 1.0}), ())
    assert reason.code == code


def test_where_nothing_is_anomalous_the_patches_are_named() -> None:
    (reason,) = evidence_reasons(report("uncertain"), judged(dict.fromkeys(GROUPS, 0.0)), ())
    assert (reason.code, reason.weight) == ("patches_suspicious", 1.0)


@pytest.mark.parametrize("part", list(PARTS))
def test_the_part_that_stands_out_is_named(part: str) -> None:
    levels = {f"patch_{p}": 2.0 if p == part else -0.5 for p in PARTS}
    (reason,) = evidence_reasons(report(), judged({"patch": 1.0}, {"patch": levels}), ())
    assert reason.message.endswith(f"most about {PARTS[part]}")


def test_no_part_is_named_where_none_was_measured() -> None:
    (reason,) = evidence_reasons(report(), judged({"patch": 1.0}, {"patch": {"patch_statistic": 2.0}}), ())
    assert "about" not in reason.message


def test_stretches_share_the_patches_weight_by_score_and_length() -> None:
    segments = (Segment(3, 1.0, 3.0, 2.0, 0.9), Segment(3, 5.0, 6.0, 5.5, 0.6))
    long, short, other = evidence_reasons(report(), judged({"patch": 0.8, "gaze": 0.2}), segments)
    assert (long.start_s, long.end_s, short.start_s, short.end_s) == (1.0, 3.0, 5.0, 6.0)
    assert long.weight == pytest.approx(0.8 * 1.8 / 2.4)
    assert short.weight == pytest.approx(0.8 * 0.6 / 2.4)
    assert other.weight == pytest.approx(0.2)


def test_what_genuine_people_do_is_told_only_of_unusual_values() -> None:
    name = "head_pose_wander_log"
    outside = {"head_pose": Telling(name, -4.0, -2.0, 0.5)}
    (reason,) = evidence_reasons(report(), judged({"head_pose": 1.0}, telling=outside), ())
    assert reason.code == "head_pose_inconsistent"
    # degrees, not their logarithms: e^-4, e^-2 and e^.5
    assert "drifts by 0.018 degrees" in reason.message
    assert reason.message.endswith("genuine people 0.14 to 1.6 degrees")
    inside = {"head_pose": Telling(name, -1.0, -2.0, 0.5)}
    (plain,) = evidence_reasons(report(), judged({"head_pose": 1.0}, telling=inside), ())
    assert "degrees" not in plain.message


def test_a_measured_feature_is_told_with_its_unit() -> None:
    telling = {"blink": Telling("blink_longest_pause", 40.0, -3.0, 9.0)}
    (reason,) = evidence_reasons(report(), judged({"blink": 1.0}, telling=telling), ())
    assert reason.message.endswith("40 s pass without a blink, genuine people 0 to 9 s")  # not from -3 s on


def test_a_number_that_falls_as_the_feature_rises_is_told_in_order() -> None:
    telling = {"action_units": Telling("expression_stillness", 3.0, -2.0, 2.0)}
    (reason,) = evidence_reasons(report(), judged({"action_units": 1.0}, telling=telling), ())
    # e^-3, then from e^-2 to e^2, but the scale ends at 5
    assert "vary by 0.05 on a scale from 0 to 5, genuine people 0.14 to 5" in reason.message


def test_every_judged_behaviour_has_plain_words() -> None:
    for column in COLUMNS:
        if column.group != "patch":
            telling = {column.group: Telling(column.name, 9.0, -1.0, 1.0)}
            (reason,) = evidence_reasons(report(), judged({column.group: 1.0}, telling=telling), ())
            assert "_" not in reason.message
            assert "log" not in reason.message
            assert "genuine people" in reason.message.rpartition(",")[2]


def test_quality_reasons_are_the_flags_in_equal_shares() -> None:
    flags = (Note("face_too_small", "face is 20 px wide"), Note("face_too_dark", "too dark"))
    reasons = quality_reasons(report("uncertain", flags))
    assert [(r.code, r.message, r.weight) for r in reasons] == [
        ("face_too_small", "face is 20 px wide", 0.5),
        ("face_too_dark", "too dark", 0.5),
    ]
    assert {(r.track_id, r.start_s, r.end_s) for r in reasons} == {(3, 1.0, 9.0)}

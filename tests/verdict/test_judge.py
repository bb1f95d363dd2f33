"""Labels, reasons and segments of made-up tracks whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidscan.errors import SetupError, WeightsError
from vidscan.models import ModelRecord, register
from vidscan.types import BehaviorWindow, FaceEvidence, Track
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.calibration import ScoreScale
from vidscan.verdict.judge import Judge, QualityLimits, load_judge

SCALE = ScoreScale(np.linspace(-4, 1, 199), uncertain=0.0, manipulated=2.0, target_fpr=0.01, bin="people")
LIMITS = QualityLimits(min_face_px=48, min_sharpness=2, min_brightness=30)
JUDGE = Judge(SCALE, LIMITS, (0.008, (0.002, 0.02)))
FPS = 8.0
NONE = "no_manipulation_found"


def make_track(
    scores: list[float] | np.ndarray,
    track_id: int = 0,
    start_s: float = 0.0,
    *,
    face_px: float = 120.0,
    sharpness: float = 9.0,
    brightness: float = 110.0,
) -> Track:
    times = start_s + np.arange(len(scores)) / FPS
    faces = tuple(
        FaceEvidence(round(t * 24), float(t), (0, 0, 9, 9), float(s), face_px, sharpness, brightness)
        for t, s in zip(times, scores, strict=True)
    )
    return Track(track_id, faces, len(faces) * 3, float(times[0]), float(times[-1]))


@pytest.mark.parametrize(
    ("level", "label"),
    [
        (-3.0, NONE),
        (-0.1, NONE),
        (0.1, "uncertain"),
        (1.9, "uncertain"),
        (2.1, "manipulated"),
    ],
)
def test_label_follows_the_thresholds(level: float, label: str) -> None:
    judgement = JUDGE.judge([make_track([level] * 24)], 0.2)
    verdict = judgement.verdict
    assert verdict.label == judgement.tracks[0].label == label
    assert verdict.score == pytest.approx(SCALE.score(level))
    assert verdict.p_value == pytest.approx(SCALE.p_value(level))
    assert (verdict.thresholds.uncertain, verdict.thresholds.manipulated) == (0.5, 0.8)
    assert (verdict.score >= 0.8, verdict.score >= 0.5) == (
        label == "manipulated",
        label != NONE,
    )
    assert judgement.quality.bits_per_pixel == 0.2


def test_what_calibrated_it_is_in_the_verdict() -> None:
    calibration = JUDGE.judge([], None).verdict.calibration
    assert (calibration.n, calibration.bin, calibration.target_fpr) == (199, "people", 0.01)
    assert (calibration.measured_fpr, calibration.interval) == (0.008, (0.002, 0.02))
    unmeasured = Judge(SCALE, LIMITS).judge([], None).verdict.calibration
    assert (unmeasured.measured_fpr, unmeasured.interval) == (None, None)


@pytest.mark.parametrize(
    ("poor", "code"),
    [
        ({"face_px": 47.0}, "face_too_small"),
        ({"sharpness": 1.9}, "face_too_blurred"),
        ({"brightness": 29.0}, "face_too_dark"),
    ],
)
@pytest.mark.parametrize("level", [-5.0, 5.0])
def test_poor_material_gets_no_clear_verdict(poor: dict[str, float], code: str, level: float) -> None:
    judgement = JUDGE.judge([make_track([level] * 24, **poor)], None)
    assert judgement.verdict.label == "uncertain"
    assert judgement.verdict.score == pytest.approx(SCALE.score(level))  # uncertain keeps its score
    assert [flag.code for flag in judgement.quality.flags] == [code]
    assert [reason.code for reason in judgement.verdict.reasons] == [code]


# --------------------------------------------------------------------------- too short, too compressed

GATE = replace(LIMITS, min_seconds=0.5, min_crops=4, min_bits_per_pixel=0.01)
GATED = Judge(SCALE, GATE)


def still(level: float, frame_index: int = 0, track_id: int = 0) -> Track:
    """A face that was seen in one frame only."""
    (face,) = make_track([level]).faces
    time_s = frame_index / 24
    seen = replace(face, frame_index=frame_index, time_s=time_s)
    return Track(track_id, (seen,), 1, time_s, time_s)


@pytest.mark.parametrize("level", [-5.0, 5.0])
def test_a_glimpse_in_a_video_gets_no_clear_verdict(level: float) -> None:
    judgement = GATED.judge([make_track([level] * 4)], 0.2)  # from 0 to .375 s
    assert judgement.verdict.label == "uncertain"
    assert judgement.verdict.score == pytest.approx(SCALE.score(level))
    (reason,) = judgement.verdict.reasons
    assert (reason.code, reason.message) == ("too_short", "face is seen for 0.37 s, 0.5 s are needed")
    assert GATED.judge([make_track([level] * 5)], 0.2).quality.flags == ()


@pytest.mark.parametrize(("crops", "words"), [(1, "1 frame,"), (3, "3 frames,")])
def test_few_crops_of_a_long_track_are_too_few(crops: int, words: str) -> None:
    track = replace(make_track([-5.0] * crops), end_s=20.0)
    (reason,) = GATED.judge([track], 0.2).verdict.reasons
    assert reason.code == "too_short"
    assert reason.message == f"face was examined in {words} 4 are needed"
    assert GATED.judge([replace(make_track([-5.0] * 4), end_s=20.0)], 0.2).verdict.label == NONE


@pytest.mark.parametrize(("level", "label"), [(-3.0, NONE), (1.0, "uncertain"), (4.0, "manipulated")])
def test_a_picture_is_judged_by_its_one_crop(level: float, label: str) -> None:
    judgement = GATED.judge([still(level), still(-3.0, track_id=1)], 0.2)
    assert judgement.verdict.label == label
    assert judgement.quality.flags == ()
    # The same face in a clip that shows no more of it.
    clip = GATED.judge([still(level)], 0.2, picture=False)
    assert [f.code for f in clip.quality.flags] == ["too_short"] and clip.verdict.label == "uncertain"
    # The same single frame, but later than any picture has one.
    assert [f.code for f in GATED.judge([still(level, 5)], 0.2).quality.flags] == ["too_short"]


@pytest.mark.parametrize("tracks", [[make_track([-5.0] * 24)], [still(-5.0)]], ids=["video", "picture"])
@pytest.mark.parametrize(
    ("bits", "label"),
    [(0.009, "uncertain"), (0.011, NONE), (None, NONE)],
)
def test_few_bits_a_pixel(tracks: list[Track], bits: float | None, label: str) -> None:
    judgement = GATED.judge(tracks, bits)
    assert judgement.verdict.label == label
    assert {r.code for r in judgement.verdict.reasons} == ({"too_compressed"} if bits == 0.009 else set())


def test_somebody_who_passes_by_does_not_cloud_the_verdict() -> None:
    long, brief = make_track([-3.0] * 12, 0), make_track([-3.0] * 4, 1)
    judgement = GATED.judge([long, brief], 0.2)
    assert [t.label for t in judgement.tracks] == [
        NONE,
        "uncertain",
    ]  # it is still reported
    assert judgement.verdict.label == NONE
    # A brief face that looks forged is not waved through, whatever the rest looks like.
    forged = GATED.judge([long, make_track([6.0] * 4, 1)], 0.2).verdict
    assert (forged.label, [r.code for r in forged.reasons]) == ("uncertain", ["too_short"])
    # Nor does brevity excuse what else is wrong, or what nobody clear stands beside.
    dark = GATED.judge([long, make_track([-3.0] * 4, 1, brightness=3.0)], 0.2)
    assert dark.verdict.label == "uncertain"
    assert GATED.judge([brief, make_track([-3.0] * 4, 2)], 0.2).verdict.label == "uncertain"


def test_without_these_limits_nothing_is_asked() -> None:
    assert JUDGE.judge([make_track([-5.0])], 1e-6).verdict.label == NONE


def test_several_flags_share_the_weight() -> None:
    reasons = JUDGE.judge([make_track([9.0] * 24, face_px=20, brightness=3)], None).verdict.reasons
    assert {r.code for r in reasons} == {"face_too_small", "face_too_dark"}
    assert sum(r.weight for r in reasons) == pytest.approx(1)


def test_worst_track_wins() -> None:
    tracks = [make_track([level] * 24, i) for i, level in enumerate((-3.0, 4.0, 3.0, 1.0))]
    judgement = JUDGE.judge(tracks, None)
    assert [t.label for t in judgement.tracks] == [
        NONE,
        "manipulated",
        "manipulated",
        "uncertain",
    ]
    assert judgement.verdict.label == "manipulated"
    assert judgement.verdict.score == judgement.tracks[1].score
    assert {r.track_id for r in judgement.verdict.reasons} == {1}
    assert judgement.signals["patch"].values["log_odds"] == pytest.approx(4.0)


def test_a_manipulated_track_outranks_a_flagged_one_with_a_higher_score() -> None:
    judgement = JUDGE.judge([make_track([9.0] * 24, 0, face_px=10), make_track([3.0] * 24, 1)], None)
    assert judgement.verdict.label == "manipulated"
    assert judgement.verdict.score == pytest.approx(SCALE.score(3.0))


def test_a_small_poor_face_behind_a_clear_one_does_not_cloud_the_verdict() -> None:
    clear = make_track([-3.0] * 24, 0, face_px=200)
    behind = make_track([-3.0] * 24, 1, face_px=40)
    judgement = JUDGE.judge([clear, behind], None)
    assert [t.label for t in judgement.tracks] == [
        NONE,
        "uncertain",
    ]  # it is still reported
    assert judgement.verdict.label == NONE
    assert judgement.quality.flags == ()
    # Beside the clear face, not behind it.
    beside = make_track([-3.0] * 24, 1, face_px=120, sharpness=1.0)
    assert JUDGE.judge([clear, beside], None).verdict.label == "uncertain"
    # A forged face in the background counts as long as it can be judged.
    forged = make_track([4.0] * 24, 1, face_px=60)
    assert JUDGE.judge([clear, forged], None).verdict.label == "manipulated"
    # Nothing in front: the poor face is what there is.
    assert JUDGE.judge([behind, make_track([-3.0] * 24, 2, face_px=30)], None).verdict.label == "uncertain"


def test_frames_and_segments_are_scored_on_the_patch_scale() -> None:
    patch_scale = replace(SCALE, uncertain=5.0, manipulated=6.0)
    judge = Judge(SCALE, LIMITS, patch_scale=patch_scale)
    judgement = judge.judge([make_track([3.0] * 24)], None)
    assert judgement.verdict.label == "manipulated"
    assert judgement.segments == ()
    assert Judge(SCALE, LIMITS).judge([make_track([3.0] * 24)], None).segments[0].score > 0.8


@pytest.mark.parametrize("tracks", [[], [Track(0, (), 3, 0.0, 0.1)]], ids=["none", "never analysed"])
def test_no_faces_no_score(tracks: list[Track]) -> None:
    judgement = JUDGE.judge(tracks, 0.1)
    verdict = judgement.verdict
    assert (verdict.label, verdict.score, verdict.p_value, verdict.reasons) == ("no_face", None, None, ())
    assert judgement.tracks == judgement.segments == ()
    assert judgement.signals["patch"].status == "not_applicable"
    assert judgement.signals["patch"].score is None
    assert judgement.quality.bits_per_pixel == 0.1


def test_segments_lie_where_the_forged_stretch_lies() -> None:
    scores = np.random.default_rng(0).normal(-3, 0.3, 240)
    scores[80:144] += 7.0  # seconds 10 to 18
    judgement = JUDGE.judge([make_track(scores, 5)], None)
    assert judgement.verdict.label == "manipulated"
    (segment,) = judgement.segments
    assert segment.track_id == 5
    assert segment.start_s == pytest.approx(10, abs=0.5)
    assert segment.end_s == pytest.approx(17.9, abs=0.5)
    assert segment.start_s <= segment.peak_s <= segment.end_s
    assert segment.score > 0.8
    (reason,) = judgement.verdict.reasons
    assert (reason.start_s, reason.end_s) == (segment.start_s, segment.end_s)
    assert reason.code == "patches_manipulated"
    assert reason.weight == pytest.approx(1)


def test_two_stretches_share_the_weight_by_length() -> None:
    scores = np.full(320, -3.0)
    scores[40:104] = 5.0
    scores[200:232] = 5.0
    judgement = JUDGE.judge([make_track(scores)], None)
    long, short = judgement.verdict.reasons
    assert long.weight + short.weight == pytest.approx(1)
    assert long.weight == pytest.approx(2 * short.weight, rel=0.15)


def test_clips_in_which_nothing_is_found_give_no_reasons_nor_segments() -> None:
    judgement = JUDGE.judge([make_track([-3.0] * 24)], None)
    assert judgement.segments == judgement.verdict.reasons == ()


def test_glimpses_beside_a_long_track_are_ignored() -> None:
    long, glimpse = make_track([-3.0] * 80, 0), make_track([9.0] * 3, 1, 4.0)
    assert [t.track_id for t in JUDGE.judge([long, glimpse], None).tracks] == [0]
    assert JUDGE.judge([long, glimpse], None).verdict.label == NONE
    assert JUDGE.judge([long, make_track([9.0] * 6, 1, 4.0)], None).verdict.label == "manipulated"
    # where there is nothing longer, a glimpse is what there is to judge
    assert JUDGE.judge([glimpse], None).verdict.label == "manipulated"
    assert JUDGE.judge([make_track([9.0])], None).verdict.label == "manipulated"  # a picture


def test_signal_values_describe_the_worst_track() -> None:
    scores = np.random.default_rng(3).normal(1, 1, 50)
    track = make_track(scores)
    values = JUDGE.judge([track], None).signals["patch"].values
    times = np.array([f.time_s for f in track.faces])
    assert values["log_odds"] == pytest.approx(statistic(times, scores))
    assert values["median"] == pytest.approx(np.median(scores))
    assert values["spread"] == pytest.approx(np.std(scores))
    assert values["crops"] == 50


def test_patches_alone_say_nothing_of_behaviour() -> None:
    signals = JUDGE.judge([make_track([1.0] * 24)], None).signals
    assert signals["patch"].status == "ok"
    assert signals["patch"].score == pytest.approx(SCALE.score(1.0))
    others = [signal for name, signal in signals.items() if name != "patch"]
    assert {(s.status, s.score) for s in others} == {("not_applicable", None)}


# --------------------------------------------------------------------------- the registry record


def verdict_record(folder: Path, tensors: dict[str, Any] | None = None, **changes: Any) -> ModelRecord:
    everything = {
        "statistics": torch.from_numpy(SCALE.statistics.copy()),
        "thresholds": torch.tensor([0.0, 2.0], dtype=torch.float64),
        "limits": torch.tensor([48.0, 2.0, 30.0], dtype=torch.float64),
    } | (tensors or {})
    kept = {k: v for k, v in everything.items() if v is not None}
    settings = {"kind": "verdict", "target_fpr": 0.01, "bin": "people"} | changes
    return register(folder, "v", kept, {k: v for k, v in settings.items() if v is not None})


def test_load_judge_reads_what_was_registered(tmp_path: Path) -> None:
    record = verdict_record(tmp_path, measured_fpr={"rate": 0.02, "interval": [0.01, 0.03]})
    judge = load_judge(record)
    assert judge.limits == LIMITS
    assert (judge.calibration.measured_fpr, judge.calibration.interval) == (0.02, (0.01, 0.03))
    track = make_track([1.0] * 24)
    assert judge.judge([track], None).verdict.score == pytest.approx(
        JUDGE.judge([track], None).verdict.score, rel=1e-5
    )
    assert load_judge(verdict_record(tmp_path)).calibration.measured_fpr is None
    limits = torch.tensor([48.0, 2.0, 30.0, 0.5, 4.0, 0.01], dtype=torch.float64)
    assert load_judge(verdict_record(tmp_path, {"limits": limits})).limits == GATE


@pytest.mark.parametrize(
    ("rates", "level", "label"),
    [
        ((0.0, 0.0), 0.6, "uncertain"),  # fitted: uncertain from 0, manipulated from 2
        ((0.1, 0.0), 0.6, "manipulated"),  # 180th of 199 from -4 to 1: .51
        ((0.1, 0.0), 0.4, "uncertain"),  # 160th: .02, above the fitted 0
        ((0.1, 0.0), -0.1, NONE),
        ((0.1, 0.3), 0.4, "uncertain"),  # 140th: -.49
        ((0.1, 0.3), -0.4, "uncertain"),
        ((0.1, 0.3), -0.6, NONE),
        ((0.0, 0.3), 1.9, "uncertain"),
        ((0.4, 0.0), -0.9, "manipulated"),  # 120th: -1
        ((0.4, 0.0), -1.1, "uncertain"),  # 40th, at twice the rate: -3.02
        ((0.4, 0.0), -3.1, NONE),
    ],
)
def test_labels_follow_the_rates_asked_for(
    rates: tuple[float, float], level: float, label: str, tmp_path: Path
) -> None:
    measured = {"rate": 0.02, "interval": [0.01, 0.03]}
    judge = load_judge(verdict_record(tmp_path, measured_fpr=measured), *rates)
    verdict = judge.judge([make_track([level] * 24)], None).verdict
    assert verdict.label == label
    # Another rate changes what is called how, not the score.
    assert verdict.score == pytest.approx(SCALE.score(level), rel=1e-5)
    assert (verdict.score >= verdict.thresholds.manipulated) == (label == "manipulated")
    assert (verdict.score >= verdict.thresholds.uncertain) == (label != NONE)
    assert verdict.calibration.target_fpr == (rates[0] or 0.01)
    assert verdict.calibration.measured_fpr == (None if rates[0] else 0.02)


def test_segments_are_those_of_the_rate_asked_for(tmp_path: Path) -> None:
    track = make_track([-2.0] * 24 + [-0.3] * 24 + [-2.0] * 24)
    record = verdict_record(tmp_path)
    assert not load_judge(record).judge([track], None).segments
    (segment,) = load_judge(record, uncertain_fpr=0.3).judge([track], None).segments
    assert 2.5 < segment.start_s < segment.end_s < 6.5


def test_a_stretch_tells_its_strongest_look_at_every_rate(tmp_path: Path) -> None:
    """And ends where its looks do, though the level that finds it lags behind them."""
    scores = np.array([-2.0] * 24 + [0.3] * 24 + [-2.0] * 24)
    scores[30] = 0.9
    track = make_track(scores)
    record = verdict_record(tmp_path)
    told = set()
    for rate in (0.2, 0.3, 0.4):
        judge = load_judge(record, uncertain_fpr=rate)
        (segment,) = judge.judge([track], None).segments
        told.add((segment.peak_s, segment.score))
        assert (segment.start_s, segment.end_s) == (track.faces[24].time_s, track.faces[47].time_s)
    assert told == {(track.faces[30].time_s, judge.patch_scale.score(0.9))}


def test_whether_a_brief_face_looks_genuine_goes_by_the_rate_asked_for(tmp_path: Path) -> None:
    limits = torch.tensor([48.0, 2.0, 30.0, 0.5, 4.0, 0.01], dtype=torch.float64)
    record = verdict_record(tmp_path, {"limits": limits})
    tracks = [make_track([-3.0] * 12), make_track([-0.3] * 4, 1)]
    assert load_judge(record).judge(tracks, None).verdict.label == NONE
    assert load_judge(record, uncertain_fpr=0.3).judge(tracks, None).verdict.label == "uncertain"


def test_a_rate_that_the_patch_scale_cannot_set_is_kept_by_the_verdict() -> None:
    few = ScoreScale(np.linspace(-4, 1, 99), 0.0, 2.0, 0.01, "people")
    judge = Judge(SCALE, LIMITS, patch_scale=few, target_fpr=0.005, uncertain_fpr=0.006)
    assert judge.calibration.target_fpr == 0.005
    assert judge.thresholds == SCALE.thresholds(0.005, 0.006)
    # Marks are those of the strictest rate that it can set.
    strictest = Judge(SCALE, LIMITS, patch_scale=few, target_fpr=0.01, uncertain_fpr=0.011)
    track = make_track([-2.0] * 24 + [0.99] * 24 + [-2.0] * 24)
    assert judge.judge([track], None).segments == strictest.judge([track], None).segments


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ((0.001, 0.0), "verdict model v: 199 people cannot set a threshold of 0.10%"),
        ((0.001, 0.004), "verdict model v: 199 people cannot set a threshold of 0.10%"),
        ((1.0, 0.0), "target_fpr 1: a share"),
        ((0.0, -0.1), "uncertain_fpr -0.1: a share"),
        ((0.1, 0.1), "uncertain_fpr 0.1 is not above target_fpr 0.1"),
        ((0.0, 0.008), "uncertain_fpr 0.008 is not above target_fpr 0.01"),
    ],
)
def test_rates_that_cannot_be_kept(rates: tuple[float, float], words: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=words):
        load_judge(verdict_record(tmp_path), *rates)


@pytest.mark.parametrize(
    ("tensors", "changes"),
    [
        ({"statistics": None}, {}),
        ({"thresholds": torch.zeros(3)}, {}),
        ({"limits": torch.zeros(2)}, {}),
        ({"limits": torch.zeros(8)}, {}),
        ({}, {"bin": None}),
        ({}, {"target_fpr": None}),
        ({}, {"measured_fpr": {"rate": 0.1}}),
        ({}, {"measured_fpr": 0.1}),
    ],
)
def test_an_unusable_verdict_model_is_refused(
    tmp_path: Path, tensors: dict[str, Any], changes: dict[str, Any]
) -> None:
    with pytest.raises(WeightsError, match="verdict model v is not usable"):
        load_judge(verdict_record(tmp_path, tensors, **changes))


def test_a_touched_verdict_model_is_refused(tmp_path: Path) -> None:
    record = verdict_record(tmp_path)
    with pytest.raises(WeightsError, match="sha256"):
        load_judge(replace(record, sha256="0" * 64))


# --------------------------------------------------------------------------- detail, stillness, what is found


@pytest.mark.parametrize(("detail", "flags"), [(41.0, ["face_without_detail"]), (43.0, []), (np.inf, [])])
def test_an_enlarged_face_is_no_larger_than_its_detail(detail: float, flags: list[str]) -> None:
    judge = Judge(SCALE, replace(LIMITS, min_detail_px=42.0))
    track = make_track([-3.0] * 24)
    track = replace(track, faces=tuple(replace(face, detail_px=detail) for face in track.faces))
    judgement = judge.judge([track], None)
    assert [flag.code for flag in judgement.quality.flags] == flags
    assert judgement.verdict.label == ("uncertain" if flags else NONE)
    assert judgement.quality.detail_px == (None if np.isinf(detail) else detail)
    if flags:
        assert "no more than one 41 px wide, 42 px are needed" in judgement.verdict.reasons[0].message


def test_a_small_face_is_called_small_and_not_without_detail() -> None:
    judge = Judge(SCALE, replace(LIMITS, min_detail_px=42.0))
    track = make_track([-3.0] * 24, face_px=30)
    track = replace(track, faces=tuple(replace(face, detail_px=28.0) for face in track.faces))
    assert [flag.code for flag in judge.judge([track], None).quality.flags] == ["face_too_small"]


def test_a_face_that_never_moves_is_said_not_to() -> None:
    track = make_track([-3.0] * 24)
    still = BehaviorWindow(0.0, 3.0, {}, still=True)
    (note,) = JUDGE.judge([replace(track, behavior=(still, still))], None).notes
    assert note.code == "still_face" and "does not move" in note.message
    moving = replace(track, behavior=(still, replace(still, still=False)))
    assert JUDGE.judge([moving], None).notes == JUDGE.judge([track], None).notes == ()


def test_what_rates_find_comes_from_the_record(tmp_path: Path) -> None:
    own = {"rate": 0.54, "interval": [0.46, 0.61], "clips": 170}
    record = verdict_record(tmp_path, found={"0.1": own, "0.01": own | {"rate": 0.2}})
    found = load_judge(record).judge([], None).verdict.calibration.found
    assert [(f.target_fpr, f.rate, f.interval, f.clips) for f in found] == [
        (0.01, 0.2, (0.46, 0.61), 170),
        (0.1, 0.54, (0.46, 0.61), 170),
    ]
    with pytest.raises(WeightsError, match="not usable"):
        load_judge(verdict_record(tmp_path, found={"0.1": {"rate": 0.5}}))


def test_a_fine_quantiser_clears_a_small_file() -> None:
    """Most of the frame may be still: what counts is how the face was coded."""
    limits = QualityLimits(48, 1, 20, min_bits_per_pixel=0.01)

    def codes(quantiser: float | None, bits: float = 0.001) -> list[str]:
        return [note.code for note in limits.flags(100, 5, 100, bits, quantiser=quantiser)]

    assert codes(None) == codes(44) == ["too_compressed"]
    assert codes(24) == [] and codes(44, bits=0.1) == []


def test_too_little_of_a_face_in_the_picture_is_no_base_for_a_verdict() -> None:
    limits = QualityLimits(48, 1, 20)
    (flag,) = limits.flags(100, 5, 100, inside=0.55)
    assert flag.code == "face_cut_off" and "55 %" in flag.message
    assert limits.flags(100, 5, 100, inside=0.75) == ()

"""Fitting and calibrating the verdict on made-up people, and evidence that is kept on disk."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tests.manifests import entry, write_manifest
from tests.patches.fixture_weights import make_weights
from tests.tracks import make_faces, make_track
from vidscan.errors import SetupError
from vidscan.training import verdict
from vidscan.training.evidence import ClipEvidence, _load
from vidscan.training.verdict import (
    FOLDS,
    Charge,
    VerdictRecipe,
    by_person,
    calibrated,
    clip_statistic,
    fit_statistic,
    folds_of,
    patch_level,
    train_verdict,
    windows,
)
from vidscan.types import FaceEvidence, Track
from vidscan.verdict.calibration import conformal_quantile
from vidscan.verdict.judge import Judge, QualityLimits, load_judge
from vidscan.verdict.statistic import EvidenceStatistic

RECIPE = VerdictRecipe()


def clip(seed: int, *, shift: float = 0.0, tracks: int = 1) -> ClipEvidence:
    """A clip of made-up people; the smaller the face, the more it looks forged."""
    rng = np.random.default_rng((seed, 7))
    face_px = float(np.exp(rng.uniform(4.5, 5.5)))
    found = [
        make_track(
            seed + 50_000 * i,
            track_id=i,
            shift=shift - 1.5 * float(np.log(face_px) - 5),
            face_px=face_px,
            sharpness=float(np.exp(rng.normal(2, 0.3))),
        )
        for i in range(tracks)
    ]
    return ClipEvidence(f"{seed}.mp4", tuple(found), float(np.exp(rng.normal(-2, 0.3))))


TRAIN = [clip(10_000 + i) for i in range(40)]
PEOPLE = {f"person {i}": [clip(i)] for i in range(130)}
REFERENCE = [own[0] for own in PEOPLE.values()]


@pytest.fixture(scope="module")
def fitted() -> EvidenceStatistic:
    return fit_statistic(TRAIN, REFERENCE, RECIPE)


@pytest.fixture(scope="module")
def judge(fitted: EvidenceStatistic) -> Judge:
    return calibrated(fitted, PEOPLE, RECIPE, "made-up people")


ANYTHING = QualityLimits(0.0, 0.0, 0.0)


def statistic_of(fitted: EvidenceStatistic, one: ClipEvidence) -> float:
    found = clip_statistic(fitted, one, ANYTHING)
    assert found is not None and found.clear
    return found.value


def test_thresholds_are_conformal_quantiles_of_the_people(fitted: EvidenceStatistic, judge: Judge) -> None:
    sharpness = [np.median([f.sharpness for f in one.tracks[0].faces]) for one in REFERENCE]
    clear = [one for one, s in zip(REFERENCE, sharpness, strict=True) if s > min(sharpness)]
    assert len(clear) == len(REFERENCE) - 1
    values = np.array([statistic_of(fitted, one) for one in clear])
    assert judge.scale.statistics == pytest.approx(np.sort(values))
    assert judge.scale.manipulated == conformal_quantile(values, 0.01)
    assert judge.scale.uncertain == conformal_quantile(values, 0.05)
    assert (judge.scale.bin, judge.scale.target_fpr) == ("made-up people", 0.01)
    levels = np.array([patch_level(one.tracks[0]) for one in clear])
    assert judge.patch_scale.manipulated == conformal_quantile(levels, 0.01)
    assert judge.limits.min_sharpness == pytest.approx(np.percentile(sharpness, 0.5))
    assert judge.limits.min_face_px == RECIPE.min_face_px
    bits = [one.bits_per_pixel for one in REFERENCE]
    assert judge.limits.min_bits_per_pixel == pytest.approx(np.percentile(bits, 0.5) / 2)
    assert (judge.limits.min_seconds, judge.limits.min_crops) == (RECIPE.min_seconds, RECIPE.min_crops)
    unknown = {who: [replace(c, bits_per_pixel=None) for c in own] for who, own in PEOPLE.items()}
    assert calibrated(fitted, unknown, RECIPE, "").limits.min_bits_per_pixel == 0


def test_new_people_are_accused_about_as_often_as_promised_and_forgeries_are_found(judge: Judge) -> None:
    def labels(clips: list[ClipEvidence]) -> list[str]:
        return [judge.judge(list(c.tracks), c.bits_per_pixel).verdict.label for c in clips]

    genuine = labels([clip(20_000 + i) for i in range(120)])
    assert genuine.count("manipulated") <= 5
    # 5 % and 1.25 % of quality; a tenth would have been 12.
    assert 1 <= len(genuine) - genuine.count("no_manipulation_found") <= 15
    forged = labels([clip(30_000 + i, shift=6.0) for i in range(15)])
    assert forged.count("manipulated") >= 14


def test_what_was_fitted_is_what_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = make_weights(tmp_path / "weights")
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(weights))
    clips = {one.file: one for one in (*TRAIN, *REFERENCE)}

    def gathered(root: Path, files: list[str], *args: object, **kwargs: object) -> dict[str, ClipEvidence]:
        return {file: clips[file] for file in files}

    monkeypatch.setattr(verdict, "gather_all", gathered)
    rows = [f"train,real,{one.file},video,r,{one.file},,,," for one in TRAIN]
    rows += [f"dev,real,{one.file},video,r,{one.file},,,," for one in REFERENCE]
    write_manifest(tmp_path, *rows)
    # Without heads that never saw them, people of train teach, and set no threshold.
    alone = len(load_judge(train_verdict(tmp_path, tmp_path, weights)).scale.statistics)
    assert len(REFERENCE) - 3 <= alone < len(REFERENCE)
    monkeypatch.setattr(verdict, "parts_unseen", lambda corpus, registry: {one.file: 0 for one in TRAIN})
    record = train_verdict(tmp_path, tmp_path, weights)
    limits = load_judge(record).limits
    assert record.settings["limits"] == pytest.approx(asdict(limits))
    assert 0 < limits.min_bits_per_pixel < min(one.bits_per_pixel for one in REFERENCE)
    assert (limits.min_seconds, limits.min_crops) == (RECIPE.min_seconds, RECIPE.min_crops)
    # People of train set the thresholds with those of dev, but for one of dev who is too soft to be judged.
    people = len(load_judge(record).scale.statistics)
    assert len(REFERENCE) + len(TRAIN) - 3 <= people < len(REFERENCE) + len(TRAIN)
    assert record.settings["people"] == people
    assert record.settings["fitted_on"]["clips"] == len(TRAIN)


def test_people_never_seen_set_the_thresholds_with_the_others(
    fitted: EvidenceStatistic, judge: Judge
) -> None:
    unseen = {f"new {i}": [clip(50_000 + i)] for i in range(150)}
    both = calibrated(fitted, PEOPLE, RECIPE, "", unseen)
    lower = {who: [clip(50_000 + i, shift=-1.0)] for i, who in enumerate(unseen)}
    for k in (0.01, 0.05, 0.2):
        # They lend how people spread, not at which level: thresholds do not come down with them.
        moved = conformal_quantile(calibrated(fitted, PEOPLE, RECIPE, "", lower).scale.statistics, k)
        assert moved == pytest.approx(conformal_quantile(both.scale.statistics, k), abs=0.3)
    clear = [own[0] for own in unseen.values()]
    more = [
        c.value for one in clear if (c := clip_statistic(fitted, one, judge.limits)) is not None and c.clear
    ]
    assert len(more) > 140
    brought = np.array(more) + np.median(judge.scale.statistics) - np.median(more)
    assert both.scale.statistics == pytest.approx(np.sort([*judge.scale.statistics, *brought]))
    assert both.scale.manipulated == conformal_quantile(both.scale.statistics, 0.01)
    # What a face needs, and the patch classifier's own thresholds, stay those of people whom nothing saw.
    assert both.limits == judge.limits
    assert np.array_equal(both.patch_scale.statistics, judge.patch_scale.statistics)


def test_small_faces_are_accused_no_more_often_than_large_ones(fitted: EvidenceStatistic) -> None:
    size = np.array([np.log(one.tracks[0].faces[0].face_px) for one in REFERENCE])
    taken = [statistic_of(fitted, one) for one in REFERENCE]
    plain = replace(fitted, quality=fit_statistic(TRAIN, REFERENCE, NOT_NORMALISED).quality)
    left = [statistic_of(plain, one) for one in REFERENCE]
    assert np.corrcoef(size, left)[0, 1] < -0.25
    assert abs(np.corrcoef(size, taken)[0, 1]) < 0.05


NOT_NORMALISED = VerdictRecipe(normalise_quality=False)


def test_a_group_without_weight_does_not_count() -> None:
    recipe = VerdictRecipe(
        weights={
            "patch": 1.0,
            "flicker": 0.0,
            "blink": 0.0,
            "head_pose": 0.0,
            "gaze": 0.0,
            "action_units": 0.0,
            "correlation": 0.0,
        },
        normalise_quality=False,
    )
    patches = fit_statistic(TRAIN, REFERENCE[:40], recipe)
    one = clip(5)
    bare = replace(one, tracks=tuple(replace(t, behavior=()) for t in one.tracks))
    assert statistic_of(patches, one) == statistic_of(patches, bare)


def test_a_person_counts_once_by_the_median_clip(fitted: EvidenceStatistic) -> None:
    clips = [clip(0), clip(40_000, shift=9.0), clip(40_001, shift=9.5)]
    people = {**dict(list(PEOPLE.items())[:110]), "person 0": clips}
    people["nobody"] = [ClipEvidence("empty.mp4", (), 0.1)]
    scale = calibrated(fitted, people, RECIPE, "").scale
    assert len(scale.statistics) == 109  # the softest is too soft by the limit that it helps to set
    low, middle, high = sorted(statistic_of(fitted, one) for one in clips)
    assert middle in scale.statistics
    assert low not in scale.statistics
    assert high not in scale.statistics


def test_a_clip_has_the_statistic_of_its_worst_track(fitted: EvidenceStatistic) -> None:
    one = clip(3, tracks=3)
    single = [fitted.assess(track, one.bits_per_pixel).statistic for track in one.tracks]
    assert clip_statistic(fitted, one, ANYTHING) == Charge(max(single), 3, True)
    assert clip_statistic(fitted, ClipEvidence("empty.mp4", (), None), ANYTHING) is None


def test_a_face_too_poor_to_judge_has_no_part_where_there_is_a_better_one(fitted: EvidenceStatistic) -> None:
    one, forged = clip(3), clip(40_000, shift=9.0).tracks[0]
    poor = replace(forged, track_id=1, faces=tuple(replace(f, face_px=20.0) for f in forged.faces))
    limits = replace(ANYTHING, min_face_px=30.0)
    both = replace(one, tracks=(*one.tracks, poor))
    assert clip_statistic(fitted, both, limits) == Charge(statistic_of(fitted, one), 2, True)
    assert clip_statistic(fitted, both, ANYTHING).value > statistic_of(fitted, one) + 3
    alone = clip_statistic(fitted, replace(one, tracks=(poor,)), limits)
    assert alone is not None and not alone.clear

    def people(more: list[ClipEvidence]) -> dict[str, list[ClipEvidence]]:
        return {**dict(list(PEOPLE.items())[:110]), "person 0": more}

    # In the background it does not move the threshold, and whoever shows no other face sets none.
    plain, behind, hidden = (
        calibrated(fitted, people(own), RECIPE, "").scale
        for own in ([one], [both], [replace(one, tracks=(poor,))])
    )
    assert behind.manipulated <= plain.manipulated
    assert len(behind.statistics) == len(plain.statistics) == len(hidden.statistics) + 1


@pytest.mark.parametrize("count", [0, 1, 60])
def test_too_few_people_are_refused(fitted: EvidenceStatistic, count: int) -> None:
    with pytest.raises(SetupError, match="too few people"):
        calibrated(fitted, dict(list(PEOPLE.items())[:count]), RECIPE, "")


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(SetupError, match="no face"):
        windows([ClipEvidence("empty.mp4", (), None)])
    with pytest.raises(SetupError, match="at least 20 genuine windows"):
        fit_statistic(TRAIN[:5], REFERENCE, RECIPE)


def test_folds_cover_everybody_once() -> None:
    people = [f"p{i}" for i in range(133)]
    folds = folds_of(people)
    assert len(folds) == FOLDS
    assert sorted(who for fold in folds for who in fold) == sorted(people)
    assert {len(fold) for fold in folds} == {13, 14}
    assert folds == folds_of(people)
    assert folds != folds_of(people, seed=1)


def test_clips_are_grouped_by_person() -> None:
    entries = [entry("a", "zoe"), entry("b", "ann"), entry("c", "zoe"), entry("unread", "eve")]
    clips = {name: ClipEvidence(name, (), None) for name in "abc"}
    found = by_person(entries, clips)
    assert list(found) == ["ann", "zoe"]
    assert [c.file for c in found["zoe"]] == ["a", "c"]


# What is kept on disk


@pytest.mark.parametrize("bits", [0.125, None])
def test_evidence_survives_its_file(tmp_path: Path, bits: float | None) -> None:
    nan = float("nan")
    faces: tuple[FaceEvidence, ...] = make_faces([0.1, 0.2], [1 / 3, -2.0], [1.5, nan, 0.1, 2.0, nan, -1.0])
    whole = make_track(1, seconds=12, absent=["gaze"])
    tracks = (replace(whole, track_id=0), Track(4, faces, 7, 0.1, 0.2))
    path = tmp_path / "clip.json"
    data = {"format": 1, "bits_per_pixel": bits, "tracks": [asdict(track) for track in tracks]}
    path.write_text(json.dumps(data), encoding="utf-8")
    (first, second), kept = _load(path)
    assert kept == bits
    assert first == whole
    assert first.behavior[0].values["gaze"] is None
    assert np.array_equal(second.faces[0].parts, faces[0].parts, equal_nan=True)
    assert replace(second.faces[0], parts=()) == replace(faces[0], parts=())
    assert isinstance(second.faces[0].box, tuple)
    assert second.behavior == ()

"""Enrolled people: told apart, calibrated on what they were not learned from, stored whole or not at all."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import OneClassSVM as SklearnSVM

from tests.person_series import person_series
from vidscan.behavior.series import cut
from vidscan.people.model import MovementSvm, PersonModel, TooLittleMaterialError, standardise
from vidscan.people.store import PeopleStore, PersonError, file_stem, people_folder
from vidscan.people.windows import FEATURES, Windows, cut_windows, folds
from vidscan.types import FaceSeries
from vidscan.verdict.one_class import OneClassSVM


@pytest.fixture(scope="module")
def model() -> PersonModel:
    return PersonModel.fit("Ada", [person_series(1, clip=clip) for clip in range(4)])


def lost(series: FaceSeries, rows: slice) -> FaceSeries:
    """The series with the landmarks lost in some rows."""
    names = ("landmarks", "units", "openness", "rotation", "gaze")
    arrays = {name: getattr(series, name).copy() for name in names}
    for array in arrays.values():
        array[rows] = np.nan
    return replace(series, **arrays)


# --------------------------------------------------------------------------- windows


def test_windows_move_by_five_frames_and_are_whole() -> None:
    windows = cut_windows(person_series(1, 20.0), 10.0)
    assert len(windows) == 21  # starts 0, .5, ... 10
    np.testing.assert_allclose(np.diff(windows.start_s), 0.5)
    np.testing.assert_allclose(windows.end_s - windows.start_s, 10)
    assert windows.features.shape == (21, FEATURES) and windows.seconds == pytest.approx(20)
    assert len(cut_windows(person_series(1, 20.0), 5.0)) == 31


def test_spreads_are_the_standard_deviations_of_the_signals() -> None:
    from vidscan.behavior.action_units import signals

    series = person_series(1, 12.0)
    windows = cut_windows(series)
    rows = slice(*np.searchsorted(series.times, [windows.start_s[2], windows.end_s[2]]))
    np.testing.assert_allclose(windows.spreads[2], signals(series)[rows].std(0), rtol=1e-6)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 4.0, 9.5])
def test_too_short_for_a_window(seconds: float, model: PersonModel) -> None:
    report = model.judge(cut(person_series(1, track_id=5), 0, seconds))
    assert (report.name, report.track_id, report.status) == ("Ada", 5, "insufficient")
    assert report.score is None and report.p_value is None


def test_gaps_and_still_pictures_are_insufficient(model: PersonModel) -> None:
    series = person_series(1, 12.0)
    assert model.judge(lost(series, slice(0, 90))).status == "insufficient"
    assert model.judge(lost(series, slice(0, 20))).status == "ok"
    still = replace(series, landmarks=np.repeat(series.landmarks[:1], len(series.times), 0))
    assert model.judge(still).status == "insufficient"


def test_lost_seconds_do_not_count() -> None:
    series = lost(person_series(1, 30.0), slice(100, 130))
    assert cut_windows(series).seconds == pytest.approx(27)
    assert cut_windows(lost(person_series(1, 30.0), slice(0, 300))).seconds == 0


# --------------------------------------------------------------------------- the machine


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), unknown=st.floats(0, 0.6))
def test_margins_are_those_of_scikit_learn(seed: int, count: int, unknown: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.uniform(-1, 1, (count, FEATURES))
    features[rng.random(features.shape) < unknown] = np.nan
    svm = MovementSvm.fit(features, rng.uniform(0, 2, (count, 20)))
    known = standardise(features, svm.centre, svm.weight)
    theirs = SklearnSVM(kernel="rbf", nu=0.1, gamma=svm.machine.gamma).fit(known)
    new = standardise(rng.uniform(-3, 3, (7, FEATURES)), svm.centre, svm.weight)
    np.testing.assert_allclose(svm.machine.decision_function(new), theirs.decision_function(new), atol=1e-6)


def test_anomaly_falls_with_the_margin_and_is_zero_on_the_boundary(model: PersonModel) -> None:
    rng = np.random.default_rng(0)
    features = cut_windows(person_series(1, clip=9)).features + rng.normal(0, 0.2, (41, FEATURES))
    svm, anomaly = model.svm, model.svm.anomaly(features)
    margin = svm.machine.decision_function(standardise(features, svm.centre, svm.weight))
    order = np.argsort(margin)
    assert (np.diff(anomaly[order]) < 0).all()
    np.testing.assert_allclose(anomaly, -np.log1p(margin / -model.svm.machine.intercept), atol=1e-9)


def test_unknown_numbers_are_no_evidence(model: PersonModel) -> None:
    ordinary = model.svm.centre[None].copy()
    holes = ordinary.copy()
    holes[0, ::3] = np.nan
    assert model.svm.anomaly(holes) == model.svm.anomaly(ordinary)
    # and one number alone, however strange, moves a window by a bounded step
    strange = ordinary.copy()
    strange[0, 200] = 1e6
    assert 0 < (model.svm.anomaly(strange) - model.svm.anomaly(ordinary))[0] < 0.2


def test_a_signal_that_never_moved_gives_no_evidence() -> None:
    series = [person_series(1, 20, clip=clip) for clip in range(3)]
    frozen = [replace(s, units=np.concatenate([s.units[:, :1] * 0, s.units[:, 1:]], 1)) for s in series]
    found = PersonModel.fit("Ada", frozen, min_seconds=20).svm
    assert found.weight[190] == 0 and (found.weight[:19] == 0).all()
    assert (found.weight[191:] > 0).all()


@settings(max_examples=100, deadline=None)
@given(a=st.floats(-50, 50), step=st.floats(1e-3, 50), middle=st.floats(-5, 5), spread=st.floats(0.05, 5))
def test_score_rises_strictly(a: float, step: float, middle: float, spread: float) -> None:
    person = replace(_MODEL, middle=middle, spread=spread)
    assert 0 < person.score(a) < person.score(a + step) < 1
    assert person.score(middle) == 0.5
    assert person.score(middle + spread) == pytest.approx(0.75)
    assert person.score(a + 1e-9) - person.score(a) < 1e-6


_MODEL = PersonModel.fit("Bo", [person_series(2, 20.0)], min_seconds=20)


# --------------------------------------------------------------------------- the person


def test_a_person_is_told_from_others(model: PersonModel) -> None:
    own = [model.judge(person_series(1, 20.0, clip=clip)) for clip in range(10, 16)]
    others = [model.judge(person_series(person, 20.0, clip=1)) for person in range(2, 10)]
    assert all(report.status == "ok" for report in own + others)
    scores = [report.score or 0.0 for report in own]
    assert max(scores) < min(report.score or 0.0 for report in others)
    assert min(report.score or 0.0 for report in others) > 0.5
    # (1 + 0) / (4 + 1): more unlike the person than all four clips that were left out
    assert {report.p_value for report in others} == {0.2}
    assert np.mean([report.p_value or 0.0 for report in own]) > 0.35


def test_calibration_leaves_each_clip_out(model: PersonModel) -> None:
    assert (model.left_out, model.clips, len(model.statistics)) == ("clips", 4, 4)
    assert (model.windows, model.seconds) == (4 * 41, pytest.approx(120))
    clips = [person_series(1, clip=clip) for clip in range(4)]
    rest = PersonModel.fit("rest", clips[1:])
    by_hand = rest.statistic(cut_windows(clips[0]))
    assert np.isclose(model.statistics, by_hand).sum() == 1
    # in sample it would have looked far more like the person
    assert model.statistic(cut_windows(clips[0])) < by_hand


def overlapping(clips: list[Windows], window_s: float) -> int:
    """Pairs of a learned and a tested window of one fold that share an instant."""
    count = 0
    for fold in folds(clips, window_s):
        tested, learnt = clips[fold.clip], fold.learnt[fold.clip]
        own = clips[fold.clip]
        for start, end in zip(tested.start_s[fold.tested], tested.end_s[fold.tested], strict=True):
            count += int(((own.start_s[learnt] < end) & (own.end_s[learnt] > start)).sum())
    return count


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.floats(10, 150), min_size=1, max_size=4),
    window_s=st.sampled_from([5.0, 10.0]),
    seed=st.integers(0, 99),
)
def test_no_learnt_window_overlaps_a_tested_one(lengths: list[float], window_s: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = []
    for length in lengths:
        start = np.arange(0, length - window_s + 1e-6, 0.2)
        start = start[rng.random(len(start)) < rng.uniform(0.2, 1)]
        empty = np.empty((len(start), 0))
        clips.append(Windows(start, start + window_s, empty, empty, length))
    found = folds(clips, window_s)
    assert overlapping(clips, window_s) == 0
    for fold in found:
        assert fold.tested.any() and any(mask.any() for mask in fold.learnt)
    # and what is tested in different folds of one clip shares nothing either
    for first, second in pairwise(found):
        if first.clip == second.clip:
            clip = clips[first.clip]
            assert clip.end_s[first.tested].max() <= clip.start_s[second.tested].min() + 1e-6


def test_one_clip_is_left_out_in_blocks() -> None:
    found = PersonModel.fit("Ada", [person_series(1, 120.0)])
    assert found.left_out == "blocks" and len(found.statistics) == 6
    lopsided = PersonModel.fit("Ada", [person_series(1, 60.0), person_series(1, 12.0, clip=1)])
    assert lopsided.left_out == "blocks" and len(lopsided.statistics) == 3 + 1


def test_a_single_window_has_no_calibration_and_convicts_nobody() -> None:
    found = PersonModel.fit("Ada", [person_series(1, 10.0)], min_seconds=10)
    assert found.left_out == "nothing" and len(found.statistics) == 0
    assert found.judge(person_series(5, 20.0)).p_value == 1


def test_too_little_material_is_refused_with_what_is_missing() -> None:
    clips = [person_series(1, 30.0), person_series(1, 20.0, clip=1), person_series(1, 9.0, clip=2)]
    with pytest.raises(TooLittleMaterialError) as caught:
        PersonModel.fit("Ada", clips)
    assert caught.value.code == "too_little_material"
    assert "followed for 59.0 s in 3 clips, 50.0 s of it in whole windows" in str(caught.value)
    assert "10.0 s are missing" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PersonModel.fit("Ada", clips, min_seconds=50).clips == 2
    with pytest.raises(TooLittleMaterialError):
        PersonModel.fit("Ada", clips[2:], min_seconds=0)
    with pytest.raises(TooLittleMaterialError):
        PersonModel.fit("Ada", [], min_seconds=0)


def test_a_comparison_says_how_far_and_what_is_lacking() -> None:
    found = PersonModel.fit("Ada", [person_series(1, clip=clip) for clip in range(3)])
    own, other = (found.judge(person_series(p, clip=8)) for p in (1, 4))
    assert own.parts == other.parts == 3 and own.needed_s == 10 and own.lack is None
    assert own.seconds == pytest.approx(30)
    assert own.beyond is not None and other.beyond is not None and own.beyond < other.beyond
    for report in (own, other):
        assert report.score is not None and (report.score > 0.5) == ((report.beyond or 0) > 0)
    short = found.judge(cut(person_series(1, clip=9), 0, 7))
    assert (short.status, short.lack, short.beyond) == ("insufficient", "too_short", None)
    assert short.seconds == pytest.approx(7)
    whole = person_series(1, clip=9)
    unmoved = np.broadcast_to(whole.landmarks[:1], whole.landmarks.shape)
    assert found.judge(replace(whole, landmarks=unmoved)).lack == "still"
    gaps = whole
    for start in range(0, 300, 50):
        gaps = lost(gaps, slice(start, start + 30))
    assert found.judge(gaps).lack == "lost"


def test_a_clip_of_just_a_minute_is_enough() -> None:
    assert PersonModel.fit("Ada", [person_series(1, 60.0)]).seconds == pytest.approx(60)


def test_shorter_windows_judge_shorter_tracks() -> None:
    found = PersonModel.fit("Ada", [person_series(1, clip=clip) for clip in range(2)], window_s=5.0)
    own, other = (found.judge(cut(person_series(p, clip=8), 0, 7)) for p in (1, 4))
    assert own.status == other.status == "ok" and (own.score or 0) < (other.score or 0)


# --------------------------------------------------------------------------- the store


def same(a: PersonModel, b: PersonModel) -> bool:
    def equal(x: object, y: object) -> bool:
        if isinstance(x, MovementSvm | OneClassSVM):
            return all(equal(getattr(x, f.name), getattr(y, f.name)) for f in fields(x))
        return bool(np.array_equal(x, y, equal_nan=isinstance(x, np.ndarray)))  # type: ignore[arg-type]

    return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.name != "seconds")


@pytest.mark.parametrize(
    "name", ["Ada", "Zoë Ångström", "山田　太郎", "../../etc/passwd", "CON", "a" * 200, "نیم‌فاصله"]
)
def test_store_round_trip(tmp_path: Path, model: PersonModel, name: str) -> None:
    store = PeopleStore(tmp_path / "people")
    record = store.save(replace(model, name=name))
    assert record.name == name and name in store
    assert same(store.load(name), replace(model, name=name))
    assert store.records() == ([record], [])
    files = sorted(tmp_path.rglob("*"))
    assert len(files) == 3 and all(len(f.name.encode()) < 120 for f in files)
    assert {f.parent for f in files[1:]} == {store.folder}
    store.remove(name)
    assert list(store.folder.iterdir()) == [] and name not in store


def test_names_that_differ_only_in_spelling_of_accents_are_one(tmp_path: Path, model: PersonModel) -> None:
    store = PeopleStore(tmp_path)
    store.save(replace(model, name="Zoe\u0308"))
    assert store.load("Zo\u00eb").name == "Zo\u00eb"
    assert len({file_stem(name) for name in ("Ada", "ada", "Ada ", "Äda", "")}) == 5


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[2J", "\udcff", "x" * 201, "a\u202eb"])
def test_names_that_cannot_be(tmp_path: Path, model: PersonModel, name: str) -> None:
    with pytest.raises(PersonError):
        PeopleStore(tmp_path).save(replace(model, name=name))
    assert list(tmp_path.iterdir()) == []


def test_enrolling_again_replaces(tmp_path: Path, model: PersonModel) -> None:
    store = PeopleStore(tmp_path)
    store.save(model)
    store.save(replace(_MODEL, name="Ada"))
    assert len(list(tmp_path.iterdir())) == 2
    assert same(store.load("Ada"), replace(_MODEL, name="Ada"))


def test_only_numbers_are_stored_and_only_for_the_owner(tmp_path: Path, model: PersonModel) -> None:
    PeopleStore(tmp_path / "new").save(model)
    for path in (tmp_path / "new").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert path.suffix in (".json", ".safetensors")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _other_format(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "format": 99}), encoding="utf-8")


def _outside(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "file": "../secret.safetensors"}), encoding="utf-8")


@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        (".safetensors", _flip),
        (".safetensors", Path.unlink),
        (".safetensors", lambda path: path.write_bytes(b"")),
        (".json", lambda path: path.write_bytes(path.read_bytes()[:40])),
        (".json", lambda path: path.write_bytes(b"\xff\xfe")),
        (".json", lambda path: path.write_text("[]")),
        (".json", lambda path: path.write_text("[" * 100_000)),
        (".json", _other_format),
        (".json", _outside),
    ],
)
def test_a_damaged_file_is_one_clear_error(
    tmp_path: Path, model: PersonModel, suffix: str, spoil: object
) -> None:
    store = PeopleStore(tmp_path)
    store.save(model)
    store.save(_MODEL)
    (path,) = (p for p in tmp_path.iterdir() if p.suffix == suffix and p.name.startswith("ada"))
    spoil(path)  # type: ignore[operator]
    with pytest.raises(PersonError) as caught:
        store.load("Ada")
    assert caught.value.code == "person" and "\n" not in str(caught.value)
    assert store.load("Bo").name == "Bo"
    store.remove("Ada")
    assert [record.name for record in store.records()[0]] == ["Bo"]


def test_a_file_with_the_right_sum_and_the_wrong_content(tmp_path: Path, model: PersonModel) -> None:
    store = PeopleStore(tmp_path)
    machine = model.svm.machine
    short = replace(machine, coefficients=machine.coefficients[:-1])
    for spoilt in (short, replace(machine, intercept=float("nan"))):
        store.save(replace(model, svm=replace(model.svm, machine=spoilt)))
        with pytest.raises(PersonError, match="not usable"):
            store.load("Ada")


def test_nobody_of_that_name(tmp_path: Path) -> None:
    for act in (PeopleStore(tmp_path).load, PeopleStore(tmp_path / "absent").remove):
        with pytest.raises(PersonError, match="not enrolled"):
            act("Nobody")
    assert PeopleStore(tmp_path / "absent").records() == ([], [])


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSCAN_PEOPLE", str(tmp_path / "chosen"))
    assert people_folder() == tmp_path / "chosen" == PeopleStore().folder
    monkeypatch.delenv("VIDSCAN_PEOPLE")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    assert people_folder().parts[-2:] == ("vidscan", "people") and tmp_path in people_folder().parents

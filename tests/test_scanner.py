"""The pipeline end to end, with fixture weights on clips of a face that moves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from samples.clips import make_clip, pattern
from tests.behavior.blinking import disagreeing
from tests.corpus import corpus_clips, shipped_registry
from tests.patches.fixture_weights import make_weights, register_patches
from tests.patches.test_encoder import register_encoder
from vidscan import models, stages
from vidscan.errors import InputError, SetupError, WeightsError
from vidscan.faces.landmarks import FaceReadings
from vidscan.patches.parts import PARTS
from vidscan.report.json import dumps, loads, report_schema, to_dict
from vidscan.report.masks import MaskWriter
from vidscan.scanner import Scanner
from vidscan.types import FaceMap, FaceSeries, FrameMaps, ModelRef, Report, ScanSettings, VideoInfo

FRAMES, FPS, WIDTH, HEIGHT = 25, 25, 320, 240
LONG = 125
"""Frames of a clip that is long enough for behavior."""
FACE = (175, 60, 275, 195)
"""Where the astronaut's face lies in the picture, about: x0, y0, x1, y1."""


def moving_face(count: int = FRAMES) -> np.ndarray:
    """(count, 240, 320, 3): a camera that pans over the astronaut."""
    from skimage.data import astronaut

    picture = astronaut()
    return np.stack([picture[0:HEIGHT, 40 + t : 40 + t + WIDTH] for t in range(count)])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "face.mp4", moving_face(), options={"crf": "18"})
    make_clip(folder / "nobody.mp4", pattern(12, WIDTH, HEIGHT))
    cv2.imwrite(str(folder / "face.png"), moving_face(1)[0][..., ::-1])
    (folder / "corrupt.mp4").write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 40)
    (folder / "words.txt").write_text("not a video")
    return folder


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("long") / "face.mp4", moving_face(LONG), options={"crf": "18"})


def scanner_with(folder: Path, settings: ScanSettings | None = None) -> Scanner:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDSCAN_WEIGHTS", str(folder))
        return Scanner(settings, device="cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def scanner(weights: Path) -> Scanner:
    return scanner_with(weights)


@pytest.fixture(scope="module")
def report(scanner: Scanner, clips: Path) -> Report:
    return scanner.scan(clips / "face.mp4")


def without_times(report: Report) -> dict[str, Any]:
    data = to_dict(report)
    del data["timing_s"]
    return data


# --------------------------------------------------------------------------- reports


def test_a_face_clip(report: Report, clips: Path, weights: Path) -> None:
    assert report.error is None
    assert report.warnings == ()
    path = clips / "face.mp4"
    assert report.input.path == str(path)
    assert report.input.sha256 == models.file_sha256(path)
    assert report.input.bytes == path.stat().st_size
    assert (report.input.width, report.input.height) == (WIDTH, HEIGHT)
    assert report.input.frames_decoded == FRAMES
    assert 3 <= report.input.frames_analysed <= 4  # a second, at about three per second
    assert report.frames == ()
    (track,) = report.tracks
    assert track.frames >= FRAMES - 1
    assert track.start_s <= 0.1
    assert track.end_s == pytest.approx(24 / 25, abs=0.05)
    assert 70 < track.face_px < 160
    assert report.verdict.label in ("no_manipulation_found", "uncertain", "manipulated")
    assert report.verdict.label == track.label
    assert report.verdict.score == track.score
    assert report.signals["patch"].values["crops"] == report.input.frames_analysed
    registry = models.load_registry(weights)
    kinds = ("detector", "patches", "verdict", "landmarks", "blink")
    assert report.models == tuple(registry.get(kind).ref for kind in kinds)
    spent = report.timing_s
    assert spent.total >= spent.decode + spent.detect + spent.landmarks + spent.classify > 0
    assert min(spent.detect, spent.landmarks, spent.classify) > 0


def test_reports_are_valid_json(scanner: Scanner, report: Report, clips: Path) -> None:
    schema = report_schema()
    others = [scanner.scan(clips / n) for n in ("nobody.mp4", "corrupt.mp4", "missing.mp4", "face.png")]
    for each in [report, *others]:
        jsonschema.validate(json.loads(dumps(each)), schema)
        assert dumps(loads(dumps(each))) == dumps(each)


def test_scanning_imports_nothing_it_does_not_use(clips: Path) -> None:
    shipped_registry()
    code = (
        "import sys\nfrom vidscan import Scanner\n"
        "assert Scanner(device='cpu').scan(sys.argv[1]).tracks\n"
        "print(*({'torchvision', 'sklearn', 'scipy', 'facenet_pytorch', 'matplotlib', 'pydantic', 'decord'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(clips / "face.png")], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_two_scans_and_two_scanners_agree(
    scanner: Scanner, report: Report, weights: Path, clips: Path
) -> None:
    assert without_times(scanner.scan(clips / "face.mp4")) == without_times(report)
    assert without_times(scanner_with(weights).scan(clips / "face.mp4")) == without_times(report)


def test_nobody_there(scanner: Scanner, clips: Path) -> None:
    report = scanner.scan(clips / "nobody.mp4", frames=True)
    assert report.error is None
    assert (report.verdict.label, report.verdict.score, report.verdict.p_value) == ("no_face", None, None)
    assert report.tracks == report.segments == report.frames == ()
    assert report.input.frames_decoded == 12


def test_a_picture(scanner: Scanner, clips: Path) -> None:
    report = scanner.scan(clips / "face.png", frames=True)
    assert report.error is None
    assert (report.input.frames_decoded, report.input.frames_analysed) == (1, 1)
    assert report.input.duration_s is None
    assert report.verdict.score is not None
    (frame,) = report.frames
    assert frame.score is not None
    centre = ((frame.box[0] + frame.box[2]) / 2 + 40, (frame.box[1] + frame.box[3]) / 2)
    assert FACE[0] < centre[0] < FACE[2]
    assert FACE[1] < centre[1] < FACE[3]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("missing.mp4", {"not_found"}),
        ("corrupt.mp4", {"corrupt", "unreadable", "no_video_stream"}),
        ("words.txt", {"unreadable", "no_video_stream", "corrupt"}),
        ("", {"unreadable", "not_found"}),
    ],
    ids=["missing", "corrupt", "text", "folder"],
)
def test_bad_inputs_get_a_report(scanner: Scanner, clips: Path, name: str, codes: set[str]) -> None:
    report = scanner.scan(clips / name)
    assert report.error is not None
    assert report.error.code in codes
    assert report.error.message
    assert "\n" not in report.error.message
    assert (report.verdict.label, report.verdict.score, report.verdict.p_value) == ("error", None, None)
    assert report.models == scanner.models
    # As a batch says it: what can be read at all is known by its content.
    whole = (clips / name).is_file()
    assert report.input.sha256 == (models.file_sha256(clips / name) if whole else None)
    assert (report.verdict.thresholds.uncertain, report.verdict.thresholds.manipulated) == (0.5, 0.8)


def test_a_bug_costs_one_clip(scanner: Scanner, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("in the\nmiddle")

    monkeypatch.delenv("VIDSCAN_DEBUG", raising=False)
    monkeypatch.setattr(scanner.judge, "judge", broken)
    report = scanner.scan(clips / "nobody.mp4")
    assert report.error is not None
    assert report.error.code == "internal"
    assert "ZeroDivisionError: in the middle" in report.error.message
    monkeypatch.setenv("VIDSCAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        scanner.scan(clips / "nobody.mp4")
    monkeypatch.setattr(scanner.judge, "judge", lambda *a: (_ for _ in ()).throw(MemoryError()))
    monkeypatch.delenv("VIDSCAN_DEBUG")
    failed = scanner.scan(clips / "nobody.mp4").error
    assert failed is not None
    assert failed.code == "out_of_memory"


# --------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("constant", "limits", "label"),
    [
        (-4.0, (0.0, 0.0, 0.0), "no_manipulation_found"),
        (1.0, (0.0, 0.0, 0.0), "uncertain"),
        (4.0, (0.0, 0.0, 0.0), "manipulated"),
        (4.0, (500.0, 0.0, 0.0), "uncertain"),
        (-4.0, (0.0, 0.0, 250.0), "uncertain"),
    ],
    ids=["low", "middle", "high", "too small", "too dark"],
)
def test_the_network_decides_the_label(
    tmp_path: Path, clips: Path, constant: float, limits: tuple[float, float, float], label: str
) -> None:
    """Every patch of these networks has one known log-odds: what comes out must follow it."""
    scanner = scanner_with(make_weights(tmp_path, constant=constant, limits=limits))
    report = scanner.scan(clips / "face.png")
    assert report.verdict.label == label
    assert report.verdict.score == pytest.approx(scanner.judge.scale.score(constant), abs=1e-4)
    assert report.signals["patch"].values["log_odds"] == pytest.approx(constant, abs=1e-4)
    if label != "no_manipulation_found":
        assert report.verdict.reasons
        assert sum(r.weight for r in report.verdict.reasons) == pytest.approx(1)
    if any(limits):
        assert report.quality.flags


def test_segments_cover_a_clip_that_is_manipulated_throughout(tmp_path: Path, clips: Path) -> None:
    settings = ScanSettings(analysis_fps=8)
    report = scanner_with(make_weights(tmp_path, constant=5.0), settings).scan(clips / "face.mp4")
    (segment,) = report.segments
    assert segment.start_s <= 0.15
    assert segment.end_s >= 0.8
    assert segment.score == pytest.approx(report.verdict.score, abs=1e-3)


# --------------------------------------------------------------------------- which frames


@pytest.mark.parametrize("every", [1, 5])
def test_a_rate_is_every_nth_frame(weights: Path, clips: Path, every: int) -> None:
    rate = FPS / every
    report = scanner_with(weights, ScanSettings(analysis_fps=rate)).scan(clips / "face.mp4", frames=True)
    assert report.input.frames_analysed == -(-FRAMES // every)
    assert len([f for f in report.frames if f.score is not None]) >= -(-FRAMES // every) - 1
    assert report.settings["analysis_fps"] == rate


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_is_above_0(weights: Path, rate: float) -> None:
    with pytest.raises(SetupError, match="analysis_fps"):
        scanner_with(weights, ScanSettings(analysis_fps=rate))


@pytest.mark.parametrize("name", ["encoder_fps", "behavior_fps", "detect_s", "max_duration_s", "min_face"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_setting_is_a_number_to_work_with(weights: Path, name: str, value: float) -> None:
    with pytest.raises(SetupError, match=name):
        scanner_with(weights, replace(ScanSettings(), **{name: value}))


def test_a_report_names_the_file_as_it_was_given(
    weights: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips)
    scanner = scanner_with(weights, ScanSettings())
    assert scanner.scan("./face.mp4").input.path == "./face.mp4"
    assert scanner.scan("./gone.mp4").input.path == "./gone.mp4"


@pytest.mark.parametrize("setting", [{"detect_s": -1.0}, {"detect_s": float("nan")}, {"max_faces": 0}])
def test_settings_that_cannot_be_are_told_before_a_scan(weights: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=next(iter(setting))):
        scanner_with(weights, ScanSettings(**setting))


@pytest.mark.parametrize(("rate", "low", "high"), [(1.0, 3, 3), (5.0, 5, 5), (12.5, 12, 13), (100.0, 25, 25)])
def test_analysis_rate(weights: Path, clips: Path, rate: float, low: int, high: int) -> None:
    report = scanner_with(weights, ScanSettings(analysis_fps=rate)).scan(clips / "face.mp4")
    assert low <= report.input.frames_analysed <= high


def test_only_the_first_seconds(weights: Path, clips: Path) -> None:
    report = scanner_with(weights, ScanSettings(max_duration_s=0.4)).scan(clips / "face.mp4")
    assert report.input.frames_decoded == 10
    assert [w.code for w in report.warnings] == ["max_duration"]


def test_too_large_a_frame(weights: Path, clips: Path) -> None:
    report = scanner_with(weights, ScanSettings(max_pixels=1000)).scan(clips / "face.mp4")
    assert report.error is not None
    assert report.error.code == "too_large"


# --------------------------------------------------------------------------- frames and masks


@dataclass
class Recorder:
    """A mask sink that writes nothing and forgets nothing."""

    began: list[tuple[VideoInfo, str, str]] = field(default_factory=list)
    written: dict[int, tuple[float, tuple[int, int], list[FaceMap], bool]] = field(default_factory=dict)
    closed: list[tuple[ModelRef, ...]] = field(default_factory=list)

    def begin(self, info: VideoInfo, sha256: str, path: Any) -> None:
        self.began.append((info, sha256, str(path)))

    def write(self, frame: FrameMaps) -> str | None:
        assert self.began
        assert not self.closed
        assert frame.index not in self.written
        self.written[frame.index] = (frame.time_s, frame.shape, list(frame.faces), frame.interpolated)
        return None if frame.index % 3 else f"m{frame.index}.png"

    def close(self, models: Sequence[ModelRef]) -> None:
        self.closed.append(tuple(models))


@pytest.fixture(scope="module")
def recorded(scanner: Scanner, clips: Path) -> tuple[Report, Recorder]:
    recorder = Recorder()
    return scanner.scan(clips / "face.mp4", masks=recorder), recorder


def test_the_sink_is_opened_and_closed_once(
    scanner: Scanner, clips: Path, recorded: tuple[Report, Recorder]
) -> None:
    report, recorder = recorded
    ((info, sha256, path),) = recorder.began
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert (sha256, path) == (report.input.sha256, str(clips / "face.mp4"))
    assert recorder.closed == [scanner.models]


def test_every_frame_with_a_face_gets_a_mask(recorded: tuple[Report, Recorder]) -> None:
    report, recorder = recorded
    assert sorted(recorder.written) == list(range(FRAMES))
    assert [f.index for f in report.frames] == [i for i in range(FRAMES) if recorder.written[i][2]]
    assert len(report.frames) >= FRAMES - 1
    for frame in report.frames:
        time_s, shape, regions, interpolated = recorder.written[frame.index]
        assert time_s == pytest.approx(frame.index / FPS, abs=1e-3)
        assert frame.time_s == pytest.approx(time_s)
        assert shape == (HEIGHT, WIDTH)
        (region,) = regions
        assert region.track_id == frame.track_id
        assert region.probability.dtype == np.float32
        assert 0 <= region.probability.min() <= region.probability.max() <= 1
        assert region.crop_size == 96
        # frames between analyzed ones carry a map over, and have no score of their own
        assert interpolated == (frame.score is None)
        assert frame.mask == (None if frame.index % 3 else f"m{frame.index}.png")
    scored = [w for w in recorder.written.values() if w[2] and not w[3]]
    assert len(scored) == len([f for f in report.frames if f.score is not None])


def test_frames_without_a_face_are_handed_over_too(scanner: Scanner, clips: Path) -> None:
    recorder = Recorder()
    report = scanner.scan(clips / "nobody.mp4", masks=recorder)
    assert report.frames == ()
    assert sorted(recorder.written) == list(range(12))
    assert all(
        regions == [] and not interpolated for _, _, regions, interpolated in recorder.written.values()
    )
    assert recorder.closed == [scanner.models]


def test_masks_are_steadied_and_even_odds_lie_where_the_record_says(tmp_path: Path, clips: Path) -> None:
    folder = make_weights(tmp_path)
    plain = Recorder()
    scanner_with(folder, ScanSettings(analysis_fps=1000.0)).scan(clips / "face.mp4", masks=plain)
    register_patches(folder, mask={"smooth": 0.0, "even": 1.0, "slope": 2.0})
    scaled = Recorder()
    scanner_with(folder, ScanSettings(analysis_fps=1000.0)).scan(clips / "face.mp4", masks=scaled)

    def log_odds(recorder: Recorder) -> np.ndarray:
        found = np.stack([w[2][0].probability for w in recorder.written.values() if w[2]])
        return np.log(found.astype(np.float64) / (1 - found))

    np.testing.assert_allclose(log_odds(scaled), 2 * (log_odds(plain) - 1), atol=2e-3)
    raw = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_STEADINESS", 0.0)
        scanner_with(folder, ScanSettings(analysis_fps=1000.0)).scan(clips / "face.mp4", masks=raw)
    trembling = [np.abs(np.diff(log_odds(r), axis=0)).mean() for r in (scaled, raw)]
    assert trembling[0] < 0.6 * trembling[1]


def test_carried_maps_move_with_the_face(recorded: tuple[Report, Recorder]) -> None:
    report, recorder = recorded
    boxes = {f.index: f.box for f in report.frames}
    last: FaceMap | None = None
    centres = {}
    for index in boxes:
        _, _, (region,), interpolated = recorder.written[index]
        if interpolated:
            assert last is not None
            assert np.array_equal(region.probability, last.probability)
            assert not np.allclose(region.to_crop, last.to_crop, atol=1e-6)
        last = region
        linear, offset = region.to_crop[:, :2], region.to_crop[:, 2]
        centres[index] = np.linalg.solve(linear, (47.5, 47.5) - offset)
        x0, y0, x1, y1 = boxes[index]
        assert x0 < centres[index][0] < x1
        assert y0 < centres[index][1] < y1
    first, final = min(centres), max(centres)
    # the camera pans by one pixel a frame, so the face goes left
    assert centres[final][0] - centres[first][0] == pytest.approx(-(final - first), abs=6)


def test_masks_change_nothing_else(report: Report, recorded: tuple[Report, Recorder]) -> None:
    with_masks = without_times(recorded[0])
    del with_masks["frames"]
    assert with_masks == without_times(report)


def test_with_an_encoder_masks_are_its_own_and_change_nothing_else(tmp_path: Path, clips: Path) -> None:
    folder = make_weights(tmp_path)
    register_encoder(folder, altered=1.2)
    scanner = scanner_with(folder, ScanSettings(encoder_fps=0.1))
    recorder = Recorder()
    plain = scanner.scan(clips / "face.mp4")
    masked = without_times(scanner.scan(clips / "face.mp4", masks=recorder))
    del masked["frames"]
    assert masked == without_times(plain)
    regions = [region for _, _, faces, _ in recorder.written.values() for region in faces]
    assert len(regions) >= FRAMES - 1
    for region in regions:
        assert region.crop_size == 96
        assert region.probability.shape == (14, 14)  # of the encoder's 16, those within the smaller crop
        assert region.probability == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-5)


def test_frames_without_masks(scanner: Scanner, clips: Path, recorded: tuple[Report, Recorder]) -> None:
    frames = scanner.scan(clips / "face.mp4", frames=True).frames
    assert all(f.mask is None for f in frames)
    assert [(f.index, f.box, f.score) for f in frames] == [
        (f.index, f.box, f.score) for f in recorded[0].frames
    ]


def test_mask_pictures_show_the_crops_probability(tmp_path: Path, clips: Path) -> None:
    scanner = scanner_with(make_weights(tmp_path / "w", constant=1.5))
    report = scanner.scan(clips / "face.mp4", masks=MaskWriter(tmp_path / "masks", every=5))
    named = [f for f in report.frames if f.mask]
    assert [f.index for f in named] == [
        i for i in range(0, FRAMES, 5) if i in {f.index for f in report.frames}
    ]
    for frame in named:
        mask = cv2.imread(str(tmp_path / "masks" / str(frame.mask)), cv2.IMREAD_UNCHANGED)
        assert mask.shape[:2] == (HEIGHT, WIDTH)
        mask = mask if mask.ndim == 2 else mask[..., 0]
        x0, y0, x1, y1 = (round(v) for v in frame.box)
        assert mask[(y0 + y1) // 2, (x0 + x1) // 2] == pytest.approx(255 / (1 + np.exp(-1.5)), abs=2)
        assert mask[-5:, :5].max() == 0


def test_progress_rises_to_one(scanner: Scanner, clips: Path) -> None:
    seen: list[float] = []
    scanner.scan(clips / "face.mp4", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert min(seen) >= 0


# --------------------------------------------------------------------------- setting up


def test_devices_that_are_not_there(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(weights))
    for device in ("nonsense", "cuda:99", "meta"):
        with pytest.raises(SetupError, match="device"):
            Scanner(device=device)


def test_missing_and_touched_weights_stop_the_scanner(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights"):
        scanner_with(tmp_path / "nothing")
    folder = make_weights(tmp_path / "w")
    with pytest.raises(WeightsError, match="no patches model 'other'"):
        scanner_with(folder, ScanSettings(patch_model="other"))
    for name in ("blink-test", "landmarks-test", "verdict-test", "patches-test"):
        path = folder / f"{name}.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
        with pytest.raises(WeightsError, match="sha256"):
            scanner_with(folder)


def test_a_patch_model_brings_its_own_verdict(tmp_path: Path) -> None:
    folder = make_weights(tmp_path)
    verdict = models.load_registry(folder).get("verdict")
    models.register(folder, "verdict-later", verdict.load(), verdict.settings)
    before, after = ["mtcnn", "patches-test"], ["landmarks-test", "blink-test"]
    assert [m.name for m in scanner_with(folder).models] == [*before, "verdict-test", *after]
    register_patches(folder, verdict="verdict-later")
    assert [m.name for m in scanner_with(folder).models] == [*before, "verdict-later", *after]


def test_a_verdict_names_the_readers_that_it_was_fitted_with(tmp_path: Path) -> None:
    folder = make_weights(tmp_path)
    registry = models.load_registry(folder)
    kinds = ("landmarks", "blink")
    named = {kind: registry.get(kind).name for kind in kinds}
    for kind in kinds:
        record = registry.get(kind)
        models.register(folder, f"{kind}-newer", record.load(), record.settings)
    assert [m.name for m in scanner_with(folder).models[3:]] == ["landmarks-newer", "blink-newer"]
    verdict = registry.get("verdict")
    models.register(folder, verdict.name, verdict.load(), verdict.settings | named)
    assert [m.name for m in scanner_with(folder).models[3:]] == list(named.values())


# --------------------------------------------------------------------------- behavior


def test_examining_gives_the_series_of_every_track(scanner: Scanner, clips: Path, report: Report) -> None:
    examined, (series,) = scanner.examine(clips / "face.mp4", frames=False)
    assert without_times(examined) == without_times(report)
    (track,) = report.tracks
    assert series.track_id == track.track_id
    assert len(series.times) == -(-track.frames // 2)  # 12.5 a second of 25
    assert set(np.diff(series.frames).tolist()) == {2}
    assert series.times[0] == pytest.approx(track.start_s)
    assert series.times[-1] == pytest.approx(track.end_s)
    (alone,) = scanner.series(clips / "face.mp4")
    np.testing.assert_array_equal(alone.landmarks, series.landmarks)
    assert scanner.examine(clips / "corrupt.mp4")[1] == []
    assert scanner.series(clips / "nobody.mp4") == []
    with pytest.raises(InputError):
        scanner.series(clips / "corrupt.mp4")


def test_gathering_gives_what_is_judged(scanner: Scanner, clips: Path, report: Report) -> None:
    tracks, bits = scanner.gather(clips / "face.mp4")
    judged = scanner.judge.judge(tracks, bits)
    assert (judged.verdict, judged.tracks, judged.quality) == (report.verdict, report.tracks, report.quality)
    (track,) = tracks
    assert all(len(face.parts) == len(PARTS) and np.isfinite(face.parts).all() for face in track.faces)
    (window,) = track.behavior
    assert (window.start_s, window.end_s) == (track.start_s, track.end_s)


@pytest.mark.parametrize(("rate", "step"), [(30.0, 1), (12.0, 2), (5.0, 5)])
def test_landmarks_are_read_at_the_asked_rate(weights: Path, clips: Path, rate: float, step: int) -> None:
    (series,) = scanner_with(weights, ScanSettings(behavior_fps=rate)).series(clips / "face.mp4")
    assert set(series.frames.tolist()) <= set(range(0, FRAMES, step))
    assert len(series.frames) >= -(-FRAMES // step) - 1


def test_behaviour_can_be_left_out(weights: Path, clips: Path) -> None:
    scanner = scanner_with(weights, ScanSettings(behavior_fps=0))
    assert [m.name for m in scanner.models] == ["mtcnn", "patches-test", "verdict-test"]
    report, series = scanner.examine(clips / "face.mp4")
    assert report.error is None and series == []
    assert report.tracks
    with pytest.raises(SetupError, match="behavior_fps"):
        scanner.series(clips / "face.mp4")


class GivenReadings:
    """Stands in for both readers: whatever the frames show, they say what a series holds."""

    def __init__(self, series: FaceSeries) -> None:
        self.series = series
        self.rows: list[int] = []

    def read(self, images: object, index: object, faces: object, tracks: object = None) -> object:
        if tracks is not None:
            assert self.series.shut is not None
            return self.series.shut[self.rows]
        assert isinstance(faces, list)
        self.rows = [face.frame_index for face in faces]
        names = {field.name for field in fields(FaceReadings)} - {"shut"}
        return FaceReadings(**{name: getattr(self.series, name)[self.rows] for name in names})

    def anew(self) -> GivenReadings:
        return self


@pytest.mark.parametrize(
    ("settings", "blinks"),
    [
        (None, 3),
        (ScanSettings(blink_rule="network"), 3),
        (ScanSettings(blink_rule="openness"), 2),
        (ScanSettings(blink_rule="ear"), 1),
    ],
)
def test_the_verdict_counts_blinks_by_the_rule_and_by_the_network_if_none_is_given(
    weights: Path, long_clip: Path, settings: ScanSettings | None, blinks: int
) -> None:
    scanner = scanner_with(weights, settings)
    given = GivenReadings(disagreeing(LONG))
    scanner.reader = given  # type: ignore[assignment]
    if scanner.eyes is not None:
        scanner.eyes = given  # type: ignore[assignment]
    (track,), _ = scanner.gather(long_clip)
    (window,) = track.behavior
    found = window.values["blink"]
    assert found is not None
    seen_s = track.end_s - track.start_s + 1 / FPS
    assert found["blink_rate"] * seen_s / 60 == pytest.approx(blinks, abs=0.05)


def test_only_the_rule_network_needs_its_weights(tmp_path: Path, clips: Path) -> None:
    folder = make_weights(tmp_path)
    (series,) = scanner_with(folder).series(clips / "face.mp4")
    assert series.shut is not None
    known = np.isfinite(series.landmarks[:, 0, 0])
    assert known.any()
    np.testing.assert_array_equal(np.isfinite(series.shut).all(axis=1), known)
    (folder / "blink-test.safetensors").unlink()
    with pytest.raises(WeightsError, match="blink-test are missing"):
        scanner_with(folder)
    scanner = scanner_with(folder, ScanSettings(blink_rule="ear"))
    assert [m.name for m in scanner.models] == ["mtcnn", "patches-test", "verdict-test", "landmarks-test"]
    report, (plain,) = scanner.examine(clips / "face.mp4")
    assert report.error is None and report.settings["blink_rule"] == "ear" and plain.shut is None
    np.testing.assert_array_equal(plain.openness, series.openness)


def test_labels_follow_the_false_alarms_that_are_allowed(weights: Path, clips: Path) -> None:
    plain = scanner_with(weights).scan(clips / "face.mp4").verdict
    # Four in ten of the made-up genuine people look at least as suspicious.
    assert plain.label == "no_manipulation_found" and plain.p_value == pytest.approx(0.41, abs=0.05)
    for rate, label in ((0.1, "no_manipulation_found"), (0.3, "uncertain"), (0.5, "manipulated")):
        verdict = scanner_with(weights, ScanSettings(target_fpr=rate)).scan(clips / "face.mp4").verdict
        assert (verdict.score, verdict.label) == (plain.score, label)
        assert verdict.thresholds.manipulated < plain.thresholds.manipulated
        assert verdict.calibration.target_fpr == rate
    with pytest.raises(SetupError, match=r"people cannot set a threshold of 0\.10%"):
        scanner_with(weights, ScanSettings(target_fpr=0.001))


def test_an_unknown_rule_for_blinks_is_refused(weights: Path) -> None:
    with pytest.raises(SetupError, match="blink_rule 'brow': there are ear, openness, network"):
        scanner_with(weights, ScanSettings(blink_rule="brow"))  # type: ignore[arg-type]


# --------------------------------------------------------------------------- what is shipped


@pytest.fixture(scope="module")
def shipped() -> Iterator[Scanner]:
    shipped_registry()
    yield Scanner(device="cpu")


def test_shipped_weights_on_the_face_clip(shipped: Scanner, clips: Path) -> None:
    report = shipped.scan(clips / "face.mp4", frames=True)
    assert report.error is None
    assert len(report.tracks) == 1
    assert report.verdict.calibration.n >= 99
    assert 0 < report.verdict.calibration.target_fpr <= 0.05
    jsonschema.validate(json.loads(dumps(report)), report_schema())


def test_shipped_weights_do_not_call_the_astronaut_manipulated(shipped: Scanner, clips: Path) -> None:
    assert shipped.scan(clips / "face.png").verdict.label in ("no_manipulation_found", "uncertain")


@pytest.mark.slow
def test_corpus_clips_get_through_and_show_a_face(shipped: Scanner) -> None:
    chosen = corpus_clips(12)
    assert chosen
    quick = Scanner(ScanSettings(max_duration_s=1.0, analysis_fps=4), device="cpu")
    reports = {path: quick.scan(path) for path, _ in chosen}
    errors = {p.name: r.error for p, r in reports.items() if r.error is not None}
    assert not errors
    faceless = [p.name for p, r in reports.items() if r.verdict.label == "no_face"]
    assert len(faceless) <= len(chosen) // 6, faceless
    for report in reports.values():
        jsonschema.validate(json.loads(dumps(report)), report_schema())


def test_leaving_the_encoder_out_is_said_where_the_verdict_weighs_it() -> None:
    shipped_registry()
    (note,) = Scanner(ScanSettings(encoder_fps=0), device="cpu").notes
    assert note.code == "encoder_left_out"
    assert Scanner(device="cpu").notes == ()
    with pytest.raises(SetupError, match="encoder_fps -1 is below 0"):
        Scanner(ScanSettings(encoder_fps=-1), device="cpu")

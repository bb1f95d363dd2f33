"""The quality gate on spoiled clips: what is done to frames, what is counted, and the command itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from samples.clips import make_clip, pattern
from tests.evaluation.test_evaluation import scored
from tests.manifests import write_manifest
from tests.patches.fixture_weights import THRESHOLDS, make_weights
from vidscan.cli.app import run
from vidscan.errors import CorruptError, SetupError
from vidscan.evaluation import quality as module
from vidscan.evaluation.quality import (
    SPOILINGS,
    SUSPICIOUS,
    UNSPOILT,
    Spoiling,
    Spoilt,
    quality,
    spoil,
    spoil_frame,
    table,
    tabulate,
)
from vidscan.evaluation.scanning import Scanning
from vidscan.media import open_video
from vidscan.models import register
from vidscan.reporting import error_report
from vidscan.types import Label, Note, Quality, Report, ScanSettings

# What is done to a frame


@pytest.mark.parametrize(("wanted", "size"), [(50.0, (60, 80)), (25.0, (30, 40)), (100.0, (120, 160))])
def test_faces_get_the_size_that_was_asked_for(wanted: float, size: tuple[int, int]) -> None:
    frame = pattern(1, 160, 120)[0]
    assert spoil_frame(frame, Spoiling(face_px=wanted), 100.0).shape == (*size, 3)


def test_faces_are_never_enlarged_and_sides_are_even() -> None:
    frame = pattern(1, 161, 121)[0]
    assert spoil_frame(frame, Spoiling(face_px=90), 60.0) is frame
    height, width = spoil_frame(frame, Spoiling(face_px=50), 60.0).shape[:2]
    assert (height % 2, width % 2) == (0, 0)
    assert (height, width) == (pytest.approx(121 / 1.2, abs=1), pytest.approx(161 / 1.2, abs=1))


def test_blur_goes_by_the_size_of_the_face() -> None:
    spot = np.zeros((65, 65, 3), np.uint8)
    spot[32, 32] = 255
    for face_px in (50.0, 100.0):
        sigma = 0.02 * face_px
        peak = spoil_frame(spot, Spoiling(blur=0.02), face_px)[32, 32, 0]
        assert peak == pytest.approx(255 / (2 * np.pi * sigma**2), rel=0.1)


def test_light_is_taken_away() -> None:
    frame = pattern(1)[0]
    assert spoil_frame(frame, Spoiling(light=0.3), 50.0).mean() == pytest.approx(0.3 * frame.mean(), rel=0.02)


def test_clips_are_cut_and_keep_their_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPOILINGS, "short", Spoiling(seconds=0.3))
    source = make_clip(tmp_path / "a.mp4", pattern(20))
    spoil(Spoilt(source, tmp_path / "b.mp4", "short", 50.0))
    with open_video(tmp_path / "b.mp4") as video:
        times = np.concatenate([chunk.times for chunk in video])
    assert times == pytest.approx(np.arange(len(times)) / 25, abs=1e-3)
    assert 0.24 <= times[-1] <= 0.3


def test_more_compression_leaves_fewer_bits(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 40, (6, 64, 96, 3))
    source = make_clip(tmp_path / "a.mp4", (pattern(6) // 2 + noise).astype(np.uint8), options={"crf": "10"})
    sizes = []
    for name in (UNSPOILT, "crf 40", "crf 48"):
        spoil(Spoilt(source, tmp_path / "b.mp4", name, 50.0))
        sizes.append((tmp_path / "b.mp4").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < sizes[0] / 2


# What is counted


def report(label: Label, *codes: str) -> Report:
    """Of a clip with this label and these flags."""
    blank = error_report("clip.mp4", CorruptError("broken"), ScanSettings(), "cpu", ())
    flags = tuple(Note(code, code) for code in codes)
    return replace(
        blank,
        verdict=replace(blank.verdict, label=label),
        quality=Quality(100.0, 5.0, 90.0, 0.1, flags),
        error=None,
    )


def test_rows_by_hand() -> None:
    short = [report("uncertain", "too_short")] * 2
    both = report("uncertain", "too_short", "face_too_dark")
    clips = [*short, both, report("uncertain"), report("manipulated"), report("no_face")]
    row, other = tabulate(
        {
            "poor": [*clips, report("no_manipulation_found"), None],
            "well": [report("no_manipulation_found")] * 4,
        }
    )
    assert (row.false_alarms.count, row.false_alarms.of) == (1, 8)
    assert row.false_alarms.interval[0] < 1 / 8 < row.false_alarms.interval[1]
    assert row.why == {"too_short": 3, "face_too_dark": 1, SUSPICIOUS: 1}
    assert (row.uncertain, row.nothing_found, row.faceless, row.failed) == (4, 1, 1, 1)
    assert (other.nothing_found, other.uncertain, other.why) == (4, 0, {})
    heads, lines = table([row, other])
    assert [len(line) for line in lines] == [len(heads)] * 2
    told = dict(zip(heads, lines[0], strict=True))
    assert told["clips are"] == "poor (1 not scanned)"
    assert told["uncertain"] == "50.0%"
    assert told["why"].startswith("too_short 3")
    assert lines[1][heads.index("why")] == "-"


def test_clips_without_a_face_are_not_taken(tmp_path: Path) -> None:
    clip = scored("g", 0.0)
    with pytest.raises(SetupError, match="in which a face is found"):
        quality(tmp_path, [clip], [clip.entry], tmp_path, Scanning(), lambda name, n: lambda: None)


# The command


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two genuine clips and one forged, of 16 frames of a moving portrait."""
    data = pytest.importorskip("skimage.data")
    image = data.astronaut()[0:256, 96:352]
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for i, label in enumerate(("real", "real", "fake")):
        frames = np.stack([np.roll(image, t * (i + 1), 1) for t in range(16)])
        make_clip(folder / f"{i}.mp4", frames)
        kind = "," if label == "real" else "Swap,faceswap"
        rows.append(f"dev,{label},{i}.mp4,video,r,p{i},{kind},,")
    (folder / "list.txt").write_text("0.mp4\n1.mp4\n")
    return write_manifest(folder, *rows)


@pytest.mark.timeout(300)
def test_the_command_says_why_and_makes_nothing_twice(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = make_weights(tmp_path / "weights", constant=-4.0)
    limits = torch.tensor([48.0, 0.0, 0.0, 0.5, 2.0, 0.0], dtype=torch.float64)
    tensors = {
        "statistics": torch.linspace(-3, 1, 199, dtype=torch.float64),
        "thresholds": torch.tensor(THRESHOLDS, dtype=torch.float64),
        "limits": limits,
    }
    register(weights, "verdict-test", tensors, {"kind": "verdict", "target_fpr": 0.01, "bin": "test people"})
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(weights))
    chosen = {name: SPOILINGS[name] for name in (UNSPOILT, "face 44 px", "length .3 s")}
    monkeypatch.setattr(module, "SPOILINGS", chosen)
    out = tmp_path / "out"
    command = ["evaluate", str(corpus), "--out", str(out), "--quality", "--json", "--jobs", "1"]
    command += ["--subset", str(corpus / "list.txt"), "--device", "cpu"]

    assert run(command) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert "spoiling clips: 6 files" in captured.err
    plain, small, short = data["quality"]
    assert [row["name"] for row in data["quality"]] == list(chosen)
    assert (plain["nothing_found"], plain["why"]) == (2, {})
    assert small["uncertain"] + small["faceless"] == 2
    assert set(small["why"]) <= {"face_too_small"}
    assert (short["uncertain"], short["why"]) == (2, {"too_short": 2})
    assert "## Quality gate" in (out / "dev.md").read_text()

    made = {path: path.stat().st_mtime_ns for path in (out / "derived" / "quality").iterdir()}
    assert len(made) == 6
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out) == data
    assert made == {path: path.stat().st_mtime_ns for path in (out / "derived" / "quality").iterdir()}

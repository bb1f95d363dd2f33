"""``vidscan explain`` and ``vidscan inspect``, in this process, with untrained weights or a fake scanner."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from samples.clips import make_clip, pattern
from tests.behavior.blinking import disagreeing
from tests.behavior.moving_face import nodding
from tests.patches.fixture_weights import make_weights
from tests.report.sample_reports import sample, with_frames
from vidscan.cli.app import run
from vidscan.types import ErrorInfo, FaceSeries, Report


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from skimage.data import astronaut

    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "weights")))
    monkeypatch.chdir(tmp_path)
    face = np.ascontiguousarray(astronaut()[:300, 60:400, ::-1])
    cv2.imwrite("face.png", face)
    cv2.imwrite("mirror.png", np.ascontiguousarray(face[:, ::-1]))
    cv2.imwrite("nobody.png", pattern(1, 200, 160)[0])
    return tmp_path


@pytest.mark.parametrize("method", ["patches", "gradcam", "saliency"])
def test_a_picture_of_crops_and_maps(pictures: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    if method != "patches":
        pytest.importorskip("captum")
    assert run(["explain", "face.png", "--method", method, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == f"face-{method}.png\n"
    drawn = cv2.imread(f"face-{method}.png")
    assert drawn is not None and drawn.shape[0] > 200 and drawn[0, 0].tolist() == [255, 255, 255]
    assert run(["explain", "face.png", "--method", method]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_mean_of_a_set_leaves_out_what_has_no_face(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", "mean.png", "--json", "--device", "cpu"]
    assert run(["explain", "face.png", "mirror.png", "--mean", *out]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["output"], found["method"]) == ("mean.png", "patches")
    assert [clip["path"] for clip in found["clips"]] == ["face.png", "mirror.png"]
    assert found["clips"][0]["crops"][0].keys() == {"track_id", "index", "time_s", "score"}
    assert run(["explain", "face.png", "nobody.png", "--mean", "--overwrite", *out]) == 3
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["clips"]) == 1
    assert "error[no_face]: nobody.png: no face found (1 of 2 clips" in captured.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nobody.png"], 3, "error[no_face]: nobody.png: no face found"),
        (["gone.mp4"], 3, "error[not_found]: gone.mp4"),
        (["face.png", "mirror.png"], 2, "several clips need --mean"),
        (["face.png", "-o", "map.jpg"], 2, "map.jpg is not a .png"),
        (["face.png", "-o", "none/map.png"], 2, "none is not a folder"),
        (["face.png", "-o", "face.png", "--overwrite"], 2, "face.png is an input"),
        (["face.png", "--at", "3"], 3, "no face found within half a second of 0:00:03.0"),
        (["face.png", "--method", "lime"], 2, "error[usage]"),
    ],
)
def test_what_explain_refuses(
    pictures: Path, args: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", *args, "--device", "cpu"]) == code
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not list(pictures.glob("*map*")) and not list(pictures.glob("*-patches.png"))


# --------------------------------------------------------------------------- inspect


def fake_scanner(report: Report, series: list[FaceSeries]) -> type:
    class Fake:
        def __init__(self, settings: Any = None, *, device: str = "auto", forensics: bool = False) -> None:
            pass

        def examine(self, path: Path, *, progress: Any = None) -> tuple[Report, list[FaceSeries]]:
            return report, series

    return Fake


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return make_clip(tmp_path / "clip.mp4", sound=True).name


def test_a_summary_for_people_and_machines(
    clip: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    face = replace(nodding(6.0), track_id=1)
    monkeypatch.setattr("vidscan.scanner.Scanner", fake_scanner(sample("manipulated"), [face]))
    assert run(["inspect", clip]) == 0
    text = capsys.readouterr().out
    assert "Face manipulation found" in text and "video codec: h264" in text and "audio codec: aac" in text
    assert "Face 1: manipulated" in text and "head pitch degrees:" in text and "blink_rate:" in text
    assert text.count("too little material") == 5  # the second face has no landmarks
    assert run(["inspect", clip, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, second = found["tracks"]
    assert (first["track_id"], second["signals"]) == (1, {})
    assert first["signals"]["head yaw degrees"]["median"] == pytest.approx(
        float(np.median(face.rotation[:, 1])), abs=1e-3
    )
    assert first["behaviour"]["head pose"]["head_pose_angle"] >= 0
    assert second["behaviour"]["gaze"] is None


@pytest.mark.parametrize(("rule", "rate"), [("network", 18), ("openness", 12), ("ear", 6)])
def test_the_summary_counts_blinks_by_the_rule_of_the_scan(
    rule: str, rate: float, clip: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    series = replace(disagreeing(250), track_id=1)
    if rule != "network":
        series = replace(series, shut=None)
    report = sample("manipulated")
    report = replace(report, settings=report.settings | {"blink_rule": rule})
    monkeypatch.setattr("vidscan.scanner.Scanner", fake_scanner(report, [series]))
    assert run(["inspect", clip, "--json", "--blink-rule", rule]) == 0
    track = json.loads(capsys.readouterr().out)["tracks"][0]
    assert track["behaviour"]["blink"]["blink_rate"] == pytest.approx(rate)
    assert ("left eye shut probability" in track["signals"]) == (rule == "network")


def test_a_plot(clip: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    report = with_frames(sample("no_manipulation_found"))
    monkeypatch.setattr("vidscan.scanner.Scanner", fake_scanner(report, [replace(nodding(), track_id=1)]))
    assert run(["inspect", clip, "-o", "out.png"]) == 0
    assert capsys.readouterr().out == "out.png\n" and cv2.imread("out.png") is not None
    assert run(["inspect", clip, "-o", "out.png"]) == 2
    assert run(["inspect", clip, "-o", "out.png", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "clip.mp4"


def test_what_inspect_refuses(
    clip: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("vidscan.scanner.Scanner", fake_scanner(sample("no_face"), []))
    assert run(["inspect", clip]) == 0
    assert "No face" in capsys.readouterr().out
    broken = sample("error", error=ErrorInfo("corrupt", "clip.mp4: broken"))
    for report, args, code, message in (
        (sample("no_face"), [clip, "-o", "out.png"], 3, "error[no_face]: clip.mp4: no face found"),
        (broken, [clip], 3, "error[corrupt]: clip.mp4: broken"),
        (broken, ["gone.mp4"], 3, "error[not_found]: gone.mp4"),
        (broken, ["."], 2, "is a folder"),
        (broken, [clip, "-o", "clip.mp4"], 2, "is not a .png"),
    ):
        monkeypatch.setattr("vidscan.scanner.Scanner", fake_scanner(report, []))
        assert run(["inspect", *args]) == code
        captured = capsys.readouterr()
        assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not Path("out.png").exists()

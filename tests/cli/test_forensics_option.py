"""``--forensics`` of check, inspect and scan: what is added, and that the verdict stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from samples.clips import make_clip, pattern
from tests.corpus import needs_weights
from tests.report.sample_reports import MODELS, sample
from vidscan.batch.engine import Identity, ScannerSpec
from vidscan.batch.results import same_identity
from vidscan.cli.app import run
from vidscan.forensics import shelf
from vidscan.forensics.base import INSTRUMENTS
from vidscan.report.json import to_dict
from vidscan.types import ErrorInfo, ScanSettings

pytestmark = needs_weights
FEW = tuple(name for name in INSTRUMENTS if name in ("generator_marks", "jpeg_dimples", "repeated_frames"))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    # The table itself stays: what is taken out of it comes back in another order.
    monkeypatch.setattr(shelf, "INSTRUMENTS", {name: INSTRUMENTS[name] for name in FEW})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    from skimage.data import astronaut

    path = tmp_path / "face.jpg"
    cv2.imwrite(str(path), np.ascontiguousarray(astronaut()[:300, 60:400, ::-1]))
    return path


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run([*arguments, "-q", "--device", "cpu"])
    return code, capsys.readouterr().out


def without_time(report: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in report.items() if k not in ("timing_s", "forensics", "provenance")}


def test_check_adds_findings_and_changes_nothing_else(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_code, plain = printed(["check", str(picture), "--json"], capsys)
    page = tmp_path / "page.html"
    code, text = printed(["check", str(picture), "--json", "--forensics", "--report", str(page)], capsys)
    report = json.loads(text)
    assert code == plain_code
    assert without_time(report) == without_time(json.loads(plain))
    assert [finding["name"] for finding in report["forensics"]] == list(FEW)
    assert report["forensics"][2]["status"] == "not_applicable"
    assert report["provenance"]["state"] == "none"
    assert report["timing_s"]["forensics"] > 0 and json.loads(plain)["timing_s"]["forensics"] == 0
    assert 'id="forensics"' in page.read_text("utf-8")


def test_inspect_tells_them_too(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = printed(["inspect", str(picture), "--forensics"], capsys)
    assert code == 0 and "Forensics (none of this is part of the verdict):" in text
    assert "    JPEG dimples:" in text
    data = json.loads(printed(["inspect", str(picture), "--forensics", "--json"], capsys)[1])
    assert [finding["name"] for finding in data["forensics"]] == list(FEW)


@pytest.mark.slow
def test_scan_hands_them_to_its_workers_and_resumes_by_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clip(tmp_path / "a.mp4", pattern(30))
    out = tmp_path / "out.jsonl"
    scan = ["scan", str(tmp_path), "--out", str(out), "--jobs", "1"]
    assert printed(scan, capsys)[0] == 0
    assert printed([*scan, "--resume", "--forensics"], capsys)[0] == 0
    reports = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert ["forensics" in report for report in reports] == [False, True]
    assert printed([*scan, "--resume", "--forensics"], capsys)[0] == 0
    assert len(out.read_text("utf-8").splitlines()) == 2


def test_a_report_without_findings_is_not_what_was_asked_for() -> None:
    plain = Identity(ScanSettings(), "cpu", MODELS)
    asked = Identity.from_json(Identity(ScanSettings(), "cpu", MODELS, True).to_json())
    data = to_dict(sample())
    assert same_identity(data, plain) and not same_identity(data, asked)
    failed = to_dict(sample("error", error=ErrorInfo("corrupt", "clip.mp4: broken")))
    assert same_identity(failed, asked)
    spec = ScannerSpec(options={"forensics": True})
    assert ScannerSpec.from_json(spec.to_json()) == spec

"""The library's front door: one call, nothing heavy before it, the documented names and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import vidscan
from tests.patches.fixture_weights import make_weights
from vidscan.errors import WeightsError

HEAVY = ("torch", "torchvision", "numpy", "cv2", "av", "decord", "sklearn", "pydantic", "typer")


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_vidscan_imports_nothing_heavy() -> None:
    assert run(f"import sys, vidscan; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_settings_and_report_need_no_torch() -> None:
    code = "import sys, vidscan; vidscan.ScanSettings(); vidscan.Report; print('torch' in sys.modules)"
    assert run(code) == "False"


def test_names() -> None:
    from vidscan import scanner, types

    assert vidscan.Scanner is scanner.Scanner
    assert vidscan.Report is types.Report
    assert vidscan.ScanSettings is types.ScanSettings
    assert vidscan.__dir__() == vidscan.__all__
    text = (Path(__file__).parents[1] / "docs" / "library.md").read_text(encoding="utf-8")
    for name in vidscan.__all__:
        assert getattr(vidscan, name).__name__ == name if name != "__version__" else vidscan.__version__
        assert f"`vidscan.{name}" in text
    assert not run("import vidscan; print(*(n for n in vidscan.__all__ if not hasattr(vidscan, n)))")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", vidscan.__version__)
    with pytest.raises(AttributeError, match="no attribute 'Detector'"):
        vidscan.Detector  # noqa: B018


def test_scan_is_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skimage.data import astronaut

    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "w", constant=6.0)))
    picture = tmp_path / "a b.png"
    cv2.imwrite(str(picture), np.ascontiguousarray(astronaut()[:300, 60:400, ::-1]))
    report = vidscan.scan(picture, device="cpu")
    assert isinstance(report, vidscan.Report)
    assert report.verdict.label == "manipulated"
    assert report.tool.version == vidscan.__version__
    assert report.device == "cpu"
    quick = vidscan.scan(str(picture), vidscan.ScanSettings(min_face=0.9), device="cpu")
    assert quick.settings["min_face"] == 0.9
    assert quick.verdict.label == "no_face"  # the face is a third of the picture
    assert vidscan.scan(tmp_path / "missing.mp4", device="cpu").error.code == "not_found"  # type: ignore[union-attr]


def test_without_weights_the_call_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="no weights found"):
        vidscan.scan(tmp_path / "clip.mp4")

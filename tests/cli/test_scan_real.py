"""``vidscan scan`` with the shipped weights, in real worker processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vidscan", *arguments], capture_output=True, text=True, timeout=250
    )


def reports(path: Path) -> dict[str, dict[str, Any]]:
    """Reports by file name, without what may differ between two runs."""
    found = {}
    for line in path.read_text().splitlines():
        report = json.loads(line)
        del report["timing_s"]
        found[Path(report["input"]["path"]).name] = report
    return found


@pytest.mark.slow
def test_jobs_do_not_change_reports_and_a_bad_file_costs_its_own_line(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for name in ("genuine.mp4", "manipulated.mp4"):
        shutil.copy(EXAMPLES / name, media)
    (media / "broken.mp4").write_bytes((EXAMPLES / "genuine.mp4").read_bytes()[:2000])
    cv2.imwrite(str(media / "empty.png"), np.full((120, 160, 3), 90, np.uint8))
    ended = [run("scan", str(media), "--out", str(tmp_path / f"{n}.jsonl"), "--jobs", str(n)) for n in (1, 2)]
    assert [p.returncode for p in ended] == [3, 3], ended[0].stderr
    one, two = (reports(tmp_path / f"{n}.jsonl") for n in (1, 2))
    assert one == two
    labels = {name: report["verdict"]["label"] for name, report in one.items()}
    assert labels == {
        "genuine.mp4": "no_manipulation_found",
        "manipulated.mp4": "manipulated",
        "broken.mp4": "error",
        "empty.png": "no_face",
    }
    # Nothing is left to do, so nothing is scanned; the exit code still covers every line.
    before = (tmp_path / "1.jsonl").read_text()
    again = run("scan", str(media), "--out", str(tmp_path / "1.jsonl"), "--jobs", "1", "--resume")
    assert again.returncode == 3
    after = reports(tmp_path / "1.jsonl")
    assert after == one
    good = [line for line in before.splitlines() if '"error":null' in line.replace(" ", "")]
    assert set(good) <= set((tmp_path / "1.jsonl").read_text().splitlines())

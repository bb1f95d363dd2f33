"""The scanner that writes pages, on a moving picture of a face, with untrained weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samples.clips import make_clip
from tests.patches.fixture_weights import make_weights
from vidscan.batch.pages import NOT_WRITTEN, PageScanner
from vidscan.types import ScanSettings


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = pytest.importorskip("skimage.data")
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "weights")))
    frames = np.stack([np.roll(data.astronaut()[0:256, 96:352], shift, axis=1) for shift in range(4)])
    return make_clip(tmp_path / "a clip.mp4", frames)


@pytest.mark.slow
def test_the_page_lies_beside_the_report_and_costs_it_nothing(clip: Path, tmp_path: Path) -> None:
    scanner = PageScanner(ScanSettings(behavior_fps=0), device="cpu", folder=str(tmp_path / "pages"))
    report = scanner.scan(clip)
    assert report.frames == () and report.error is None
    assert NOT_WRITTEN not in {note.code for note in report.warnings}
    assert [page.name for page in (tmp_path / "pages").iterdir()] == [
        f"a_clip-{(report.input.sha256 or '')[:8]}.html"
    ]
    clip.write_bytes(b"no video")
    assert scanner.scan(clip).error is not None
    assert len(list((tmp_path / "pages").iterdir())) == 1


@pytest.mark.slow
def test_a_page_that_cannot_be_written_is_a_warning(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("a file where the folder should be")
    scanner = PageScanner(ScanSettings(behavior_fps=0), device="cpu", folder=str(tmp_path / "pages"))
    report = scanner.scan(clip)
    assert report.error is None and report.verdict.label != "error"
    assert NOT_WRITTEN in {note.code for note in report.warnings}

"""The scanner of the service's workers, on a moving picture of a face, with untrained weights."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samples.clips import make_clip
from tests.patches.fixture_weights import make_weights
from vidscan.batch.pages import NOT_WRITTEN
from vidscan.scanner import Scanner
from vidscan.serve.pages import PLACEHOLDER, made_out
from vidscan.serve.scanner import MASKS_NOT_WRITTEN, Progress, ServiceScanner
from vidscan.serve.store import MASKS, PAGE, PROGRESS
from vidscan.types import Report, ScanSettings

SETTINGS = ScanSettings(behavior_fps=0)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = pytest.importorskip("skimage.data")
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(make_weights(tmp_path / "weights")))
    frames = np.stack([np.roll(data.astronaut()[0:256, 96:352], shift, axis=1) for shift in range(4)])
    return make_clip(tmp_path / "a.mp4", frames).rename(tmp_path / ("ab" * 32))  # as uploads are kept


def untimed(report: Report) -> Report:
    return replace(report, timing_s=None)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_report_is_the_scanners_and_the_rest_lies_beside_it(clip: Path, tmp_path: Path) -> None:
    plain = untimed(Scanner(SETTINGS, device="cpu").scan(clip))
    scanner = ServiceScanner(SETTINGS, device="cpu")
    for page, masks in ((False, False), (True, True), (False, True)):
        folder = tmp_path / f"{page} {masks}"
        folder.mkdir()
        report = scanner.scan(clip, folder=str(folder), page=page, masks=masks)
        assert untimed(report) == plain and report.error is None
        assert 0 <= float((folder / PROGRESS).read_text()) <= 1
        made = {name for name, wanted in ((PAGE, page), (MASKS, masks)) if wanted}
        assert {entry.name for entry in folder.iterdir()} == made | {PROGRESS}
    page_text = (tmp_path / "True True" / PAGE).read_text("utf-8")
    assert PLACEHOLDER in page_text and clip.name not in page_text and str(tmp_path) not in page_text
    told = made_out(page_text, 'dir/</script><b>&".mp4')
    title = told.partition("<title>")[2].partition("</title>")[0]
    assert "script&gt;&lt;b&gt;&amp;&#34;.mp4" in title and "dir" not in title
    inside = told.partition('id="report">')[2].partition("</script>")[0]
    in_page = json.loads(inside)
    assert in_page["input"]["path"] == 'dir/</script><b>&".mp4'
    assert [frame["mask"] for frame in in_page["frames"]] == [f"masks/{n:06}.png" for n in range(4)]
    with zipfile.ZipFile(tmp_path / "False True" / MASKS) as archive:
        names = archive.namelist()
        index = json.loads(archive.read("masks/masks.json"))
        assert archive.read("masks/000000.png").startswith(b"\x89PNG")
    assert names == [*(f"masks/{n:06}.png" for n in range(4)), "masks/masks.json"]
    assert [frame["file"] for frame in index["frames"]] == [f"{n:06}.png" for n in range(4)]


@pytest.mark.slow
def test_what_cannot_be_written_is_a_warning(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / PAGE).mkdir(parents=True)
    (folder / MASKS).mkdir()
    report = ServiceScanner(SETTINGS, device="cpu").scan(clip, folder=str(folder), page=True, masks=True)
    assert report.error is None
    assert {NOT_WRITTEN, MASKS_NOT_WRITTEN} <= {note.code for note in report.warnings}


def test_progress_is_whole_whenever_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidscan.serve.scanner._EVERY_S", 0.0)
    progress = Progress(tmp_path / PROGRESS)
    lengths = set()
    for share in (0.0, 0.123456, 0.5, 1.0, 7.0, -1.0):
        progress.share(share)
        lengths.add(len((tmp_path / PROGRESS).read_text()))
    assert lengths == {6}

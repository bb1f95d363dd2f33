"""``vidscan check`` with all it makes beside the verdict, on an example with the shipped weights."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.corpus import shipped_registry
from vidscan.cli.app import run
from vidscan.media import open_video

EXAMPLE = Path(__file__).parents[2] / "examples" / "manipulated.mp4"
TRUTH = json.loads(EXAMPLE.with_suffix(".json").read_text(encoding="utf-8"))
SECONDS = 1.0


@pytest.fixture(autouse=True)
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSCAN_PEOPLE", str(tmp_path / "people"))


def frames(path: Path) -> np.ndarray:
    """(T, H, W, 3)"""
    with open_video(path) as source:
        return np.concatenate([chunk.images for chunk in source])


@pytest.mark.slow
def test_everything_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped_registry()
    overlay, page, masks = tmp_path / "over.mp4", tmp_path / "page.html", tmp_path / "masks"
    made = ["--overlay", overlay, "--report", page, "--masks", masks, "--masks-format", "video"]
    drawn = ["--pose", "--gaze", "--max-duration", SECONDS, "--json", "--device", "cpu"]
    code = run([str(part) for part in ("check", EXAMPLE, *made, *drawn)])
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["error"] is None, err
    assert code == (1 if report["verdict"]["label"] == "manipulated" else 0)
    assert report["frames"]
    count = report["input"]["frames_decoded"]

    with open_video(EXAMPLE) as source:
        size = (source.info.height, source.info.width)
    pictures = frames(overlay)
    # The timeline lies below the picture.
    assert pictures.shape[0] == count and pictures.shape[1] > size[0] and pictures.shape[2] == size[1]
    plain = frames(EXAMPLE)[:count]
    assert np.abs(pictures[:, : size[0]].astype(int) - plain).mean(axis=(1, 2, 3)).min() > 0.2
    (mask,) = masks.rglob("*.mkv")
    assert len(frames(mask)) == count
    assert frames(mask).max() > 0

    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert EXAMPLE.name in text and "data:image/" in text
    assert "http://" not in text.replace("http://www.w3.org/", "")
    for path in (overlay, page):
        assert str(path) in err


@pytest.mark.slow
def test_several_clips_are_put_into_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped_registry()
    (tmp_path / "broken.mp4").write_bytes(EXAMPLE.read_bytes()[:2000])
    clips = [str(EXAMPLE), str(tmp_path / "broken.mp4")]
    folder = tmp_path / "pages"
    code = run(["check", *clips, "--report", str(folder), "--max-duration", "0.4", "--json", "--quiet"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 3
    assert [line["error"] is None for line in lines] == [True, False]
    # Frames are needed for the page, but nobody asked for them in the report.
    assert "frames" not in lines[0]
    (page,) = folder.iterdir()
    assert page.suffix == ".html" and page.name.startswith("manipulated")


@pytest.mark.slow
def test_a_scan_lists_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped_registry()
    index = tmp_path / "index.html"
    options = ["--index", str(index), "--max-duration", "0.4", "--jobs", "1", "--device", "cpu"]
    assert run(["scan", str(EXAMPLE), *options]) in (0, 1)
    (line,) = capsys.readouterr().out.splitlines()
    text = index.read_text(encoding="utf-8")
    assert EXAMPLE.name in text
    assert json.loads(line)["verdict"]["label"] in text
    assert "<a href=" not in text.partition("<tbody")[2]


@pytest.mark.slow
def test_a_scan_writes_a_page_for_each_file_and_links_to_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped_registry()
    media, pages = tmp_path / "media", tmp_path / "site" / "pages"
    media.mkdir()
    for name in ("one.mp4", "twin.mp4"):
        shutil.copy(EXAMPLE, media / name)
    (media / "broken.mp4").write_bytes(EXAMPLE.read_bytes()[:2000])
    index, out = tmp_path / "site" / "index.html", tmp_path / "out.jsonl"
    options = ["--index", str(index), "--report", str(pages), "--out", str(out)]
    options += ["--max-duration", "0.9", "--jobs", "1", "--device", "cpu"]
    assert run(["scan", str(media), *options]) == 3
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 3 and not any("frames" in line for line in lines)
    (page,) = pages.iterdir()
    assert page.name[-14:] == f"-{lines[-1]['input']['sha256'][:8]}.html"
    assert "data:image/" in page.read_text(encoding="utf-8")
    rows = index.read_text(encoding="utf-8").partition("<tbody")[2]
    # The same content twice is one page; what could not be scanned has none.
    assert re.findall('href="(.*?)"', rows) == [f"./pages/{page.name}"] * 2
    # A further run scans nothing, and still finds the pages.
    capsys.readouterr()
    assert run(["scan", str(media), *options, "--resume"]) == 3
    assert rows == index.read_text(encoding="utf-8").partition("<tbody")[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "ray"], "--report needs --engine local"),
        (["s3://bucket/folder"], "not URLs"),
    ],
)
def test_pages_are_for_files_and_workers_here(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", str(EXAMPLE), *options, "--report", str(tmp_path / "pages")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pages").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pose"], "--pose and --gaze need --overlay"),
        (["--gaze"], "--pose and --gaze need --overlay"),
        (["--track", "0"], "--track needs --person"),
        (["--masks-format", "gif", "--masks", "m"], "error[usage]"),
        (["--masks-format", "video"], "--masks-format needs --masks"),
        (["--person", "Nobody Known"], "Nobody Known"),
        (["--person", "../up"], "../up"),
    ],
    ids=["pose", "gaze", "track", "format", "format alone", "unknown person", "unusable name"],
)
def test_usage_errors(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(EXAMPLE), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err and err.count("\n") == 1

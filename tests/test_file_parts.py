"""A photo with a video behind it: the worse of the two is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from samples.clips import make_clip
from vidscan.file_parts import worse_part
from vidscan.reporting import error_report
from vidscan.types import Report, ScanSettings


def report(label: str, score: float | None = None) -> Report:
    """A report with this label; ``error`` is a real one."""
    broken = error_report("a.jpg", ValueError("broken"), ScanSettings(), "cpu", ())
    if label == "error":
        return broken
    return replace(broken, error=None, verdict=replace(broken.verdict, label=label, score=score))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 64)).save(path)
    path.write_bytes(path.read_bytes() + make_clip(tmp_path / "a.mp4").read_bytes())
    return path


@pytest.mark.parametrize(
    ("of_photo", "of_video", "video_told"),
    [
        (("no_face", None), ("manipulated", 0.9), True),
        (("manipulated", 0.9), ("no_manipulation_found", 0.1), False),
        (("uncertain", 0.3), ("uncertain", 0.4), True),
        (("no_manipulation_found", 0.1), ("error", None), False),
        (("error", None), ("no_face", None), True),
    ],
)
def test_the_worse_part_is_told(photo: Path, of_photo: tuple, of_video: tuple, video_told: bool) -> None:
    scanned = []

    def run(embedded: bool, masks: object) -> tuple[Report, bool]:
        scanned.append((embedded, masks))
        return report(*(of_video if embedded else of_photo)), embedded

    found, embedded = worse_part(photo, None, run)
    assert embedded is video_told and scanned == [(False, None), (True, None)]
    (note,) = found.warnings
    assert note.code == "motion_photo"
    assert f"this is told of the {'video' if video_told else 'photo'}" in note.message
    # Masks are made of the part that is told, and of that alone.
    scanned.clear()
    masks = object()
    assert worse_part(photo, masks, run)[1] is video_told  # type: ignore[arg-type]
    assert [part for part, given in scanned if given is masks] == [video_told]


@pytest.mark.parametrize("name", ["a.mp4", "gone.jpg"])
def test_other_files_are_scanned_once(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / "a.mp4")
    scanned = []

    def run(embedded: bool, masks: object) -> tuple[Report, None]:
        scanned.append(embedded)
        return report("no_face"), None

    assert worse_part(tmp_path / name, None, run)[0].warnings == () and scanned == [False]

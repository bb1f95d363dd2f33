"""The table of instruments, what they answer, and that one failure costs one finding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from samples.clips import make_clip, numbered
from vidscan.errors import CorruptError, NotFoundError
from vidscan.forensics import shelf
from vidscan.forensics.base import INSTRUMENTS, Finding, load_instrument
from vidscan.forensics.material import MAX_FRAMES, MAX_PIXELS, Material, once, window
from vidscan.media.deferred import Converter


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_of_the_table_is_there(name: str) -> None:
    instrument = load_instrument(name)
    assert instrument.name == name
    assert instrument.title and instrument.source


def test_the_table_is_read_without_the_instruments() -> None:
    code = (
        "import sys, vidscan.scanner, vidscan.forensics.base as b;"
        "print([m for m in sys.modules if m in {e.partition(':')[0] for e in b.INSTRUMENTS.values()}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("status", "more"),
    [
        ("ok", {"score": 1.2}),
        ("ok", {"score": float("nan")}),
        ("not_applicable", {"score": 0.5}),
        ("insufficient", {}),
        ("ok", {"code": "too_small"}),
        ("ok", {"map": np.array([[0.0, 1.5]], np.float32)}),
        ("ok", {"map": np.array([[0.0, np.nan]], np.float32)}),
    ],
)
def test_a_finding_cannot_contradict_itself(status: str, more: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Finding("a", "A", status, "said", "source", **more)  # type: ignore[arg-type]


def test_frames_are_spread_over_a_clip_and_never_resized(tmp_path: Path) -> None:
    material = Material(make_clip(tmp_path / "a.mp4", numbered(20)))
    assert material.kind == "clip"
    assert [frame.index for frame in material.frames] == [0, 4, 8, 11, 15, 19]
    assert {frame.image.shape for frame in material.frames} == {(64, 96, 3)}
    assert material.frames[1].time_s == pytest.approx(4 / 25)


def test_only_the_sampled_frames_of_a_clip_become_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[object] = []
    rgb = Converter.rgb

    def counted(self: Converter, frame: object) -> NDArray[np.uint8]:
        converted.append(frame)
        return rgb(self, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(Converter, "rgb", counted)
    assert len(Material(make_clip(tmp_path / "a.mp4", numbered(20))).frames) == len(converted) == 6


def test_what_several_instruments_ask_is_measured_once_a_material(tmp_path: Path) -> None:
    asked: list[Material] = []

    @once
    def kind(material: Material) -> str:
        asked.append(material)
        return material.kind

    clip = make_clip(tmp_path / "a.mp4", numbered(2))
    one, other = Material(clip), Material(clip)
    assert [kind(one), kind(one), kind(other)] == ["clip"] * 3
    assert asked == [one, other]


def test_frames_with_faces_come_first(tmp_path: Path) -> None:
    faces = {n: [(8.0, 8.0, 40.0, 40.0)] for n in range(3, 17)} | {18: []}
    material = Material(make_clip(tmp_path / "a.mp4", numbered(20)), faces=faces)
    assert len(material.frames) == MAX_FRAMES
    assert all(frame.faces == ((8.0, 8.0, 40.0, 40.0),) for frame in material.frames)
    assert material.frames[0].index == 3 and material.frames[-1].index == 16


def test_of_a_huge_picture_the_middle_is_kept_on_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = np.zeros((4000, 4800, 3), np.uint8)
    image[2000, 2400] = 255
    cv2.imwrite(str(path), image)
    material = Material(path, faces={0: [(2400.0, 2000.0, 2500.0, 2100.0)]})
    (frame,) = material.frames
    x0, y0, x1, y1 = frame.window
    assert frame.image.shape == (y1 - y0, x1 - x0, 3) and frame.image[..., 0].size <= MAX_PIXELS
    assert x0 % 16 == y0 % 16 == 0
    assert frame.image[2000 - y0, 2400 - x0].tolist() == [255, 255, 255]
    assert frame.faces[0][:2] == (2400.0 - x0, 2000.0 - y0)


@pytest.mark.parametrize("size", [(100, 80), (8192, 8192), (3, 40_000_000), (20_000, 17)])
def test_windows_lie_in_the_frame_and_are_bounded(size: tuple[int, int]) -> None:
    x0, y0, x1, y1 = window(*size)
    assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    assert (x1 - x0) * (y1 - y0) <= MAX_PIXELS


def test_a_missing_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Material(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    ("error", "code"), [(CorruptError("broken"), "corrupt"), (ZeroDivisionError(), "internal")]
)
def test_an_instrument_that_fails_costs_its_finding_only(
    tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    class Broken:
        name, title, source = "jpeg_dimples", "Broken", "nowhere"

        def examine(self, material: Material) -> Finding:
            raise error

    monkeypatch.delenv("VIDSCAN_DEBUG", raising=False)
    monkeypatch.setattr(
        shelf, "_loaded", lambda name: Broken() if name == "jpeg_dimples" else load_instrument(name)
    )
    cv2.imwrite(str(tmp_path / "a.png"), photo[..., ::-1])
    found = shelf.examine(Material(tmp_path / "a.png"), ["jpeg_dimples", "jpeg_ghosts"])
    assert [(one.status, one.code) for one in found] == [("insufficient", code), ("ok", None)]


def test_tiny_and_odd_material_gives_coded_findings(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((7, 5, 3), np.uint8))
    clip = make_clip(tmp_path / "a.mp4", numbered(2, 32, 32))
    for path in (tmp_path / "a.png", clip):
        for finding in shelf.examine(Material(path)):
            assert finding.code != "internal", finding
            assert finding.status != "ok" or finding.name in ("generator_marks",) or finding.score is not None

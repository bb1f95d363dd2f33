"""The example clips: made repeatably, alike but for the forgery, and judged as the README says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.corpus import needs_weights
from vidscan.media import open_video

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
TRUTH = json.loads((EXAMPLES / "manipulated.json").read_text(encoding="utf-8"))
START_S, END_S = TRUTH["start_s"], TRUTH["end_s"]


def frames(name: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Times (T,) and images (T, H, W, 3) of a committed clip."""
    with open_video(EXAMPLES / name) as source:
        chunks = list(source)
    return np.concatenate([c.times for c in chunks]), np.concatenate([c.images for c in chunks])


@pytest.fixture(scope="module")
def clips() -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.uint8]]:
    times, genuine = frames("genuine.mp4")
    other_times, manipulated = frames("manipulated.mp4")
    np.testing.assert_array_equal(times, other_times)
    return times, genuine, manipulated


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("skimage")
    spec = importlib.util.spec_from_file_location("make_examples", EXAMPLES / "make_examples.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_examples"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_clips_are_small() -> None:
    for name in ("genuine.mp4", "manipulated.mp4"):
        assert (EXAMPLES / name).stat().st_size <= 400_000


def test_clips_differ_only_while_forged_and_only_in_the_face(clips: tuple) -> None:
    times, genuine, manipulated = clips
    mask = cv2.imread(str(EXAMPLES / TRUTH["mask"]["file"]), cv2.IMREAD_GRAYSCALE)
    assert mask is not None and mask.shape == genuine.shape[1:3]
    # What the codec rounds differs everywhere; the face must stand out from that. The camera is slow,
    # so that the middle of the mask is on the face in neighboring frames too.
    within, outside = mask > 200, mask == 0
    face, rest = [], []
    for a, b in zip(genuine, manipulated, strict=True):
        difference = np.abs(a.astype(np.int16) - b).mean(-1)
        face.append(difference[within].mean())
        rest.append(difference[outside].mean())
    forged = (times > START_S - 0.02) & (times < END_S - 0.02)
    ratio = np.array(face) / np.array(rest)
    assert ratio[forged].min() > 1.5 * ratio[~forged].max()


def test_script_makes_the_committed_clips(script: ModuleType, clips: tuple, tmp_path: Path) -> None:
    """Before the codec, since encoders differ from build to build."""
    image = np.ascontiguousarray(script.astronaut())
    still, again = script.forge_still(image), script.forge_still(image)
    np.testing.assert_array_equal(still.forged, again.forged)
    outside = still.mask == 0
    np.testing.assert_array_equal(still.forged[outside], still.genuine[outside])
    _, *committed = clips
    for images, manipulated in zip(committed, (False, True), strict=True):
        for index in (0, 75, 149):
            made = script.frame(still, index, manipulated=manipulated)
            np.testing.assert_array_equal(made, script.frame(again, index, manipulated=manipulated))
            assert np.abs(made.astype(int) - images[index]).mean() < 4


def test_camera_stays_within_the_portrait(script: ModuleType) -> None:
    end = script.SIDE - 1
    corners = np.array([[0, 0], [end, 0], [0, end], [end, end]])
    for time_s in np.arange(0, script.SECONDS, 1 / script.FPS):
        transform = script.camera(time_s)
        seen = corners @ transform[:, :2].T + transform[:, 2]
        assert seen.min() >= 0 and seen.max() <= 511


def check(name: str) -> tuple[int, dict]:
    command = [sys.executable, "-m", "vidscan", "check", "--json", "--device", "cpu", str(EXAMPLES / name)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=280)
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, json.loads(result.stdout)


@needs_weights
def test_in_the_genuine_example_nothing_is_found() -> None:
    code, report = check("genuine.mp4")
    assert (code, report["verdict"]["label"], report["segments"]) == (0, "no_manipulation_found", [])


@needs_weights
def test_manipulated_is_found_where_it_is() -> None:
    code, report = check("manipulated.mp4")
    assert (code, report["verdict"]["label"]) == (1, "manipulated")
    assert any(s["start_s"] < END_S and s["end_s"] > START_S for s in report["segments"])

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.evaluation.difference import (
    LEAST_LEVELS,
    Noise,
    NoPlaceError,
    changed_region,
    difference_masks,
    local_difference,
    measure_noise,
)
from vidscan.media import VideoWriter

HEIGHT, WIDTH, FRAMES = 120, 160, 24
BOX = (slice(40, 88), slice(60, 108))


def scene(phase: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(height, width, 3) a smooth texture that wanders, so that no two moments look alike."""
    y, x = np.mgrid[: 1 : complex(height), : 1 : complex(width)]  # type: ignore[misc]
    planes = [120 + 60 * np.sin(9 * x + a + 2.5 * phase) + 40 * np.cos(7 * y - a * phase) for a in (0, 1, 2)]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def write(path: Path, frames: list[np.ndarray], fps: float = 25.0, crf: float = 18) -> Path:
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, fps=fps, crf=crf) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, number / fps)
    return path


def changed(frame: np.ndarray) -> np.ndarray:
    out = frame.copy()
    out[BOX] = 255 - out[BOX]
    return out


def overlap(mask: np.ndarray) -> float:
    exact = np.zeros((HEIGHT, WIDTH), bool)
    exact[BOX] = True
    return float(((mask > 0) & exact).sum() / ((mask > 0) | exact).sum())


@pytest.fixture
def frames() -> list[np.ndarray]:
    return [scene(n / FRAMES) for n in range(FRAMES)]


def test_what_was_changed_is_found_through_two_encodings(tmp_path: Path, frames: list[np.ndarray]) -> None:
    genuine = write(tmp_path / "g.mp4", frames)
    # Brighter by 5 levels, and only in the first half changed.
    lifted = [np.minimum(f, 250) + 5 for f in frames]
    forged = write(tmp_path / "f.mp4", [changed(f) if n < 14 else f for n, f in enumerate(lifted)], crf=20)
    masks = difference_masks(forged, genuine)
    assert [mask.shape for mask in masks] == [(HEIGHT, WIDTH)] * FRAMES
    assert min(overlap(mask) for mask in masks[:14]) > 0.7
    # The first frames after may hold what the encoder left of the change.
    assert not any(mask.any() for mask in masks[17:])
    assert measure_noise(forged, genuine).offset == pytest.approx([5, 5, 5], abs=1)


def test_another_size_and_rate_are_brought_together(tmp_path: Path, frames: list[np.ndarray]) -> None:
    big = [scene(n / (2 * FRAMES), 2 * HEIGHT, 2 * WIDTH) for n in range(2 * FRAMES)]
    genuine = write(tmp_path / "g.mp4", big, fps=50)
    forged = write(tmp_path / "f.mp4", [changed(f) for f in frames])
    masks = difference_masks(forged, genuine)
    assert min(overlap(mask) for mask in masks) > 0.7


def test_frames_beyond_the_end_of_the_footage_have_no_mask(tmp_path: Path, frames: list[np.ndarray]) -> None:
    genuine = write(tmp_path / "g.mp4", frames[:16])
    forged = write(tmp_path / "f.mp4", [changed(f) for f in frames])
    masks = difference_masks(forged, genuine)
    assert [bool(mask.any()) for mask in masks] == [n < 16 for n in range(FRAMES)]


def test_the_same_clip_twice_has_no_place(tmp_path: Path, frames: list[np.ndarray]) -> None:
    genuine, again = write(tmp_path / "g.mp4", frames), write(tmp_path / "f.mp4", frames, crf=30)
    with pytest.raises(NoPlaceError, match="of 24 frames only"):
        difference_masks(again, genuine)


def test_footage_that_runs_at_another_speed_is_refused(tmp_path: Path, frames: list[np.ndarray]) -> None:
    genuine = write(tmp_path / "g.mp4", frames)
    slow = [changed(scene(0.5 + 0.2 * n / FRAMES)) for n in range(FRAMES)]
    with pytest.raises(NoPlaceError, match="do not correspond"):
        difference_masks(write(tmp_path / "f.mp4", slow), genuine)


def test_a_change_of_the_whole_frame_has_no_place(tmp_path: Path, frames: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    spots = rng.random((12, 16, 1)).repeat(10, 0).repeat(10, 1) > 0.5
    everywhere = [np.where(spots, np.minimum(f, 215) + 40, f).astype(np.uint8) for f in frames]
    genuine = write(tmp_path / "g.mp4", frames)
    with pytest.raises(NoPlaceError):
        difference_masks(write(tmp_path / "f.mp4", everywhere), genuine)


def test_a_scattered_change_has_no_place_and_a_quiet_one_is_none() -> None:
    noise = Noise(np.zeros(3, np.float32), 0.5)
    assert noise.threshold == LEAST_LEVELS
    spots = np.zeros((HEIGHT, WIDTH), np.float32)
    spots[10:30, 10:30] = spots[80:100, 120:140] = 20
    assert changed_region(spots, noise) is None
    quiet = changed_region(np.full((HEIGHT, WIDTH), 5.9, np.float32), noise)
    assert quiet is not None and not quiet.any()
    assert changed_region(np.full((HEIGHT, WIDTH), 50, np.float32), noise) is None


def test_a_region_is_filled_to_its_hull() -> None:
    ring = np.zeros((HEIGHT, WIDTH), np.float32)
    ring[30:90, 50:110] = 20
    ring[45:75, 65:110] = 0
    mask = changed_region(ring, Noise(np.zeros(3, np.float32), 1.0))
    assert mask is not None
    assert mask[60, 90] == 255 and mask[10, 10] == 0 and set(np.unique(mask)) == {0, 255}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_a_constant_difference_is_its_own_size(seed: int, size: int) -> None:
    image = np.random.default_rng(seed).integers(0, 190, (20, 30, 3)).astype(np.uint8)
    found = local_difference(image + np.uint8(size), image, np.zeros(3, np.float32))
    assert found == pytest.approx(np.full((20, 30), size), rel=1e-4)

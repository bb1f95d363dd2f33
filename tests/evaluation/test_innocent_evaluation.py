from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samples.clips import make_clip, pattern
from tests.evaluation.test_evaluation import scored
from tests.forge.mesh import astronaut_crop, fake_mesh
from vidscan.evaluation.innocent import (
    Edited,
    apply_edit,
    draw_edit,
    edit_frame,
    landmarks,
    tabulate,
)
from vidscan.faces.align import TEMPLATE
from vidscan.forge.innocent import EDITS
from vidscan.forge.tracks import TrackPath
from vidscan.media import open_video


def frame_and_mesh() -> tuple[np.ndarray, np.ndarray]:
    """A 160 x 120 frame with a face of half its height at the right."""
    frame = np.random.default_rng(0).integers(60, 120, (120, 160, 3)).astype(np.uint8)
    frame[10:110, 50:150] = astronaut_crop(100)
    return frame, fake_mesh(1, 100)[0].numpy() + np.array([50, 10], np.float32)


@pytest.mark.parametrize("kind", EDITS)
def test_frames_of_any_form_get_the_same_draw_every_time(kind: str) -> None:
    frame, mesh = frame_and_mesh()
    before = frame.copy()
    once, again = (edit_frame(frame, kind, 7, mesh) for _ in range(2))
    assert np.array_equal(frame, before)
    assert once.shape == frame.shape and once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert np.abs(once.astype(int) - frame).max() > 2


def test_make_up_stays_on_the_face_and_background_off_it() -> None:
    frame, mesh = frame_and_mesh()
    change = np.abs(edit_frame(frame, "make_up", 3, mesh).astype(int) - frame).max(2)
    assert change[:, :40].max() == 0
    change = np.abs(edit_frame(frame, "background", 3, mesh).astype(int) - frame).max(2)
    assert change[:20, :20].mean() > 5
    assert change[50:70, 92:108].max() <= 2


def test_a_face_beyond_the_frame_is_let_be() -> None:
    frame, mesh = frame_and_mesh()
    assert np.array_equal(edit_frame(frame, "make_up", 3, mesh + 900), frame)


def test_edits_are_drawn_by_name() -> None:
    kinds = [draw_edit(f"clip{i}.mp4") for i in range(300)]
    assert set(kinds) == set(EDITS)
    assert min(kinds.count(kind) for kind in EDITS) > 25
    assert kinds == [draw_edit(f"clip{i}.mp4") for i in range(300)]


def test_landmarks_of_the_nearest_frame() -> None:
    points = np.stack([TEMPLATE + 50, TEMPLATE * 2 + 100])
    boxes = np.array([[60.0, 60, 150, 170], [120.0, 120, 300, 340]])
    path = TrackPath(np.array([3, 9]), np.array([0.1, 0.3]), boxes, points)
    early, late = landmarks(path, 0), landmarks(path, 20)
    # the irises (468, 473) lie on the eyes that the detector found
    assert early[[468, 473]] == pytest.approx(points[0, :2], abs=4)
    assert late[[468, 473]] == pytest.approx(points[1, :2], abs=8)
    assert np.array_equal(landmarks(path, 5), early)


def test_a_clip_without_a_face_is_only_encoded(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", pattern(4))
    apply_edit(Edited(source, tmp_path / "b.mp4", "make_up"))
    with open_video(source) as before, open_video(tmp_path / "b.mp4") as after:
        difference = np.abs(next(iter(before)).images.astype(int) - next(iter(after)).images)
    assert difference.mean() < 4


def test_rates_by_hand() -> None:
    genuine = [scored(f"g{i}", 0.0) for i in range(4)]
    labels = ["manipulated", "no_manipulation_found", "uncertain", "manipulated"]
    kinds = ["make_up", "make_up", "resampling", "resampling"]
    edited = [
        (kind, scored(f"g{i}", 0.0, label=label))
        for i, (kind, label) in enumerate(zip(kinds, labels, strict=True))
    ]
    rates = [(r.name, r.count, r.of) for r in tabulate(genuine, edited)]
    assert rates == [
        ("genuine clips labeled manipulated, unedited", 0, 4),
        ("genuine clips labeled manipulated, edited", 2, 4),
        ("make up", 1, 2),
        ("resampling", 1, 2),
        ("genuine clips labeled manipulated or uncertain, edited", 3, 4),
    ]

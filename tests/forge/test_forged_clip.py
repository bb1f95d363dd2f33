"""Forged clips: exact masks, one draw for all frames, faces followed, frames in a range only."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from samples.clips import make_clip
from tests.corpus import needs_weights
from tests.forge.moving_face import COUNT, FPS, SIDE, moving_face, write_moving_face
from vidscan.errors import NoFaceError, SetupError
from vidscan.faces.align import CropSpec, apply_affine
from vidscan.faces.detect import load_detector
from vidscan.forge.base import Faces
from vidscan.forge.clip import ClipForger, ForgedFrame, Plan
from vidscan.forge.kinds import KINDS, Kind
from vidscan.forge.moving import Jitter, Past, crop_spec
from vidscan.forge.template import fitted_landmarks, mean_landmarks
from vidscan.forge.tracks import TrackPath, find_tracks
from vidscan.media import open_video, write_png

FACE_KINDS = [kind for kind, about in KINDS.items() if not about.whole_frame]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_face(tmp_path_factory.mktemp("clip") / "face.mkv")


@pytest.fixture(scope="module")
def path(clip: Path) -> TrackPath:
    with open_video(clip) as source:
        (track,) = find_tracks(source, load_detector()).values()
    return track


def forge(clip: Path, kind: Kind, seed: int = 3, **more: object) -> list[ForgedFrame]:
    donor = clip if KINDS[kind].donor else None
    return list(ClipForger(clip, Plan(kind, seed, donor, **more)).frames())  # type: ignore[arg-type]


@needs_weights
@pytest.mark.parametrize("kind", FACE_KINDS, ids=lambda kind: kind.value)
def test_outside_the_mask_nothing_changes(clip: Path, kind: Kind) -> None:
    frames, originals = forge(clip, kind), moving_face()
    assert len(frames) == COUNT
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(COUNT) / FPS, atol=2e-3)
    forged = 0
    for frame, original in zip(frames, originals, strict=True):
        assert frame.image.shape == original.shape and frame.image.dtype == frame.mask.dtype == np.uint8
        outside = frame.mask == 0
        assert outside.mean() > 0.1
        assert (frame.image[outside] == original[outside]).all()
        if (inside := frame.mask > 60).any():
            forged += 1
            assert np.abs(frame.image[inside].astype(int) - original[inside]).mean() > 0.2
    # The mouth of the past begins where there is a past.
    assert forged == COUNT if kind is not Kind.mouth_shift else 3 <= forged < COUNT


@needs_weights
def test_a_donor_fits_a_face_that_swells(
    clip: Path, path: TrackPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their median and that of their smoothed selves call for crops of different sizes.
    swell = np.where(np.arange(len(path.frames)) % 3, 1.0, 1.8)[:, None, None]
    centres = path.points.mean(1, keepdims=True)
    swelling = replace(path, points=centres + (path.points - centres) * swell)
    assert crop_spec(swelling) != crop_spec(swelling.smoothed())
    monkeypatch.setattr("vidscan.forge.clip.find_tracks", lambda *_: {0: swelling})
    assert all(frame.mask.any() for frame in forge(clip, Kind.swap))


def in_face(mask: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) center of a mask, in units of the distance of the eyes, seen from between them."""
    ys, xs = np.nonzero(mask > 60)
    eyes = points[:2].mean(0)
    return (np.array([xs.mean(), ys.mean()]) - eyes) / np.linalg.norm(points[1] - points[0])


def test_one_draw_moves_with_the_face(clip: Path, path: TrackPath) -> None:
    frames = forge(clip, Kind.self_blend)
    moved = np.abs(path.points[-1] - path.points[0]).max()
    assert moved > 3, "the clip has to move for this test to tell anything"
    at = np.array([in_face(frame.mask, points) for frame, points in zip(frames, path.points, strict=True)])
    assert np.abs(at - at.mean(0)).max() < 0.06
    area = np.array([(frame.mask > 60).sum() for frame in frames])
    assert area.max() / area.min() < 1.15
    # What was changed changes slowly: no new draw from one frame to the next.
    change = [
        frame.image.astype(float) - original for frame, original in zip(frames, moving_face(), strict=True)
    ]
    for before, after in pairwise(change):
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.5


def test_the_seed_makes_it_repeatable(clip: Path) -> None:
    first, again, other = (forge(clip, Kind.reenact, seed) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert (a.image == b.image).all() and (a.mask == b.mask).all()
    assert any((a.mask != b.mask).any() for a, b in zip(first, other, strict=True))


def test_only_the_range_is_forged(clip: Path) -> None:
    frames = forge(clip, Kind.face_warp, start_s=0.1, end_s=0.3)
    for frame, original in zip(frames, moving_face(), strict=True):
        assert frame.mask.any() == (0.1 <= frame.time_s < 0.3)
        if not frame.mask.any():
            assert (frame.image == original).all()


def test_synthesis_covers_the_frame(clip: Path) -> None:
    for frame, original in zip(forge(clip, Kind.synthetic, end_s=0.1), moving_face(), strict=True):
        assert (frame.mask == (255 if frame.time_s < 0.1 else 0)).all()
        assert (frame.image == original).all() == (frame.time_s >= 0.1)


def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", moving_face()[0])
    forger = ClipForger(tmp_path / "a.png", Plan(Kind.face_warp))
    assert forger.is_picture
    (frame,) = forger.frames()
    assert frame.mask.any()
    with pytest.raises(SetupError, match="is a picture"):
        ClipForger(tmp_path / "a.png", Plan(Kind.mouth_shift))


def test_every_face_or_the_one_asked_for(tmp_path: Path) -> None:
    write_png(tmp_path / "two.png", np.concatenate([moving_face()[0]] * 2, 1))

    def halves(track: object) -> list[bool]:
        (frame,) = ClipForger(tmp_path / "two.png", Plan(Kind.face_warp, track=track)).frames()  # type: ignore[arg-type]
        return [bool(frame.mask[:, :SIDE].any()), bool(frame.mask[:, SIDE:].any())]

    assert halves("all") == [True, True]
    assert sorted(halves("largest")) == [False, True]
    assert halves(0) != halves(1)
    with pytest.raises(SetupError, match="no track 7, there are 0, 1"):
        halves(7)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(Kind.swap), "swap needs a donor"),
        (Plan(Kind.mouth, donor="x.png"), "mouth takes no donor"),
        (Plan(Kind.mouth, start_s=9), "not seen from 9 s on, but"),
    ],
)
def test_plans_that_cannot_work(clip: Path, plan: Plan, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        ClipForger(clip, plan)


def test_no_face(tmp_path: Path, clip: Path) -> None:
    empty = make_clip(tmp_path / "empty.mp4")
    with pytest.raises(NoFaceError, match="no face found"):
        ClipForger(empty, Plan(Kind.mouth))
    with pytest.raises(NoFaceError, match="in the donor"):
        ClipForger(clip, Plan(Kind.swap, donor=empty))


def test_a_labeller_is_asked_and_may_find_nothing(clip: Path) -> None:
    asked = []

    def label(crop: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        asked.append(crop.shape)
        return None if len(asked) % 2 else mean_landmarks(CropSpec(crop.shape[0], 2.0))

    frames = list(ClipForger(clip, Plan(Kind.face_warp), label=label).frames())
    assert len(asked) == COUNT and all(frame.mask.any() for frame in frames)


def test_smoothing_keeps_steady_motion_and_calms_trembling() -> None:
    times = np.arange(40) / 25
    line = np.stack([100 + 50 * times, 80 - 30 * times], -1)
    points = np.repeat(line[:, None], 5, 1)
    boxes = np.concatenate([line - 40, line + 40], 1)
    still = TrackPath(np.arange(40), times, boxes, points).smoothed()
    np.testing.assert_allclose(still.points, points, atol=1e-9)
    np.testing.assert_allclose(still.boxes, boxes, atol=1e-9)
    noise = np.random.default_rng(0).normal(0, 1, points.shape)
    calmed = TrackPath(np.arange(40), times, boxes, points + noise).smoothed().points - points
    assert calmed[4:-4].std() < 0.7 * noise.std()


def test_landmarks_follow_the_five_points() -> None:
    spec = CropSpec(200, 2.0)
    np.testing.assert_allclose(fitted_landmarks(spec.points, spec), mean_landmarks(spec), atol=1e-3)
    turn = np.array([[0.8, 0.05, 10.0], [0.02, 1.1, -6.0]])
    moved = fitted_landmarks(apply_affine(turn, spec.points), spec)
    np.testing.assert_allclose(moved, apply_affine(turn, mean_landmarks(spec)), atol=1e-3)
    flat = spec.points * [0.1, 1.0]
    np.testing.assert_array_equal(fitted_landmarks(flat, spec), mean_landmarks(spec))


def test_the_past_comes_back_after_its_delay() -> None:
    past = Past(0.1)
    landmarks = torch.zeros(1, 478, 2)
    given = [past(Faces(torch.full((1, 3, 4, 4), float(i)), landmarks), i / 25) for i in range(8)]
    assert [None if faces is None else int(faces.images[0, 0, 0, 0]) for faces in given] == [
        None, None, None, 0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_jitter_is_steady_from_frame_to_frame_and_wanders_over_seconds() -> None:
    jitter = Jitter(0)
    values = np.array([jitter.step(i / 25) for i in range(2000)])
    assert 0.7 < values.std() < 1.3
    assert np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1] > 0.85
    assert abs(np.corrcoef(values[:-50, 0], values[50:, 0])[0, 1]) < 0.3

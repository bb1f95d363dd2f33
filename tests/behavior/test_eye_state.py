"""Eye crops show the eye, however the face lies; the network's memory goes from chunk to chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.behavior.drawn_eyes import draw_face, eye_landmarks
from tests.patches.fixture_weights import register_eyes
from vidscan.behavior.eye_state import (
    EYE_SPEC,
    MOST_STATES,
    EyeNetwork,
    EyeSpec,
    EyeState,
    eye_crops,
    eye_transforms,
)
from vidscan.errors import WeightsError
from vidscan.faces.align import apply_affine


@pytest.fixture
def eyes(tmp_path: Path) -> EyeState:
    return EyeState(register_eyes(tmp_path))


def faces(count: int) -> torch.Tensor:
    shut = np.random.default_rng(0).random((count, 2))
    images = np.stack([draw_face(s) for s in shut])
    return eye_crops(images, np.arange(count), eye_landmarks(shut))


# --------------------------------------------------------------------------- crops


def test_corners_lie_level_with_the_outer_one_to_the_left() -> None:
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(0, 200, (5, 68, 3))
    maps = eye_transforms(landmarks)
    for eye, (outer, inner) in enumerate(((36, 39), (45, 42))):
        corners = apply_affine(maps[:, eye], landmarks[:, [outer, inner], :2])
        assert corners == pytest.approx(np.broadcast_to(EYE_SPEC.corners, corners.shape), abs=1e-9)
    # Half the crop's width apart, in its middle.
    assert EYE_SPEC.corners.tolist() == [[9.5, 11.5], [29.5, 11.5]]
    turned = np.linalg.det(maps[..., :2])
    assert (turned[:, 0] > 0).all() and (turned[:, 1] < 0).all()


def test_either_eye_of_a_symmetric_face_looks_the_same() -> None:
    shut = np.full((1, 2), 0.3)
    crops = eye_crops(draw_face(shut[0])[None], np.zeros(1, int), eye_landmarks(shut))
    assert crops.shape == (1, 2, 24, 40)
    assert float((crops[0, 0] - crops[0, 1]).abs().mean()) < 2
    assert float(crops[0, 0].std()) > 20


@pytest.mark.parametrize("side", [96, 384, 1536])
def test_an_eye_looks_the_same_whatever_its_size(side: int) -> None:
    shut = np.array([[0.2, 0.6]])
    reference = eye_crops(draw_face(shut[0])[None], np.zeros(1, int), eye_landmarks(shut))
    other = eye_crops(draw_face(shut[0], side=side)[None], np.zeros(1, int), eye_landmarks(shut, side))
    assert float((reference - other).abs().mean()) < (8 if side < 192 else 3)


def test_fine_stripes_become_grey() -> None:
    """Cut from a large picture without a filter, they would be black or white."""
    image = np.zeros((1, 1200, 1200, 3), np.uint8)
    image[:, :, ::2] = 255
    points = np.zeros((1, 68, 2))
    points[0, [36, 39, 42, 45]] = [[300, 600], [500, 600], [700, 600], [900, 600]]
    crops = eye_crops(image, np.zeros(1, int), points)
    assert crops.numpy() == pytest.approx(127.5, abs=3)


def test_grey_is_luminance_and_index_chooses_the_frame() -> None:
    image = np.zeros((2, 192, 192, 3), np.uint8)
    image[1] = (100, 200, 50)
    points = np.tile(eye_landmarks(np.zeros((1, 2))), (2, 1, 1))
    crops = eye_crops(torch.from_numpy(image), np.array([1, 0]), points)
    assert crops[0].numpy() == pytest.approx(0.299 * 100 + 0.587 * 200 + 0.114 * 50, abs=0.01)
    assert float(crops[1].abs().max()) == 0


def test_lost_faces_are_lost_and_disagreeing_shapes_are_refused() -> None:
    shut = np.zeros((2, 2))
    points = eye_landmarks(shut)
    points[0] = np.nan
    image = draw_face(shut[0])[None]
    crops = eye_crops(image, np.zeros(2, int), points)
    assert bool(crops[0].isnan().all()) and not bool(crops[1].isnan().any())
    assert bool(eye_crops(image, np.zeros(1, int), points[:1]).isnan().all())
    with pytest.raises(ValueError, match="3 frame indices but 2 faces"):
        eye_crops(image, np.zeros(3, int), points)
    with pytest.raises(ValueError, match="images"):
        eye_crops(image[..., 0], np.zeros(2, int), points)


@pytest.mark.parametrize("bad", [{"height": 23}, {"height": 48}, {"span": 0.0}, {"height": 0}])
def test_crops_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="eye crop"):
        EyeSpec(**bad)


# --------------------------------------------------------------------------- the network over tracks


def test_the_shipped_size_is_small() -> None:
    weights = sum(p.numel() for p in EyeNetwork().state_dict().values())
    assert 2 * weights < 400_000


def test_chunks_give_what_the_whole_gives(eyes: EyeState) -> None:
    crops = faces(12)
    whole = eyes.update(1, crops)
    parts = np.concatenate([eyes.update(2, part) for part in crops.split([1, 4, 7])])
    assert whole.shape == (12, 2) and whole.dtype == np.float32
    assert parts == pytest.approx(whole, abs=1e-5)
    assert float(whole.std()) > 1e-3


def test_what_was_seen_before_counts_until_many_others_were_seen(eyes: EyeState) -> None:
    crops = faces(12)
    fresh = eyes.update(1, crops[8:])
    eyes.update(2, crops[:8])
    for other in range(3, 2 + MOST_STATES):
        eyes.update(other, crops[:1])
    assert np.abs(eyes.update(2, crops[8:]) - fresh).max() > 1e-4
    for other in range(100, 100 + MOST_STATES):
        eyes.update(other, crops[:1])
    assert eyes.update(2, crops[8:]) == pytest.approx(fresh, abs=1e-6)


def test_lost_frames_do_not_count(eyes: EyeState) -> None:
    crops = faces(6)
    gappy = torch.cat([crops[:3], torch.full((2, 2, 24, 40), torch.nan), crops[3:]])
    found = eyes.update(1, gappy)
    assert np.isnan(found[3:5]).all()
    assert np.delete(found, [3, 4], 0) == pytest.approx(eyes.update(2, crops), abs=1e-6)
    assert np.isnan(eyes.update(3, gappy[3:5])).all()
    assert eyes.update(4, crops[:0]).shape == (0, 2)


@pytest.mark.parametrize("chunk", [1, 5, 12])
def test_frames_are_read_track_by_track_in_chunks_of_any_size(eyes: EyeState, chunk: int) -> None:
    """Two faces in each frame, one of which is lost for a while."""
    shut = np.random.default_rng(1).random((12, 2))
    images = np.stack([draw_face(s) for s in shut])
    here, there = eye_landmarks(shut), eye_landmarks(shut[::-1]) + 1.5
    there[4:7] = np.nan
    found = []
    for first in range(0, 12, chunk):
        part = slice(first, first + chunk)
        count = len(images[part])
        points = np.stack([here[part], there[part]], axis=1).reshape(-1, *here.shape[1:])
        found.append(eyes.read(images[part], np.repeat(np.arange(count), 2), points, [3, 8] * count))
    both = np.concatenate(found).reshape(12, 2, 2)
    for column, points in enumerate((here, there)):
        alone = eyes.anew().update(0, eye_crops(images, np.arange(12), points))
        np.testing.assert_allclose(both[:, column], alone, atol=1e-5)
    assert np.isnan(both[4:7, 1]).all() and not np.isnan(both[:, 0]).any()


def test_each_clip_begins_anew(eyes: EyeState) -> None:
    crops = faces(12)
    fresh = eyes.anew().update(1, crops)
    eyes.update(1, crops[6:])
    np.testing.assert_array_equal(eyes.anew().update(1, crops), fresh)
    assert np.abs(eyes.update(1, crops) - fresh).max() > 1e-4


def test_light_does_not_matter(eyes: EyeState) -> None:
    crops = faces(6)
    assert eyes.update(1, 0.7 * crops + 30) == pytest.approx(eyes.update(2, crops), abs=0.03)


@pytest.mark.parametrize(
    "change",
    [{"hidden": 9}, {"channels": None}, {"crop": {"height": 24}, "features": "8"}, {"crop": {"depth": 3}}],
)
def test_records_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="blink-test"):
        EyeState(register_eyes(tmp_path, **change))


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    record = register_eyes(tmp_path)
    record.path.write_bytes(record.path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="sha256"):
        EyeState(record)

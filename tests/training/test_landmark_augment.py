"""Labels follow what is done to the crops."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.label_stores import label_landmarks
from vidscan.faces.align import CropSpec
from vidscan.faces.landmark_network import MARGIN, SIZE
from vidscan.faces.landmarks import five_points
from vidscan.faces.rotation import euler_degrees, rotation_matrix
from vidscan.training.labels import LABEL_SPEC
from vidscan.training.landmark_augment import MIRRORED, Batch, _mirror, _move, augment_faces, centre_cut

DOTS = (19, 27, 30, 36, 45, 48, 54)
"""Points well within the crop; crop i shows a dot at the i-th."""
POSE = np.array([10.0, 20.0, -5.0])


def dotted() -> Batch:
    """One crop for each of :data:`DOTS`, black but for a soft dot where the landmark is."""
    points = torch.from_numpy(label_landmarks()).repeat(len(DOTS), 1, 1)
    axis = torch.arange(LABEL_SPEC.size, dtype=torch.float32)
    where = points[torch.arange(len(DOTS)), list(DOTS), :2]
    apart = (axis[None, None, :] - where[:, 0, None, None]) ** 2
    apart = apart + (axis[None, :, None] - where[:, 1, None, None]) ** 2
    count = len(DOTS)
    return Batch(
        crops=(250 * torch.exp(-apart / 18))[:, None].repeat(1, 3, 1, 1),
        landmarks=points,
        units=torch.rand(count, 17, generator=torch.Generator().manual_seed(0)),
        openness=torch.tensor([[0.1, 0.9]]).repeat(count, 1),
        gaze=torch.tensor([[[0.3, 0.1], [0.2, -0.4]]]).repeat(count, 1, 1),
        rotation=torch.from_numpy(rotation_matrix(POSE)).float().repeat(count, 1, 1),
        face=torch.ones(count),
    )


def centroids(crops: torch.Tensor) -> np.ndarray:
    """(N, 2) where the light of each crop is."""
    light = crops[:, 0] / crops[:, 0].sum((1, 2), keepdim=True)
    axis = torch.arange(crops.shape[-1], dtype=torch.float32)
    return torch.stack([(light.sum(1) * axis).sum(1), (light.sum(2) * axis).sum(1)], 1).numpy()


def labelled(batch: Batch, points: tuple[int, ...]) -> np.ndarray:
    return batch.landmarks[torch.arange(len(points)), list(points), :2].numpy()


angles, shares = st.floats(-30, 30), st.floats(-0.1, 0.1)
scales = st.floats(0.78, 1.28)


@settings(max_examples=25, deadline=None)
@given(angles, scales, shares, shares)
def test_landmarks_stay_on_what_they_mark(angle: float, scale: float, x: float, y: float) -> None:
    count = len(DOTS)
    given_shift = torch.tensor([[x, y]]).repeat(count, 1)
    moved = _move(dotted(), torch.full((count,), angle), torch.full((count,), scale), given_shift)
    assert moved.crops.shape == (count, 3, SIZE, SIZE)
    assert centroids(moved.crops) == pytest.approx(labelled(moved, DOTS), abs=0.15)
    # A clockwise turn of the picture is roll of the head.
    wanted = euler_degrees(rotation_matrix(np.array([0, 0, angle])) @ rotation_matrix(POSE))
    assert euler_degrees(moved.rotation.numpy())[0] == pytest.approx(wanted, abs=1e-3)
    assert wanted[2] == pytest.approx(POSE[2] + angle)
    # Sizes change in depth as in the plane.
    before, after = dotted().landmarks, moved.landmarks
    spans = [float((p[0, 36] - p[0, 45]).norm() / (p[0, 27, 2] - p[0, 8, 2])) for p in (before, after)]
    assert spans[0] == pytest.approx(spans[1], rel=1e-3)


def test_the_centre_cut_is_the_crop_that_the_reader_cuts() -> None:
    cut = centre_cut(dotted())
    wanted = CropSpec(SIZE, MARGIN).points
    before = five_points(dotted().landmarks.numpy()) - LABEL_SPEC.points
    zoom = LABEL_SPEC.scale / CropSpec(SIZE, MARGIN).scale
    assert five_points(cut.landmarks.numpy()) - wanted == pytest.approx(before / zoom, abs=1e-3)
    assert centroids(cut.crops) == pytest.approx(labelled(cut, DOTS), abs=0.1)
    assert torch.equal(cut.rotation, dotted().rotation)


def test_mirroring_twice_gives_every_point_back() -> None:
    assert sorted(MIRRORED) == list(range(68))
    assert [MIRRORED[k] for k in MIRRORED] == list(range(68))


def test_a_mirrored_symmetric_face_is_the_same_face() -> None:
    cut = centre_cut(dotted())
    mirrored = _mirror(cut, torch.ones(len(DOTS), dtype=torch.bool))
    # The model is symmetric to .001 and the template is nearly so.
    apart = (mirrored.landmarks - cut.landmarks)[0]
    shape = apart - apart.mean(0)
    assert float(shape.abs().max()) < 1


def test_mirrored_labels_follow() -> None:
    cut = centre_cut(dotted())
    chosen = torch.arange(len(DOTS)) % 2 == 0
    found = _mirror(cut, chosen)
    points = tuple(MIRRORED[k] if c else k for k, c in zip(DOTS, chosen.tolist(), strict=True))
    assert centroids(found.crops) == pytest.approx(labelled(found, points), abs=0.1)
    assert found.openness[0].tolist() == pytest.approx([0.9, 0.1])
    assert found.openness[1].tolist() == pytest.approx([0.1, 0.9])
    # Left eye now: what the right one did, towards the other side.
    assert found.gaze[0].numpy() == pytest.approx(np.array([[-0.2, -0.4], [-0.3, 0.1]]))
    assert torch.equal(found.gaze[1], cut.gaze[1])
    angles = euler_degrees(found.rotation.numpy())
    assert angles[0] == pytest.approx(POSE * [1, -1, -1], abs=1e-3)
    assert angles[1] == pytest.approx(POSE, abs=1e-3)
    assert torch.equal(found.units, cut.units)
    twice = _mirror(found, chosen)
    for field in fields(Batch):
        assert torch.allclose(getattr(twice, field.name), getattr(cut, field.name), atol=1e-4), field.name


def test_augmented_batches_repeat_with_their_generator_and_stay_in_range() -> None:
    batch = dotted()
    kept = batch.crops.clone()
    one, again, other = (augment_faces(batch, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(batch.crops, kept)
    for field in fields(Batch):
        assert torch.equal(getattr(one, field.name), getattr(again, field.name)), field.name
        assert torch.isfinite(getattr(one, field.name)).all()
    assert not torch.equal(one.crops, other.crops)
    assert not torch.equal(one.landmarks, other.landmarks)
    assert one.crops.shape == (len(DOTS), 3, SIZE, SIZE)
    assert float(one.crops.min()) >= 0 and float(one.crops.max()) <= 255


def test_strays_show_no_face_in_its_place() -> None:
    batch = dotted()
    generator = torch.Generator().manual_seed(0)
    assert augment_faces(batch, generator, strays=0.0).face.tolist() == [1] * len(DOTS)
    away = augment_faces(batch, generator, strays=1.0)
    assert away.face.tolist() == [0] * len(DOTS)
    # Shifted by more than half a face.
    middle = away.landmarks[..., :2].mean(1) - (SIZE - 1) / 2
    assert float(middle.norm(dim=1).min()) > 0.3 * SIZE / MARGIN
    unmarked = replace(batch, face=torch.zeros(len(DOTS)))
    assert augment_faces(unmarked, generator, strays=0.0).face.sum() == 0

"""Innocent edits: everyday changes that keep shape, range and landmarks."""

from __future__ import annotations

import pytest
import torch

from tests.forge.mesh import fake_faces
from vidscan.forge.base import Faces
from vidscan.forge.innocent import EDITS, edit, edit_some


@pytest.fixture(scope="module")
def faces() -> Faces:
    return fake_faces(4)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", EDITS)
def test_every_edit_changes_the_picture_and_keeps_its_form(faces: Faces, kind: str) -> None:
    before = faces.images.clone()
    out = edit(faces, kind, generator(0))
    assert torch.equal(faces.images, before)
    assert out.shape == before.shape
    assert torch.isfinite(out).all()
    assert 0 <= float(out.min()) <= float(out.max()) <= 255
    assert float((out - before).abs().amax((1, 2, 3)).min()) > 2
    assert torch.equal(out, edit(faces, kind, generator(0)))
    assert not torch.equal(out, edit(faces, kind, generator(1)))


def test_another_background_leaves_the_face(faces: Faces) -> None:
    out = edit(faces, "background", generator(0))
    assert torch.allclose(out[..., 44:84, 50:78], faces.images[..., 44:84, 50:78], atol=0.5)
    assert float((out - faces.images).abs()[..., :8, :8].mean()) > 5


def test_make_up_leaves_what_is_not_face(faces: Faces) -> None:
    out = edit(faces, "make_up", generator(0))
    assert torch.equal(out[..., :10, :], faces.images[..., :10, :])


def test_smoothing_softens_and_sharpening_sharpens(faces: Faces) -> None:
    def detail(images: torch.Tensor) -> float:
        return float(images.diff(dim=-1).abs().mean())

    assert detail(edit(faces, "skin_smoothing", generator(0))) < detail(faces.images)
    assert detail(edit(faces, "sharpening", generator(0))) > detail(faces.images)
    assert detail(edit(faces, "resampling", generator(0))) < detail(faces.images)


def test_edit_some_edits_a_share() -> None:
    faces = fake_faces(24, 64)
    assert torch.equal(edit_some(faces, generator(0), 0.0).images, faces.images)
    for share, low, high in ((0.5, 6, 18), (1.0, 24, 24)):
        out = edit_some(faces, generator(0), share)
        changed = int(((out.images - faces.images).abs().amax((1, 2, 3)) > 0).sum())
        assert low <= changed <= high
        assert out.landmarks is faces.landmarks


def test_unknown_edit(faces: Faces) -> None:
    with pytest.raises(ValueError, match="unknown edit 'halo'"):
        edit(faces, "halo", generator(0))

"""The forgeries kept for testing: hard masks, smooth fills, other faces."""

from __future__ import annotations

import pytest
import torch

from tests.forge.mesh import fake_faces
from vidscan.forge.base import FORGERIES, HELD_OUT, Faces
from vidscan.forge.held_out import harmonic_fill
from vidscan.forge.kinds import KINDS, Kind


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hole(size: int, reach: int) -> torch.Tensor:
    """(1, 1, size, size) known everywhere but in a square in the middle."""
    known = torch.ones(1, 1, size, size)
    middle = slice(size // 2 - reach, size // 2 + reach)
    known[:, :, middle, middle] = 0
    return known


@pytest.mark.parametrize("size", [64, 75])
def test_a_ramp_is_filled_with_a_ramp(size: int) -> None:
    ramp = torch.arange(float(size)).expand(1, 2, size, size).clone()
    ramp[:, 1] = ramp[:, 1].mT.clone()
    known = hole(size, 14)
    filled = harmonic_fill(ramp * known - 50 * (1 - known), known)
    assert torch.equal(filled * known, ramp * known)
    assert float((filled - ramp).abs().max()) < 2.0  # of the 28 levels across the hole


def test_a_fill_keeps_within_its_border() -> None:
    values = torch.rand(3, 3, 64, 64, generator=generator(0)) * 255
    known = hole(64, 16).expand(3, 1, 64, 64)
    inside = harmonic_fill(values, known)[:, :, 17:47, 17:47]
    assert float(inside.min()) >= 0 and float(inside.max()) <= 255
    assert float(inside.std()) < 0.3 * float(values.std())


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_there_is_no_feather(name: str) -> None:
    mask = FORGERIES[name](fake_faces(8), generator(0)).mask
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert float(mask.mean((1, 2, 3)).min()) > 0.002


def test_what_was_there_is_gone_from_a_hole() -> None:
    faces = fake_faces(6)
    marked = faces.images.clone()
    forged = FORGERIES["inpainted"](faces, generator(3))
    marked = torch.where(forged.mask > 0, 255 - marked, marked)
    again = FORGERIES["inpainted"](Faces(marked, faces.landmarks), generator(3))
    # whatever the hole showed, the fill is that of its surroundings, but for texture near the border
    assert float((forged.images - again.images).abs().median()) == 0.0
    assert float((forged.images - again.images)[forged.mask.expand_as(marked) > 0].abs().mean()) < 6


def test_a_splice_shows_another_face() -> None:
    faces = fake_faces(2)
    images = faces.images.clone()
    images[1] = 255 - images[1]
    forged = FORGERIES["spliced_region"](Faces(images, faces.landmarks), generator(1))
    inside = (forged.mask[0] > 0).expand_as(images[0])
    assert float((forged.images[0] - images[0])[inside].abs().mean()) > 10


def test_they_can_be_had_by_name() -> None:
    assert {kind.value for kind in Kind} >= HELD_OUT
    assert KINDS[Kind.spliced_region].donor and not KINDS[Kind.inpainted].donor

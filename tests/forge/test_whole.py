"""The look of whole-frame synthesis, and mouths of other moments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.corpus import needs_weights
from tests.forge.mesh import fake_faces
from tests.training.fake_store import fake_store
from vidscan.forge.base import FORGERIES, Faces
from vidscan.forge.mouth import mouth_shift
from vidscan.forge.renderers import RECIPES, Renderer, shipped_renderer
from vidscan.forge.whole import SyntheticLook, guided_smoothing, synthesis_look
from vidscan.training.degrade import Degradation
from vidscan.training.pairs import PairRecipe, PairSource


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_smoothing_takes_noise_and_leaves_edges() -> None:
    steps = torch.full((2, 3, 64, 64), 60.0)
    steps[..., 32:] = 180.0
    noise = 3 * torch.randn(steps.shape, generator=generator(0))
    smooth = guided_smoothing(steps + noise, torch.tensor([2.0, 3.0]), torch.tensor([10.0, 10.0]))
    flat = (smooth - steps)[..., 8:56, 8:22]
    assert float(flat.std()) < 0.5 * 3
    step = (smooth[..., 33] - smooth[..., 30]).mean()
    assert float(step) > 0.9 * 120


def test_everything_changes_and_noise_goes() -> None:
    faces = fake_faces(12)
    forged = FORGERIES["synthetic"](faces, generator(0))
    assert bool((forged.mask == 1).all())
    difference = (forged.images - faces.images).abs().mean((1, 2, 3))
    assert float(difference.max()) > 2 * float(difference.min()) > 0.2, "from easy to imperceptible"
    background = (slice(None), slice(None), slice(0, 20), slice(0, 20))

    def noise(images: torch.Tensor) -> torch.Tensor:
        x = images[background]
        return (x[..., 1:] - x[..., :-1]).std((1, 2, 3))

    assert float((noise(forged.images) < noise(faces.images)).float().mean()) > 0.6


def test_frames_need_not_be_square() -> None:
    images = torch.rand(1, 3, 48, 90, generator=generator(0)) * 255
    for seed in range(6):
        forged = synthesis_look(images, images, generator(seed))
        assert forged.images.shape == images.shape and forged.mask.shape == (1, 1, 48, 90)


def test_with_renderers_the_decoder_leaves_its_traces() -> None:
    torch.manual_seed(0)
    look = SyntheticLook([Renderer(RECIPES[0]).eval()])
    faces = fake_faces(2)
    forged = look(faces, generator(1))
    assert bool((forged.mask == 1).all())
    plain = FORGERIES["synthetic"](faces, generator(1))
    assert float((forged.images - plain.images).abs().mean()) > 1
    recipe = PairRecipe(mix={"synthetic": 1.0}, third_party=0.0)
    source = PairSource(fake_store(), recipe, Degradation(), look.renderers)
    assert isinstance(source.forgeries["synthetic"], SyntheticLook)
    source = PairSource(fake_store(), recipe, Degradation(), [])
    assert np.all(source.render(0, 2)["mask"] > 250)


@needs_weights
def test_the_shipped_renderer_gives_a_face_back() -> None:
    images = fake_faces(1).images
    rendered = shipped_renderer().render(images, 1.0)
    error = (rendered - images).abs().mean()
    assert 0.5 < float(error) < 14


def test_the_mouth_of_the_other_moment_comes_in_place() -> None:
    faces = fake_faces(1)
    later = Faces(faces.images.roll(6, 3), faces.landmarks + torch.tensor([6.0, 0.0]))
    later.images[:, :, 80:96, 58:82] = 0.0  # a mouth wide open, at 70, 88
    forged = mouth_shift(
        Faces(torch.cat([faces.images, later.images]), torch.cat([faces.landmarks, later.landmarks])),
        generator(2),
    )
    change = (forged.images[0] - faces.images[0]).abs().mean(0)
    assert float(change[forged.mask[0, 0] == 0].max()) == 0.0
    assert float(forged.mask[0, 0, :40].max()) < 1e-3, "the eyes stay"
    ys, xs = torch.nonzero(change > 25, as_tuple=True)
    assert len(xs) > 20
    # In place: six pixels to the left of where it was, in the middle of this moment's mouth.
    assert float(xs.float().mean()) == pytest.approx(64, abs=4)
    assert float(ys.float().mean()) == pytest.approx(87, abs=5)

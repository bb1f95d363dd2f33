"""What every forgery promises: exact masks, repeatable draws, and a face that did change."""

from __future__ import annotations

import pytest
import torch

import vidscan.forge.held_out
import vidscan.forge.mouth
import vidscan.forge.self_blend
import vidscan.forge.swap
import vidscan.forge.warp
import vidscan.forge.whole  # noqa: F401  (importing a forgery registers it)
from tests.forge.mesh import FACE, fake_faces
from vidscan.forge.base import FORGERIES, HELD_OUT, Faces, Forgery, chance, uniform
from vidscan.forge.renderers import RECIPES, Renderer
from vidscan.forge.rerender import Rerender
from vidscan.forge.self_blend import BLEND_RATIOS, draw_ratio
from vidscan.forge.swap import landmark_flow


def renderers() -> list[Renderer]:
    torch.manual_seed(0)
    return [Renderer(recipe).eval() for recipe in (RECIPES[0], RECIPES[6])]


NAMES = [*sorted(FORGERIES), "rerender"]


@pytest.fixture(scope="module")
def forgeries() -> dict[str, Forgery]:
    return dict(FORGERIES) | {"rerender": Rerender(renderers())}


@pytest.fixture(scope="module")
def faces() -> Faces:
    return fake_faces(6)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_workshop_knows_its_forgeries() -> None:
    assert (
        set(FORGERIES)
        == {"self_blend", "swap", "face_warp", "reenact", "mouth", "synthetic", "autogan"} | HELD_OUT
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_mask_is_exact(forgeries: dict[str, Forgery], faces: Faces, name: str, seed: int) -> None:
    before = faces.images.clone()
    forged = forgeries[name](faces, generator(seed))
    assert torch.equal(faces.images, before), "the input must not change"
    assert forged.images.shape == faces.images.shape
    assert forged.mask.shape == (6, 1, 128, 128)
    assert forged.images.dtype == forged.mask.dtype == torch.float32
    assert torch.isfinite(forged.images).all()
    assert 0 <= float(forged.images.min()) <= float(forged.images.max()) <= 255
    assert 0 <= float(forged.mask.min()) <= float(forged.mask.max()) <= 1
    difference = (forged.images - before).abs()
    outside = (forged.mask == 0).expand_as(difference)
    assert float((difference * outside).max()) == 0.0
    inside = (forged.mask > 0.2).expand_as(difference)
    for i in range(6):
        assert inside[i].any(), f"face {i} has no mask"
        assert float(difference[i][inside[i]].mean()) > 0.1, f"face {i} did not change"


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("rerender", "synthetic", "autogan")])
def test_masks_lie_on_the_face(forgeries: dict[str, Forgery], faces: Faces, name: str) -> None:
    mask = forgeries[name](faces, generator(5)).mask[:, 0]
    ys, xs = torch.meshgrid(torch.arange(128) / 128, torch.arange(128) / 128, indexing="ij")
    x, y, rx, ry = FACE
    far = ((xs - x) / rx) ** 2 + ((ys - y) / ry) ** 2 > 1.65**2
    assert float(mask[:, far].mean()) < 0.02
    assert float(mask[:, ~far].mean()) > 0.02


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_makes_it_repeatable(forgeries: dict[str, Forgery], faces: Faces, name: str) -> None:
    torch.manual_seed(1)
    first = forgeries[name](faces, generator(3))
    torch.manual_seed(2)  # the global state must play no part
    again = forgeries[name](faces, generator(3))
    other = forgeries[name](faces, generator(4))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.mask, again.mask)
    assert not torch.equal(first.images, other.images)
    if name != "synthetic":  # its mask is everything
        assert not torch.equal(first.mask, other.mask)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_batches_and_sizes(forgeries: dict[str, Forgery], name: str, count: int) -> None:
    faces = fake_faces(count, 96)
    forged = forgeries[name](faces, generator(0))
    assert forged.images.shape == (count, 3, 96, 96)
    assert forged.mask.shape == (count, 1, 96, 96)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "swap"])
def test_one_face_alone(forgeries: dict[str, Forgery], name: str) -> None:
    assert forgeries[name](fake_faces(1), generator(0)).images.shape == (1, 3, 128, 128)


def test_a_swap_needs_somebody_else() -> None:
    with pytest.raises(ValueError, match="at least two"):
        FORGERIES["swap"](fake_faces(1), generator(0))


def test_a_swap_shows_the_other_face() -> None:
    faces = fake_faces(2)
    rows = (torch.arange(128) % 12 < 6).float()[:, None] * 80 + 80
    # One person is striped across, the other down: what is pasted is recognisable.
    images = torch.stack([rows.expand(128, 128), rows.T.expand(128, 128)])[:, None].repeat(1, 3, 1, 1)
    for seed in range(4):
        forged = FORGERIES["swap"](Faces(images, faces.landmarks), generator(seed))
        for image, mask, own in zip(forged.images, forged.mask, ("across", "down"), strict=True):
            inside = (mask[0] > 0.8)[:-1, :-1]
            down, along = (image.diff(dim=axis).abs().mean(0)[:127, :127][inside].mean() for axis in (-2, -1))
            was, comes = (down, along) if own == "across" else (along, down)
            assert float(comes) > 2 * float(was)


def test_a_mouth_forgery_leaves_the_eyes_alone() -> None:
    faces = fake_faces(8)
    for seed in range(4):
        mask = FORGERIES["mouth"](faces, generator(seed)).mask
        assert float(mask[:, :, : 128 // 3].max()) < 1e-3
        assert float(mask[:, :, 128 * 3 // 5 :].amax((1, 2, 3)).min()) > 0.3


def test_rerendering_needs_renderers() -> None:
    with pytest.raises(ValueError, match="at least one renderer"):
        Rerender([])


def test_landmark_flow_moves_landmarks_onto_landmarks() -> None:
    faces = fake_faces(2, 128)
    source = faces.landmarks
    still = landmark_flow(source, source, 128)
    xs = torch.arange(128.0)
    assert torch.allclose(still[..., 0], xs.expand(128, 128), atol=1e-3)
    target = source + torch.tensor([6.0, -4.0])
    flow = landmark_flow(source, target, 128)
    middle = flow[0, 64, 64] - torch.tensor([64.0, 64.0])
    # reading at (x - 6, y + 4) brings the source's face to the target
    assert torch.allclose(middle, torch.tensor([-6.0, 4.0]), atol=0.3)
    corner = flow[0, 1, 1] - torch.tensor([1.0, 1.0])
    assert float(corner.abs().max()) < 1.0  # fades to none away from the face


def test_draws_keep_their_ranges() -> None:
    values = uniform(generator(0), -3, 5, 2000)
    assert -3 <= float(values.min()) < -2.9
    assert 4.9 < float(values.max()) <= 5
    assert abs(float(chance(generator(0), 0.3, 4000).float().mean()) - 0.3) < 0.03
    ratios = draw_ratio(generator(0), 300)
    assert ratios.shape == (300, 1, 1, 1)
    assert set(ratios.flatten().tolist()) == set(BLEND_RATIOS)

"""Renderers: the shapes of every recipe, and pictures that come back at their size."""

from __future__ import annotations

import pytest
import torch

from tests.forge.mesh import fake_faces
from vidscan.forge.renderers import RECIPES, Renderer, RendererRecipe


@pytest.fixture(params=RECIPES, ids=lambda r: r.name)
def recipe(request: pytest.FixtureRequest) -> RendererRecipe:
    return request.param


def build(recipe: RendererRecipe) -> Renderer:
    torch.manual_seed(0)
    return Renderer(recipe).eval()


def test_recipes_differ() -> None:
    assert len({r.name for r in RECIPES}) == len(RECIPES)
    assert {r.upsampler for r in RECIPES} == {"transposed", "nearest", "bilinear", "shuffle"}
    assert {r.loss for r in RECIPES} == {"l1", "l2", "gradient", "adversarial"}
    assert len({r.levels for r in RECIPES}) > 1


@torch.no_grad()
def test_latent_and_picture_shapes(recipe: RendererRecipe) -> None:
    net, step = build(recipe), 2**recipe.levels
    x = torch.rand(2, 3, step * 6, step * 5) * 2 - 1
    assert net.encoder(x).shape == (2, recipe.latent, 6, 5)
    assert net(x).shape == x.shape


@pytest.mark.parametrize("factor", [0.1, 0.37, 0.55, 0.813, 1.0, 1.3])
def test_render_at_odd_factors(recipe: RendererRecipe, factor: float) -> None:
    images = fake_faces(1, 71).images
    out = build(recipe).render(images, factor)
    assert out.shape == images.shape
    assert 0 <= float(out.min()) <= float(out.max()) <= 255
    assert not out.requires_grad


def test_quantised_latents_still_learn() -> None:
    recipe = next(r for r in RECIPES if r.quantised)
    net = build(recipe)
    net(torch.rand(1, 3, 32, 32)).mean().backward()
    first = net.encoder[0].weight.grad
    assert first is not None
    assert float(first.abs().max()) > 0


def test_quantising_rounds_the_latent() -> None:
    recipe = next(r for r in RECIPES if r.quantised)
    net = build(recipe)
    seen: list[torch.Tensor] = []
    net.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    net(torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(seen[0] * 4, (seen[0] * 4).round(), atol=1e-4, rtol=0)

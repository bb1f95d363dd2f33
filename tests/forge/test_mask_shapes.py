"""Mask shapes: the rasteriser against OpenCV's, and what every drawn mask promises."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from tests.forge.mesh import fake_mesh
from vidscan.forge.mask_shapes import KINDS, REGIONS, draw_masks, rasterise


def polygons(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 13)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    if kind == "convex":
        return np.stack([60 + circle * r for r in (10, 25, 50)])
    if kind == "concave":
        return np.stack([60 + circle * rng.uniform(10, 50, (12, 1)) for _ in range(3)])
    if kind == "self-crossing":
        return 60 + circle[None, [0, 5, 10, 3, 8, 1, 6, 11, 4, 9, 2, 7]] * 45
    return np.stack([circle * 50, 120 + circle * 60])  # beyond the picture


@pytest.mark.parametrize("kind", ["convex", "concave", "self-crossing", "beyond"])
def test_rasterise_agrees_with_opencv(kind: str) -> None:
    outlines = polygons(kind)
    found = rasterise(torch.from_numpy(outlines.astype(np.float32)), 120)
    assert found.shape == (len(outlines), 1, 120, 120)
    assert set(found.unique().tolist()) <= {0.0, 1.0}
    for mask, outline in zip(found[:, 0].numpy(), outlines, strict=True):
        expected, border = np.zeros((120, 120), np.uint8), np.zeros((120, 120), np.uint8)
        whole = np.round(outline).astype(np.int32)
        cv2.fillPoly(expected, [whole], 1)
        cv2.polylines(border, [whole], True, 1, thickness=4)
        clear = border == 0
        assert clear.mean() > 0.2
        assert np.array_equal(mask[clear], expected[clear])


def test_rasterise_by_hand() -> None:
    square = torch.tensor([[[0.5, 1.5], [3.5, 1.5], [3.5, 4.5], [0.5, 4.5]]])
    mask = rasterise(square, 6)[0, 0]
    assert mask.sum() == 9
    assert mask[2:5, 1:4].all()


def test_repeated_points_and_order_do_not_matter() -> None:
    outline = torch.from_numpy(polygons("concave").astype(np.float32))
    padded = torch.cat([outline, outline[:, -1:].expand(-1, 9, -1)], 1)
    assert torch.equal(rasterise(outline, 120), rasterise(padded, 120))
    assert torch.equal(rasterise(outline, 120), rasterise(outline.flip(1), 120))
    assert torch.equal(rasterise(outline, 120), rasterise(outline.roll(5, 1), 120))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_mask(kind: str) -> None:
    masks = draw_masks(fake_mesh(12, 96), 96, torch.Generator().manual_seed(1), {kind: 1.0})
    assert masks.shape == (12, 1, 96, 96)
    assert masks.dtype == torch.float32
    assert 0 <= float(masks.min()) <= float(masks.max()) <= 1
    # A wide feather that eats inwards can swallow a narrow eye whole.
    given = (masks.amax((1, 2, 3)) > 0.1).float().mean()
    assert float(given) > (0.6 if "eye" in kind and kind != "eyes" else 0.99)
    assert float(masks.mean()) < 0.6
    assert float(masks[..., 0].max()) < 0.05  # a face's mask does not touch the crop's side
    assert len({round(float(m.sum()), 3) for m in masks}) > 6  # each is drawn anew


def test_masks_lie_on_their_region() -> None:
    mesh = fake_mesh(10, 120, wander=0.0)
    for kind in ("lips", "left_eye", "right_eye", "nose", "hull"):
        masks = draw_masks(mesh, 120, torch.Generator().manual_seed(0), {kind: 1.0}).mean(0)[0]
        ys, xs = torch.meshgrid(torch.arange(120.0), torch.arange(120.0), indexing="ij")
        found = torch.stack([(masks * xs).sum(), (masks * ys).sum()]) / masks.sum()
        wanted = mesh[0, REGIONS[kind][0]].mean(0)
        assert float((found - wanted).norm()) < 4, kind


def test_weights_choose_the_kinds() -> None:
    mesh = fake_mesh(40, 64)
    small = draw_masks(mesh, 64, torch.Generator().manual_seed(0), {"lips": 1.0, "hull": 0.0})
    mixed = draw_masks(mesh, 64, torch.Generator().manual_seed(0), {"lips": 1.0, "hull": 1.0})
    assert float(small.mean((1, 2, 3)).max()) < 0.12
    assert 0.3 < float((mixed.mean((1, 2, 3)) > 0.15).float().mean()) < 0.7


def test_masks_are_repeatable() -> None:
    mesh = fake_mesh(6, 64)
    a, b, c = (draw_masks(mesh, 64, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)

"""Batched filters against SciPy and OpenCV, and against what can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.forge.mesh import fake_faces
from vidscan.forge.filters import (
    affine_grid,
    colour_statistics,
    gaussian_blur,
    identity_grid,
    match_colour,
    membrane,
    resample,
    sample,
    smooth_noise,
)

ndimage = pytest.importorskip("scipy.ndimage")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return fake_faces(3, 96).images


def test_gaussian_blur_is_scipys_with_one_sigma_an_image(images: torch.Tensor) -> None:
    sigma = torch.tensor([0.5, 1.3, 2.4])
    radius = int(3 * 2.4 + 0.5)
    found = gaussian_blur(images, sigma)
    for i, s in enumerate(sigma.tolist()):
        for c in range(3):
            expected = ndimage.gaussian_filter(images[i, c].numpy(), s, mode="mirror", radius=radius)
            np.testing.assert_allclose(found[i, c].numpy(), expected, atol=2e-2)


def test_a_sigma_of_nothing_leaves_the_image(images: torch.Tensor) -> None:
    found = gaussian_blur(images, torch.tensor([0.0, 0.04, 1.0]))
    torch.testing.assert_close(found[:2], images[:2], atol=1e-3, rtol=0)
    assert float((found[2] - images[2]).abs().mean()) > 0.5


def test_gaussian_blur_of_small_images_with_large_sigma() -> None:
    flat = torch.full((1, 1, 5, 7), 3.0)
    torch.testing.assert_close(gaussian_blur(flat, torch.tensor([20.0])), flat)


def test_identity_grid_reads_the_image_itself(images: torch.Tensor) -> None:
    grid = identity_grid(3, (96, 96), images.device)
    assert grid[0, 7, 30].tolist() == [30.0, 7.0]
    torch.testing.assert_close(sample(images, grid), images, atol=1e-2, rtol=0)


def test_sample_reads_where_it_is_told() -> None:
    ramp = torch.arange(10.0).expand(1, 1, 6, 10)
    grid = torch.tensor([[[[3.25, 2.0], [8.5, 5.0]]]])
    assert sample(ramp, grid).flatten().tolist() == pytest.approx([3.25, 8.5], abs=1e-4)


def test_affine_grid_inverts_the_motion_it_describes() -> None:
    angle, scale = torch.tensor([0.3, -1.0]), torch.tensor([1.2, 0.7])
    shift, centre = torch.tensor([[5.0, -3.0], [0.0, 8.0]]), torch.tensor([[20.0, 30.0], [41.0, 7.0]])
    for middle in (centre, None):
        grid = affine_grid((50, 60), angle, scale, shift, middle)
        assert grid.shape == (2, 50, 60, 2)
        about = centre if middle is not None else torch.tensor([[29.5, 24.5]]).expand(2, 2)
        for n in range(2):
            cos, sin = math.cos(float(angle[n])), math.sin(float(angle[n]))
            turn = torch.tensor([[cos, -sin], [sin, cos]])
            forward = (grid[n] - about[n]) @ turn.T * scale[n] + about[n] + shift[n]
            torch.testing.assert_close(forward, identity_grid(1, (50, 60), grid.device)[0], atol=1e-3, rtol=0)


def test_affine_grid_there_and_back(images: torch.Tensor) -> None:
    smooth = gaussian_blur(images, torch.full((3,), 3.0))
    turn, zero = torch.tensor([0.2, -0.1, 0.4]), torch.zeros(3, 2)
    there = sample(smooth, affine_grid((96, 96), turn, torch.ones(3), zero))
    back = sample(there, affine_grid((96, 96), -turn, torch.ones(3), zero))
    assert float((there - smooth).abs()[..., 24:-24, 24:-24].mean()) > 2
    assert float((back - smooth).abs()[..., 24:-24, 24:-24].mean()) < 0.7


def test_smooth_noise_is_smooth_and_of_unit_spread() -> None:
    noise = smooth_noise(torch.Generator().manual_seed(0), 40, 2, 64, 6)
    assert noise.shape == (40, 2, 64, 64)
    assert 0.5 < float(noise.std()) < 1.2
    assert float(noise.diff(dim=-1).abs().mean()) < 0.15


@pytest.mark.parametrize("up", ["bilinear", "bicubic", "nearest"])
def test_resample_loses_detail_with_its_factor(images: torch.Tensor, up: str) -> None:
    same = images[:1].expand(3, -1, -1, -1)
    out = resample(same, torch.tensor([1.0, 1.5, 4.0]), up=up)
    assert out.shape == same.shape
    assert torch.equal(out[0], same[0])  # 96 is a multiple of 32
    lost = (out - same).abs().mean((1, 2, 3))
    assert 0 < float(lost[1]) < float(lost[2])
    flat = torch.full((2, 3, 64, 64), 77.0)
    torch.testing.assert_close(resample(flat, torch.tensor([2.0, 9.0]), up=up), flat)


def test_resample_by_one_leaves_images_of_any_side() -> None:
    images = fake_faces(1, 264).images
    assert torch.equal(resample(images, torch.ones(1)), images)


@pytest.mark.parametrize("size", [32, 33, 50])
def test_membrane_of_a_constant_border_is_constant(size: int) -> None:
    known = torch.zeros(1, 1, size, size)
    known[..., 0, :] = known[..., -1, :] = known[..., 0] = known[..., -1] = 1
    values = torch.full((1, 2, size, size), 42.0) * known + 1000 * (1 - known)
    torch.testing.assert_close(membrane(values, known), torch.full((1, 2, size, size), 42.0))


def test_membrane_keeps_what_is_known_and_stays_within_it() -> None:
    generator = torch.Generator().manual_seed(0)
    known = torch.ones(2, 1, 48, 48)
    known[0, :, 12:30, 10:40] = 0
    known[1, :, :40] = 0
    values = torch.rand(2, 3, 48, 48, generator=generator) * 100
    filled = membrane(values, known)
    keep = known.bool().expand_as(values)
    torch.testing.assert_close(filled[keep], values[keep])
    assert float(filled.min()) >= -1e-3
    assert float(filled.max()) <= 100 + 1e-3


def test_membrane_follows_a_gradient_over_the_border() -> None:
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    known = torch.ones(1, 1, 64, 64)
    known[..., 20:44, 20:44] = 0
    filled = membrane(torch.where(known > 0, ramp, 0), known)
    assert float((filled - ramp).abs().mean()) < 1.5
    assert float(filled[0, 0, 32, 22]) < float(filled[0, 0, 32, 32]) < float(filled[0, 0, 32, 41])


def test_match_colour_brings_mean_and_spread(images: torch.Tensor) -> None:
    dull = images * 0.7 + 50
    mask = torch.zeros(3, 1, 96, 96)
    mask[..., 30:70, 30:70] = 1
    for strength, left in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        out = match_colour(dull, images, mask, torch.full((3, 1, 1, 1), strength))
        off = (colour_statistics(out, mask)[0] - colour_statistics(images, mask)[0]).abs()
        start = (colour_statistics(dull, mask)[0] - colour_statistics(images, mask)[0]).abs()
        torch.testing.assert_close(off, start * left, atol=1e-2, rtol=1e-3)
    whole = match_colour(dull, images, mask, torch.ones(3, 1, 1, 1))
    inside = mask.bool().expand_as(whole)
    assert float((whole - images).abs()[inside].mean()) < 0.2  # it was a linear change

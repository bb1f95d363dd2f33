"""What a decoder leaves, without a decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidscan.forge.autogan import autogan, simulate
from vidscan.forge.base import Faces


def noise(count: int, side: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 128 + 12 * torch.randn(count, 3, side, side, generator=generator)


def test_content_stays_in_its_place_and_brightness() -> None:
    y, x = np.mgrid[:64, :96]
    slope = torch.from_numpy((60 + x + y).astype(np.float32))[None, None].repeat(2, 3, 1, 1)
    for seed in range(6):
        found = simulate(slope, torch.Generator().manual_seed(seed))
        # Over four pixels either way the pattern has gone, and what was moved would not.
        inner = torch.nn.functional.avg_pool2d((found - slope)[..., 8:-8, 8:-8], 4)
        assert inner.abs().max() < 2 and abs(float(inner.mean())) < 0.5


def test_its_period_is_in_the_spectrum() -> None:
    """Flat pictures stay flat, or show nothing but a grid of every second or fourth pixel."""
    flat = torch.full((1, 3, 64, 64), 150.0)
    found = []
    for seed in range(8):
        made = simulate(flat, torch.Generator().manual_seed(seed))[0, 1]
        pattern = (made - made.mean())[8:-8, 8:-8]
        if pattern.abs().max() < 0.1:
            continue
        spectrum = torch.fft.fft2(pattern - pattern.mean()).abs()
        found.append(float(spectrum[::12, ::12].sum() / spectrum.sum()))
        assert pattern.abs().max() < 40
    assert len(found) >= 2 and min(found) > 0.9


def test_the_same_generator_gives_the_same_picture() -> None:
    pictures = noise(2, 64)
    one, two, other = (simulate(pictures, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == pictures.shape and one.min() >= 0 and one.max() <= 255


@pytest.mark.parametrize("side", [112, 110])
def test_it_is_a_forgery_with_an_exact_mask(side: int) -> None:
    points = torch.rand(4, 478, 2, generator=torch.Generator().manual_seed(3)) * side * 0.6 + side * 0.2
    pictures = noise(4, side).clamp(0, 255)
    done = autogan(Faces(pictures, points), torch.Generator().manual_seed(0))
    assert done.images.shape == pictures.shape and done.mask.shape == (4, 1, side, side)
    untouched = (done.mask == 0).expand_as(pictures)
    assert torch.equal(done.images[untouched], pictures[untouched])
    assert all(float((done.images - pictures)[i].abs().max()) > 1 for i in range(4))

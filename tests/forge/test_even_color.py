"""Even color: brightness stays, color variation goes, and no more of it than the footage has is left."""

from __future__ import annotations

import torch
from torch import Tensor

from vidscan.forge.even_color import even_colour

_LUMINANCE = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def _blotchy(amount: float, seed: int = 0) -> Tensor:
    """(4, 3, 64, 64) gray pictures with color noise of ``amount`` gray levels on them."""
    generator = torch.Generator().manual_seed(seed)
    noise = amount * torch.randn(4, 3, 64, 64, generator=generator)
    return 128 + noise - (noise * _LUMINANCE).sum(1, keepdim=True)


def _colour(images: Tensor) -> Tensor:
    """(N,) spread of the color difference."""
    return (images - (images * _LUMINANCE).sum(1, keepdim=True)).std((1, 2, 3))


def test_brightness_stays_and_colour_goes() -> None:
    images = _blotchy(20)
    out = even_colour(images, torch.Generator().manual_seed(1), 1.0)
    before, after = ((x * _LUMINANCE).sum(1) for x in (images, out))
    torch.testing.assert_close(before, after, atol=1e-3, rtol=0)
    assert (_colour(out) < 0.99 * _colour(images)).all()


def test_only_a_share_is_changed() -> None:
    images = _blotchy(20)
    torch.testing.assert_close(even_colour(images, torch.Generator().manual_seed(1), 0.0), images)


def test_no_more_colour_than_the_footage() -> None:
    images, footage = _blotchy(30), _blotchy(10, seed=5)
    everywhere = torch.ones(4, 1, 64, 64)
    free = even_colour(images, torch.Generator().manual_seed(2), 1.0)
    held = even_colour(images, torch.Generator().manual_seed(2), 1.0, like=(footage, everywhere))
    assert (_colour(held) < _colour(footage)).all()
    assert (_colour(held) < 0.6 * _colour(free)).all()


def test_footage_with_more_colour_holds_nothing_back() -> None:
    images, footage = _blotchy(10), _blotchy(40, seed=5)
    free = even_colour(images, torch.Generator().manual_seed(2), 1.0)
    held = even_colour(
        images, torch.Generator().manual_seed(2), 1.0, like=(footage, torch.ones(4, 1, 64, 64))
    )
    torch.testing.assert_close(free, held)

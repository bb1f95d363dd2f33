"""Whole-frame synthesis: nothing is pasted, everything came out of a generator.

What such pictures share is less what they have than what they lack: the sensor's noise, pores, stray
hairs. Some add the regular pattern of their up-sampling (Odena et al., *Deconvolution and Checkerboard
Artifacts*, Distill 2016; Zhang et al., *Detecting and Simulating Artifacts in GAN Fake Images*, WIFS
2019) or surplus sharpness. Amounts are drawn from easy to imperceptible.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.filters import gaussian_blur, resample
from vidscan.forge.rerender import Rendering


def guided_smoothing(images: Tensor, sigma: Tensor, contrast: Tensor) -> Tensor:
    """Smooth what varies less than ``contrast`` gray levels and keep the edges.

    The self-guided filter of He et al., *Guided Image Filtering* (ECCV 2010), with Gaussian windows.
    ``images`` (N, C, H, W); ``sigma`` in pixels and ``contrast`` (N,) each.
    """
    mean = gaussian_blur(images, sigma)
    variance = (gaussian_blur(images.square(), sigma) - mean.square()).clamp_min(0)
    keep = variance / (variance + contrast.square().view(-1, 1, 1, 1))
    return gaussian_blur(keep, sigma) * images + gaussian_blur((1 - keep) * mean, sigma)


def _pattern(images: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 1, H, W) in -1..1: the regular grid that an up-sampler by 2, 4 or 8 leaves."""
    n, _, height, width = images.shape
    period = torch.tensor([2.0, 4.0, 8.0], device=images.device)
    period = period[torch.randint(3, (n,), generator=generator, device=images.device)].view(n, 1, 1, 1)
    y = torch.arange(height, device=images.device).view(1, 1, height, 1)
    x = torch.arange(width, device=images.device).view(1, 1, 1, width)
    return (torch.cos(2 * torch.pi * x / period) + torch.cos(2 * torch.pi * y / period)) / 2


def synthesis_look(originals: Tensor, rendered: Tensor, generator: torch.Generator) -> Forged:
    """Take noise and micro-texture out of ``rendered``, at times add a pattern or sharpness.

    ``originals`` and ``rendered`` (N, 3, H, W), RGB 0..255; the mask is 1 everywhere.
    """
    n = len(originals)
    amount = uniform(generator, 0.25, 1.0, n, 1, 1, 1)
    smooth = guided_smoothing(
        rendered, uniform(generator, 1.5, 4.0, n), uniform(generator, 3.0, 12.0, n) * amount.view(n)
    )
    out = blend(rendered, smooth, uniform(generator, 0.6, 1.0, n, 1, 1, 1))
    # Many generators work at a lower resolution than they deliver.
    out = resample(out, 1 + uniform(generator, 0, 0.8, n) * chance(generator, 0.4, n), up="bicubic")
    detail = out - gaussian_blur(out, uniform(generator, 0.8, 1.8, n))
    out = out + uniform(generator, 0.2, 0.9, n, 1, 1, 1) * chance(generator, 0.4, n, 1, 1, 1) * detail
    strength = uniform(generator, 0.3, 1.6, n, 1, 1, 1) * chance(generator, 0.4, n, 1, 1, 1)
    out = out + strength * _pattern(out, generator) * (1 + 0.1 * detail.abs()).clamp_max(3)
    out = originals + amount * (out - originals)
    return Forged(out.clamp(0, 255), torch.ones_like(originals[:, :1]))


@forgery("synthetic")
def synthetic(faces: Faces, generator: torch.Generator) -> Forged:
    """Everything in the picture as a generator would have made it; needs no landmarks."""
    return synthesis_look(faces.images, faces.images, generator)


class SyntheticLook(Rendering):
    """The same after a pass through a decoder, which leaves its own traces as well."""

    def __call__(self, faces: Faces, generator: torch.Generator) -> Forged:
        return synthesis_look(faces.images, self.render(faces.images, generator), generator)

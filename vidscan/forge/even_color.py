"""Even color: what generators make of skin.

Decoders are trained on brightness far more than on color, and render a face in fewer colors than a
camera records: blotches of skin, stubble and reflected light are missing from the color channels
while the brightness is sharp. Of the low-level differences between face swaps and their own original
footage, this is the plainest (docs/experiments.md).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.color import luminance
from vidscan.forge.base import chance, uniform

_LEVELS = 5


def _octaves(images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Laplacian pyramid, finest octave first, of the color difference (image less its luminance)."""
    level = images - luminance(images)
    octaves: list[Tensor] = []
    while len(octaves) < _LEVELS and min(level.shape[-2:]) >= 8:
        coarse = F.avg_pool2d(level, 2, ceil_mode=True)
        octaves.append(level - F.interpolate(coarse, level.shape[-2:], mode="bilinear", align_corners=False))
        level = coarse
    return octaves, level


def _energy(octave: Tensor, mask: Tensor) -> Tensor:
    weight = F.interpolate(mask, octave.shape[-2:], mode="area")
    total = weight.sum((1, 2, 3), keepdim=True).clamp_min(1e-3)
    return ((octave**2).sum(1, keepdim=True) * weight).sum((1, 2, 3), keepdim=True) / total


def even_colour(
    images: Tensor,
    generator: torch.Generator,
    share: float = 0.65,
    like: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Take color variation of 1 to 32 px out of a random ``share`` of the images; brightness stays.

    Each octave is weakened by an amount of its own, from nothing to nine tenths.

    Parameters
    ----------
    images
        (N, 3, S, S) RGB.
    like
        Footage (N, 3, S, S) that the images are to be pasted into, and where (N, 1, S, S): octaves
        in which they have more color than it are brought down to its level first.
    """
    n = len(images)
    octaves, base = _octaves(images)
    limits = [torch.ones_like(octave[:, :1, :1, :1]) for octave in octaves]
    if like is not None:
        footage, mask = like
        limits = [
            (_energy(theirs, mask) / _energy(own, mask).clamp_min(1e-3)).sqrt().clamp(max=1)
            for theirs, own in zip(_octaves(footage)[0], octaves, strict=True)
        ]
    strength = uniform(generator, 0.1, 1.0, n, 1, 1, 1)
    chosen = chance(generator, share, n, 1, 1, 1)
    gains = []
    for i, limit in enumerate(limits):
        # The coarsest octave holds lips and cheeks, which generators do color.
        most = 0.5 if i == len(octaves) - 1 else 0.9
        gain = limit * (1 - strength * uniform(generator, 0.2, most, n, 1, 1, 1))
        gains.append(torch.where(chosen, gain, torch.ones_like(gain)))
    missing = torch.zeros_like(base)
    for octave, gain in zip(reversed(octaves), reversed(gains), strict=True):
        missing = F.interpolate(missing, octave.shape[-2:], mode="bilinear", align_corners=False)
        missing = missing + (1 - gain) * octave
    return images - missing

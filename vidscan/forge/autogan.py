"""What a generator's decoder leaves when it enlarges its feature maps, without a generator.

Zhang, Karaman & Chang, *Detecting and Simulating Artifacts in GAN Fake Images* (WIFS 2019), train an
auto-encoder of a GAN's structure (AutoGAN) to leave the traces of its up-sampling on genuine pictures. The
traces come from the structure: here a picture is reduced and enlarged by the same layers, with drawn instead
of trained kernels, and most of the detail that was lost on the way is given back, as a trained decoder does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.mask_shapes import draw_masks

_UNEVEN = 0.2
"""How far the taps of a kernel stray from smooth interpolation: what makes checkerboards."""


def _enlarge(small: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 3, h, w) to (N, 3, 2 h, 2 w): by a transposed convolution, or repeated pixels and a convolution."""
    device = small.device
    transposed = bool(chance(generator, 0.5, 1))
    side = 4 if transposed else 3
    line = torch.tensor([1.0, 3, 3, 1] if transposed else [1.0, 6, 1], device=device)
    kernel = line[:, None] * line * (1 + uniform(generator, -_UNEVEN, _UNEVEN, side, side))
    # Transposed, every pixel of the result is reached by a quarter of the taps.
    kernel = kernel / kernel.sum() * (4 if transposed else 1)
    weight = kernel.expand(3, 1, side, side)
    padded = F.pad(small, (1, 1, 1, 1), mode="replicate")
    if transposed:
        return F.conv_transpose2d(padded, weight, stride=2, padding=3, groups=3)
    repeated = F.interpolate(padded, scale_factor=2, mode="nearest")[..., 1:-1, 1:-1]
    return F.conv2d(repeated, weight, groups=3)


def simulate(images: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 3, H, W) 0..255 pictures after one or two halvings and enlargings; H and W multiples of 4.

    Kernels are drawn once for all pictures of the call; between 20 and 80 % of the lost detail is given back.
    """
    levels = 1 + int(chance(generator, 0.5, 1))
    coarse = images
    for _ in range(levels):
        coarse = F.interpolate(coarse, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
    for _ in range(levels):
        coarse = _enlarge(coarse, generator)
    keep = uniform(generator, 0.2, 0.8, len(images), 1, 1, 1)
    return (coarse + keep * (images - coarse)).clamp(0, 255)


@forgery("autogan")
def autogan(faces: Faces, generator: torch.Generator) -> Forged:
    """The whole crop, the head, the face or the mouth with the traces of up-sampling."""
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    pad = (0, -size % 4, 0, -size % 4)
    made = simulate(F.pad(images, pad, mode="replicate"), generator)[..., :size, :size]
    weights = {"hull": 3.0, "inner": 2.0, "forehead": 2.0, "lower": 1.0, "lips": 0.5}
    mask = draw_masks(faces.landmarks, size, generator, weights)
    mask = torch.where(chance(generator, 0.4, n, 1, 1, 1), torch.ones_like(mask), mask)
    return Forged(blend(images, made, mask).clamp(0, 255), mask)

"""Self-blending: a face pasted onto itself.

Shiohara & Yamasaki, *Detecting Deepfakes with Self-Blended Images* (CVPR 2022): two differently
altered copies of one face blended under a mask leave the traces that every compositing method
leaves, and nothing else. Amounts are drawn from easy to imperceptible.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.even_color import even_colour
from vidscan.forge.filters import affine_grid, gaussian_blur, resample, sample, smooth_noise
from vidscan.forge.mask_shapes import draw_masks

BLEND_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)


def draw_ratio(generator: torch.Generator, n: int) -> Tensor:
    """(N, 1, 1, 1) blend ratios, as in the paper."""
    choices = torch.tensor(BLEND_RATIOS, device=generator.device)
    picked = torch.randint(len(BLEND_RATIOS), (n,), generator=generator, device=generator.device)
    return choices[picked].view(n, 1, 1, 1)


def alter(images: Tensor, generator: torch.Generator, amount: Tensor) -> Tensor:
    """Change color, sharpness and texture of each image by up to ``amount`` (N,) in 0..1."""
    n, size = len(images), images.shape[-1]
    a = amount.view(n, 1, 1, 1)
    shift = uniform(generator, -20, 20, n, 3, 1, 1) * chance(generator, 0.5, n, 1, 1, 1)
    gain = 1 + a * uniform(generator, -0.12, 0.12, n, 1, 1, 1)
    saturation = 1 + a * uniform(generator, -0.3, 0.3, n, 1, 1, 1)
    grey = images.mean(1, keepdim=True)
    out = grey + (images - grey) * saturation
    out = (out - 128) * gain + 128 + a * (shift + uniform(generator, -12, 12, n, 1, 1, 1))
    # Light that falls a little differently: a smooth field of gain.
    light = smooth_noise(generator, n, 1, size, 4) * chance(generator, 0.3, n, 1, 1, 1)
    out = out * (1 + 0.05 * a * light)
    out = even_colour(out, generator, 0.35)
    kind = torch.randint(4, (n,), generator=generator, device=images.device)
    low = kind == 0
    if low.any():
        factors = 1 + amount[low] * uniform(generator, 0.3, 3.0, int(low.sum()))
        out[low] = resample(out[low], factors, up="bilinear")
    soft = kind == 1
    if soft.any():
        out[soft] = gaussian_blur(out[soft], amount[soft] * uniform(generator, 0.4, 1.8, int(soft.sum())))
    sharp = kind == 2
    if sharp.any():
        some = out[sharp]
        blurred = gaussian_blur(some, uniform(generator, 0.6, 1.5, len(some)))
        strength = amount[sharp].view(-1, 1, 1, 1) * uniform(generator, 0.3, 1.0, len(some), 1, 1, 1)
        out[sharp] = some + strength * (some - blurred)
    noisy = chance(generator, 0.2, n, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return out + noisy * a * uniform(generator, 0.5, 3, n, 1, 1, 1) * noise


@forgery("self_blend")
def self_blend(faces: Faces, generator: torch.Generator) -> Forged:
    """Blend each face with an altered, slightly displaced copy of itself."""
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    amount = uniform(generator, 0.15, 1.0, n)
    grid = affine_grid(
        (size, size),
        uniform(generator, -0.03, 0.03, n) * amount,
        1 + uniform(generator, -0.05, 0.05, n) * amount,
        uniform(generator, -0.02, 0.02, n, 2) * size * 0.6 * amount[:, None],
    )
    source = alter(sample(images, grid), generator, amount)
    mask = draw_masks(faces.landmarks, size, generator) * draw_ratio(generator, n)
    return Forged(blend(images, source, mask).clamp(0, 255), mask)

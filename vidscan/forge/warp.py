"""Warping artifacts and reenactment-like displacements.

Li & Lyu, *Exposing DeepFake Videos By Detecting Face Warping Artifacts* (CVPRW 2019): a generator of
fixed size leaves a face resampled differently from its surroundings. Reenactment moves landmarks by a
few percent of the face and resynthesises what is between.
"""

from __future__ import annotations

import torch

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.even_color import even_colour
from vidscan.forge.filters import gaussian_blur, identity_grid, resample, sample, smooth_noise
from vidscan.forge.mask_shapes import draw_masks


@forgery("face_warp")
def face_warp(faces: Faces, generator: torch.Generator) -> Forged:
    """Shrink, soften and enlarge the face region, as an affine-warped low-resolution face is."""
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    soft = resample(images, uniform(generator, 1.1, 3.2, n), up="bicubic")
    soft = gaussian_blur(soft, uniform(generator, 0, 1.0, n) * chance(generator, 0.5, n))
    soft = even_colour(soft, generator, 0.4)
    weights = {"hull": 4.0, "inner": 3.0, "forehead": 1.0, "lower": 2.0, "oval": 1.0, "lips": 1.0}
    mask = draw_masks(faces.landmarks, size, generator, weights)
    return Forged(blend(images, soft, mask).clamp(0, 255), mask)


@forgery("reenact")
def reenact(faces: Faces, generator: torch.Generator) -> Forged:
    """Displace the face smoothly by 1-4 % of its size, resample it at another size, blend it back."""
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    face = (faces.landmarks[:, 152] - faces.landmarks[:, 10]).norm(dim=1).view(n, 1, 1, 1)
    flow = smooth_noise(generator, n, 2, size, 7) * face * uniform(generator, 0.01, 0.04, n, 1, 1, 1)
    mask = draw_masks(faces.landmarks, size, generator)
    grid = identity_grid(n, (size, size), images.device) + (flow * mask).permute(0, 2, 3, 1)
    moved = sample(images, grid, mode="bicubic")
    moved = even_colour(moved, generator)
    moved = resample(moved, uniform(generator, 1.04, 2.4, n), up="bicubic")
    sharpen = uniform(generator, 0, 0.9, n, 1, 1, 1) * chance(generator, 0.4, n, 1, 1, 1)
    moved = moved + sharpen * (moved - gaussian_blur(moved, uniform(generator, 0.7, 1.4, n)))
    return Forged(blend(images, moved, mask).clamp(0, 255), mask)

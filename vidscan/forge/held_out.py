"""Two kinds of forgery that are kept out of every training, to test localization with.

What marks them is not what marks the kinds that models train on: a spliced region has no feather and
no generator's look, an inpainted one has lost its content. :data:`vidscan.forge.base.HELD_OUT` names
them, and rendering training pairs refuses them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.forge.base import Faces, Forged, chance, forgery, uniform
from vidscan.forge.filters import gaussian_blur, match_colour
from vidscan.forge.mask_shapes import draw_masks
from vidscan.forge.swap import warped_donors

_SPLICED = {"polygon": 3.0, "upper": 1.0, "lower": 1.0, "eyes": 1.0, "inner": 1.0, "nose": 1.0, "lips": 0.5}
_INPAINTED = {"lips": 2.0, "inner": 2.0, "lower": 1.0, "nose": 1.0, "left_eye": 1.0, "right_eye": 1.0}
_SOURCES = 6
"""Places that texture is taken from, one after the other, until the hole is full."""
_RELAXATIONS = 12
"""Steps at each level of the pyramid; enough for what the coarser level left to do."""


def _hard_masks(faces: Faces, generator: torch.Generator, weights: dict[str, float]) -> Tensor:
    """(N, 1, S, S) regions of 0 and 1, without any feather."""
    return (draw_masks(faces.landmarks, faces.images.shape[-1], generator, weights) > 0.5).float()


@forgery("spliced_region")
def spliced_region(faces: Faces, generator: torch.Generator) -> Forged:
    """Replace a region by the same region of another face of the batch, cut out with a hard edge.

    The other face (another person, or another time of one clip) is warped onto this one's landmarks;
    a face alone gets its own mirror image. Half of the splices have their colors matched, the others
    what Poisson blending adds (Perez et al. 2003).
    """
    images, n = faces.images, len(faces)
    pasted = warped_donors(faces, generator) if n > 1 else images.flip(-1)
    mask = _hard_masks(faces, generator, _SPLICED)
    matched = match_colour(pasted, images, mask, uniform(generator, 0.6, 1.0, n, 1, 1, 1))
    seamless = pasted + harmonic_fill(images - pasted, 1 - mask)
    pasted = torch.where(chance(generator, 0.5, n, 1, 1, 1), seamless, matched)
    return Forged(torch.where(mask > 0, pasted, images).clamp(0, 255), mask)


@forgery("inpainted")
def inpainted(faces: Faces, generator: torch.Generator) -> Forged:
    """Remove a part of the face and fill the hole from its surroundings.

    The fill is smooth, as diffusion inpainting leaves it (Bertalmio et al. 2000); most holes also get
    fine texture copied from the skin around them, as exemplar-based inpainting does (Criminisi et al.
    2004).
    """
    images, n = faces.images, len(faces)
    mask = _hard_masks(faces, generator, _INPAINTED)
    known = 1 - mask
    detail = images - gaussian_blur(images, uniform(generator, 1.0, 2.5, n))
    strength = uniform(generator, 0.4, 1.1, n, 1, 1, 1) * chance(generator, 0.7, n, 1, 1, 1)
    texture = _copied(detail, known, generator)
    filled = harmonic_fill(images, known) + strength * texture
    return Forged(torch.where(mask > 0, filled, images).clamp(0, 255), mask)


def harmonic_fill(values: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels with the solution of Laplace's equation, the surroundings as its border.

    Solved coarse to fine, a few relaxations a level. ``values`` (N, C, S, S), ``known`` (N, 1, S, S) of
    0 and 1, with something known in every picture; known pixels are returned as they are.
    """
    levels = [(values * known, known)]
    while min(levels[-1][0].shape[-2:]) > 4:
        v, k = levels[-1]
        levels.append((F.avg_pool2d(v, 2, ceil_mode=True), F.avg_pool2d(k, 2, ceil_mode=True)))
    v, k = levels[-1]
    filled = (v.sum((2, 3), keepdim=True) / k.sum((2, 3), keepdim=True)).expand_as(v)
    for v, k in reversed(levels):
        filled = F.interpolate(filled, v.shape[-2:], mode="bilinear", align_corners=False)
        border, fixed = v / k.clamp_min(1e-6), k > 0
        for _ in range(_RELAXATIONS):
            filled = torch.where(fixed, border, filled)
            edge = F.pad(filled, (1, 1, 1, 1), mode="replicate")
            across = edge[..., 1:-1, :-2] + edge[..., 1:-1, 2:]
            filled = (across + edge[..., :-2, 1:-1] + edge[..., 2:, 1:-1]) / 4
        filled = torch.where(fixed, border, filled)
    return filled


def _copied(detail: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 3, S, S) texture of known pixels, moved by random offsets of a tenth to a third of the crop.

    Where no offset reaches a known pixel it is 0.
    """
    size = detail.shape[-1]
    angle = uniform(generator, 0, 2 * torch.pi, _SOURCES)
    reach = uniform(generator, 0.1, 0.33, _SOURCES) * size
    out, hole = detail * known, 1 - known
    for dy, dx in torch.stack([torch.sin(angle) * reach, torch.cos(angle) * reach], 1).round().int().tolist():
        moved, there = detail.roll((dy, dx), (2, 3)), known.roll((dy, dx), (2, 3))
        out = out + moved * there * hole
        hole = hole * (1 - there)
    return out

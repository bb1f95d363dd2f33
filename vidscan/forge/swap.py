"""Face swaps between two people, color-matched, smoothly warped, softly blended.

Real swaps are smoother and more even than the footage they replace, so a step in color or sharpness
teaches the wrong thing; difficulty is drawn from easy to imperceptible.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.even_color import even_colour
from vidscan.forge.filters import gaussian_blur, identity_grid, match_colour, membrane, resample, sample
from vidscan.forge.mask_shapes import draw_masks

_CELLS = 24
_MAX_MEMBRANE = 30.0
"""Grey levels by which seamless blending may shift a pasted face: where the border runs through one
person's hair and the other's background their whole difference would flood the face."""
_ANCHORS = list(range(0, 468, 4))


def landmark_flow(source: Tensor, target: Tensor, size: int, bandwidth: float = 0.07) -> Tensor:
    """Sampling grid that moves a face with landmarks ``source`` onto landmarks ``target``.

    A piecewise-smooth warp: the displacement of every fourth landmark, spread by Gaussian weights
    (Nadaraya-Watson), fading to none away from the face. (N, 478, 2) each -> (N, size, size, 2).
    """
    n = len(source)
    centres = (torch.arange(_CELLS, device=source.device) + 0.5) * size / _CELLS - 0.5
    ys, xs = torch.meshgrid(centres, centres, indexing="ij")
    cells = torch.stack([xs, ys], -1).reshape(1, -1, 2).expand(n, -1, -1)
    at, move = target[:, _ANCHORS], source[:, _ANCHORS] - target[:, _ANCHORS]
    weight = torch.exp(-0.5 * (torch.cdist(cells, at) / (bandwidth * size)) ** 2)
    flow = weight @ move / (weight.sum(2, keepdim=True) + 0.05)
    flow = flow.reshape(n, _CELLS, _CELLS, 2).permute(0, 3, 1, 2)
    flow = F.interpolate(flow, (size, size), mode="bicubic", align_corners=False)
    return identity_grid(n, (size, size), source.device) + flow.permute(0, 2, 3, 1)


def _donors(faces: Faces, generator: torch.Generator) -> Tensor:
    """For each face another one of the batch with about the same pose and complexion."""
    n = len(faces)
    centre = faces.landmarks[:, [33, 263]].mean(1)
    turn = (faces.landmarks[:, 1] - centre) / faces.images.shape[-1]
    size = faces.images.shape[-1]
    middle = slice(size * 2 // 5, size * 3 // 5)
    complexion = faces.images[:, :, middle, middle].mean((2, 3)) / 255
    face = faces.images[:, :, size // 4 : -size // 4, size // 4 : -size // 4].mean(1, keepdim=True)
    detail = (face - F.avg_pool2d(face, 3, 1, 1)).abs().mean((1, 2, 3)).clamp_min(0.1).log()
    key = torch.cat([turn * 6, complexion * 2], 1)
    # A donor blurrier than the footage makes a swap that anyone can see.
    blurrier = (detail[:, None] - detail[None]).clamp_min(0)
    distance = (
        torch.cdist(key, key)
        + 0.8 * blurrier
        + 0.1 * torch.rand(n, n, generator=generator, device=key.device)
    )
    distance.fill_diagonal_(torch.inf)
    return distance.argmin(1)


WHOLE_FACE = {"hull": 4.0, "inner": 3.0, "forehead": 2.0, "oval": 1.0, "lower": 1.0, "eyes": 0.7}
"""How often a swap replaces which region."""


def warped_donors(faces: Faces, generator: torch.Generator) -> Tensor:
    """(N, 3, S, S) for each face a similar person's, warped onto its landmarks.

    Raises ValueError for a batch of one.
    """
    if len(faces) < 2:
        raise ValueError("a face swap needs a batch of at least two faces")
    donors = faces[_donors(faces, generator)]
    return sample(donors.images, landmark_flow(donors.landmarks, faces.landmarks, faces.images.shape[-1]))


def paste(faces: Faces, pasted: Tensor, generator: torch.Generator) -> Forged:
    """Colour-match other faces and blend them in, softly or as Poisson blending does."""
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    mask = draw_masks(faces.landmarks, size, generator, WHOLE_FACE)
    pasted = match_colour(pasted, images, (mask > 0.3).float(), uniform(generator, 0.8, 1.0, n, 1, 1, 1))
    pasted = even_colour(pasted, generator, 0.8, like=(images, mask))
    seamless = chance(generator, 0.5, n, 1, 1, 1)
    border = membrane(images - pasted, 1 - (mask > 0.02).float()).clamp(-_MAX_MEMBRANE, _MAX_MEMBRANE)
    pasted = torch.where(seamless, pasted + border, pasted)
    return Forged(blend(images, pasted, mask).clamp(0, 255), mask)


@forgery("swap")
def swap(faces: Faces, generator: torch.Generator) -> Forged:
    """Paste a similar person's face, warped onto this one's landmarks."""
    n = len(faces)
    pasted = warped_donors(faces, generator)
    # Generators work at their own, usually lower, resolution and lose the sensor's noise; none gives
    # back a face that has not been resampled.
    factor = 1.04 + 1.6 * uniform(generator, 0, 1, n) * chance(generator, 0.6, n)
    pasted = resample(pasted, factor, up="bicubic")
    pasted = gaussian_blur(pasted, uniform(generator, 0, 1.0, n) * chance(generator, 0.6, n))
    return paste(faces, pasted, generator)

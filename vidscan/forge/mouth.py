"""The shape of lip-sync: another mouth, of low resolution or of another moment, pasted back.

Wav2Lip (Prajwal et al., ACM MM 2020) and its kin render the lower half of the face at 96 px; the rest of
the frame is untouched. Editors who put other words into a mouth take its pictures from elsewhere in the
same footage (Suwajanakorn et al., *Synthesizing Obama*, SIGGRAPH 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.even_color import even_colour
from vidscan.forge.filters import gaussian_blur, identity_grid, match_colour, membrane, resample, sample
from vidscan.forge.mask_shapes import draw_masks
from vidscan.forge.swap import landmark_flow


@forgery("mouth")
def mouth(faces: Faces, generator: torch.Generator) -> Forged:
    """Re-render the mouth or lower face, half the time in the shape of another person's mouth."""
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    other = faces.landmarks.roll(1, 0)
    middle = [13, 14, 61, 291]
    centred = other - other[:, middle].mean(1, keepdim=True)
    target = faces.landmarks.clone()
    own = faces.landmarks[:, middle].mean(1, keepdim=True)
    near = torch.exp(-(((faces.landmarks - own).norm(dim=2, keepdim=True) / (0.16 * size)) ** 2))
    strength = uniform(generator, 0, 0.8, n, 1, 1) * chance(generator, 0.6, n, 1, 1)
    target = target + strength * near * (own + centred - faces.landmarks)
    moved = sample(images, landmark_flow(faces.landmarks, target, size, bandwidth=0.05))
    moved = resample(moved, uniform(generator, 1.2, 3.2, n), up="bicubic")
    moved = gaussian_blur(moved, uniform(generator, 0, 1.2, n) * chance(generator, 0.6, n))
    moved = even_colour(moved, generator)
    mask = draw_masks(faces.landmarks, size, generator, {"lower": 3.0, "lips": 2.0})
    shift = uniform(generator, -4, 4, n, 3, 1, 1) * chance(generator, 0.4, n, 1, 1, 1)
    moved = match_colour(moved, images, mask, torch.ones(n, 1, 1, 1, device=images.device)) + shift
    return Forged(blend(images, moved, mask).clamp(0, 255), mask)


_STEADY = [33, 133, 362, 263, 168, 6, 197, 4, 70, 300, 234, 454, 10]
"""Landmarks that speech does not move: corners of the eyes, nose, brows, temples, forehead."""


def _onto(source: Tensor, target: Tensor, size: int) -> Tensor:
    """(N, size, size, 2) grid that brings the ``source`` landmarks' face onto ``target``, as a rigid
    whole: the affine map between the steady landmarks, so that the mouth keeps the shape it has."""
    n = len(source)
    ones = torch.ones(n, len(_STEADY), 1, device=source.device)
    back = torch.linalg.lstsq(torch.cat([target[:, _STEADY], ones], 2), source[:, _STEADY]).solution
    grid = identity_grid(n, (size, size), source.device).reshape(n, -1, 2)
    return (grid @ back[:, :2] + back[:, 2:]).reshape(n, size, size, 2)


def mouth_shift(faces: Faces, generator: torch.Generator) -> Forged:
    """Give every face the mouth of the next one in the batch (the last that of the first).

    Meant for a batch of two moments of one person, as in a forged clip; it is no training forgery of
    its own, hence not registered.
    """
    images, n, size = faces.images, len(faces), faces.images.shape[-1]
    other, landmarks = images.roll(-1, 0), faces.landmarks.roll(-1, 0)
    moved = sample(other, _onto(landmarks, faces.landmarks, size), mode="bicubic")
    moved = resample(moved, 1 + uniform(generator, 0, 1.0, n) * chance(generator, 0.5, n), up="bicubic")
    mask = draw_masks(faces.landmarks, size, generator, {"lower": 2.0, "lips": 1.0})
    moved = match_colour(moved, images, mask, torch.ones(n, 1, 1, 1, device=images.device))
    border = membrane(images - moved, 1 - (mask > 0.02).float())
    moved = torch.where(chance(generator, 0.5, n, 1, 1, 1), moved + border, moved)
    return Forged(blend(images, moved, mask).clamp(0, 255), mask)

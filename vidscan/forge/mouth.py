"""The shape of lip-sync: a mouth re-rendered at low resolution and pasted back.

Wav2Lip and its kin render the lower half of the face at 96 px; the rest of the frame is untouched.
"""

from __future__ import annotations

import torch

from vidscan.forge.base import Faces, Forged, blend, chance, forgery, uniform
from vidscan.forge.filters import gaussian_blur, match_colour, resample, sample
from vidscan.forge.masks import draw_masks
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
    mask = draw_masks(faces.landmarks, size, generator, {"lower": 3.0, "lips": 2.0})
    shift = uniform(generator, -4, 4, n, 3, 1, 1) * chance(generator, 0.4, n, 1, 1, 1)
    moved = match_colour(moved, images, mask, torch.ones(n, 1, 1, 1, device=images.device)) + shift
    return Forged(blend(images, moved, mask).clamp(0, 255), mask)

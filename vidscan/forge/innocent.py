"""Edits that leave a face genuine: what filters, make-up, cameras and editors do every day.

They go on the genuine side of training, and on its forged twin alike, so that only a mismatch inside
the face bears the label. A detector that flags these is useless to a moderator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidscan.forge.base import Faces, blend, chance, uniform
from vidscan.forge.filters import gaussian_blur, resample, smooth_noise
from vidscan.forge.mask_shapes import draw_masks, rasterise


def _skin_smoothing(images: Tensor, generator: torch.Generator) -> Tensor:
    """A beauty filter: soften fine detail where contrast is low, keep edges."""
    n = len(images)
    soft = gaussian_blur(images, uniform(generator, 1.0, 3.0, n))
    difference = (images - soft).abs().mean(1, keepdim=True)
    weight = torch.exp(-((difference / uniform(generator, 5, 14, n, 1, 1, 1)) ** 2))
    return blend(images, soft, weight * uniform(generator, 0.3, 0.9, n, 1, 1, 1))


def _sharpening(images: Tensor, generator: torch.Generator) -> Tensor:
    n = len(images)
    soft = gaussian_blur(images, uniform(generator, 0.6, 2.0, n))
    return images + uniform(generator, 0.2, 1.0, n, 1, 1, 1) * (images - soft)


def _recolouring(images: Tensor, generator: torch.Generator) -> Tensor:
    """White balance, saturation and an uneven light over the whole picture."""
    n, size = len(images), images.shape[-1]
    out = images * uniform(generator, 0.85, 1.15, n, 3, 1, 1)
    grey = out.mean(1, keepdim=True)
    out = grey + (out - grey) * uniform(generator, 0.0, 1.4, n, 1, 1, 1)
    return out * (1 + 0.12 * smooth_noise(generator, n, 1, size, 3))


def _make_up(images: Tensor, landmarks: Tensor, generator: torch.Generator) -> Tensor:
    """Tint lips or eyelids and cheeks; the skin's texture stays and there is no hull border."""
    n, size = len(images), images.shape[-1]
    mask = draw_masks(landmarks, size, generator, {"lips": 2.0, "left_eye": 1.0, "right_eye": 1.0})
    mask = gaussian_blur(mask, uniform(generator, 1.0, 4.0, n))
    tint = uniform(generator, 0.75, 1.15, n, 3, 1, 1)
    return blend(images, images * tint, mask * uniform(generator, 0.3, 1.0, n, 1, 1, 1))


def _background(images: Tensor, landmarks: Tensor, generator: torch.Generator) -> Tensor:
    """Another background composited behind the head, well outside the face."""
    n, size = len(images), images.shape[-1]
    oval = landmarks[:, [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378]]
    left = landmarks[:, [400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21]]
    outline = torch.cat([oval, left], 1)
    centre = outline.mean(1, keepdim=True)
    head = rasterise((centre + (outline - centre) * uniform(generator, 1.45, 1.9, n, 1, 1)) / 4, size // 4)
    head = torch.nn.functional.interpolate(head, (size, size), mode="bilinear", align_corners=False)
    head = gaussian_blur(head, uniform(generator, 0.5, 4.0, n))
    plain = uniform(generator, 0, 255, n, 3, 1, 1) + 15 * smooth_noise(generator, n, 3, size, 5)
    other = gaussian_blur(images.roll(1, 0), uniform(generator, 1.0, 6.0, n))
    behind = torch.where(chance(generator, 0.5, n, 1, 1, 1), plain, other)
    return blend(behind, images, head)


EDITS = ("skin_smoothing", "sharpening", "recolouring", "make_up", "background", "resampling")


def edit(faces: Faces, kind: str, generator: torch.Generator) -> Tensor:
    """Apply one of :data:`EDITS` to every face; (N, 3, S, S) in 0..255."""
    images = faces.images
    if kind == "skin_smoothing":
        out = _skin_smoothing(images, generator)
    elif kind == "sharpening":
        out = _sharpening(images, generator)
    elif kind == "recolouring":
        out = _recolouring(images, generator)
    elif kind == "make_up":
        out = _make_up(images, faces.landmarks, generator)
    elif kind == "background":
        out = _background(images, faces.landmarks, generator)
    elif kind == "resampling":
        out = resample(images, uniform(generator, 1.1, 2.2, len(faces)), up="bicubic")
    else:
        raise ValueError(f"unknown edit {kind!r}; one of {', '.join(EDITS)}")
    return out.clamp(0, 255)


def edit_some(faces: Faces, generator: torch.Generator, share: float) -> Faces:
    """One random edit on a random ``share`` of the faces."""
    n = len(faces)
    kinds = torch.randint(len(EDITS), (n,), generator=generator, device=faces.images.device)
    kinds[~chance(generator, share, n)] = -1
    images = faces.images.clone()
    for i, kind in enumerate(EDITS):
        chosen = kinds == i
        if chosen.any():
            images[chosen] = edit(faces[chosen], kind, generator)
    return Faces(images, faces.landmarks)

"""Mask shapes. Their variety is the largest measured gain of self-blending (training evidence, docs/)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.forge.base import chance, uniform
from vidscan.forge.filters import gaussian_blur, identity_grid, sample, smooth_noise

_OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377]
_OVAL += [152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
_LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
_RIGHT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
_LEFT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
_BROWS = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
_INNER = [*_BROWS, 356, 447, 366, 401, 435, 367, 364, 394, 395, 369, 396, 175]
_INNER += [171, 140, 170, 169, 135, 138, 215, 177, 137, 227, 127]
_LOWER = [93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323]
_LOWER += [425, 5, 205]
_UPPER = [234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 454, 425, 2, 205]
_NOSE = [168, 417, 465, 429, 279, 358, 327, 2, 98, 129, 49, 209, 245, 193]

REGIONS: dict[str, tuple[list[int], tuple[float, float]]] = {
    "hull": (_OVAL, (0.95, 1.08)),
    "inner": (_INNER, (0.95, 1.1)),
    "lower": (_LOWER, (0.9, 1.05)),
    "upper": (_UPPER, (0.85, 1.0)),
    "lips": (_LIPS, (1.1, 1.9)),
    "right_eye": (_RIGHT_EYE, (1.3, 2.2)),
    "left_eye": (_LEFT_EYE, (1.3, 2.2)),
    "nose": (_NOSE, (0.95, 1.2)),
}
"""Ordered face-mesh polygons and the range of scales drawn about their center."""

KINDS = (*REGIONS, "forehead", "eyes", "oval", "polygon")
_GRID = 128
_MOST_POINTS = 40


def rasterise(polygons: Tensor, size: int) -> Tensor:
    """Even-odd fill of closed polygons.

    ``polygons`` (N, P, 2) in pixels of a ``size`` x ``size`` picture -> (N, 1, size, size) of 0 and 1.
    """
    start = polygons
    end = polygons.roll(-1, 1)
    ys = torch.arange(size, device=polygons.device, dtype=torch.float32)
    y0, y1 = start[:, :, None, 1], end[:, :, None, 1]
    crosses = (y0 > ys) != (y1 > ys)
    slope = (end[:, :, None, 0] - start[:, :, None, 0]) / torch.where(crosses, y1 - y0, torch.ones_like(y0))
    at = start[:, :, None, 0] + (ys - y0) * slope
    inside = torch.zeros(len(polygons), size, size, dtype=torch.bool, device=polygons.device)
    xs = ys
    for edge in range(polygons.shape[1]):
        inside ^= crosses[:, edge, :, None] & (xs < at[:, edge, :, None])
    return inside[:, None].float()


def _pad(points: Tensor) -> Tensor:
    extra = _MOST_POINTS - points.shape[1]
    return torch.cat([points, points[:, -1:].expand(-1, extra, -1)], 1)


def _polygon(kind: str, landmarks: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 40, 2) outline of one kind of region."""
    n = len(landmarks)
    if kind == "eyes":
        points = landmarks[:, [127, 70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 356, 447, 346, 280]]
        points = torch.cat([points, landmarks[:, [4, 50, 117, 227]]], 1)
        scale = uniform(generator, 0.85, 1.05, n, 1, 1)
    elif kind == "forehead":
        # The mesh ends at the hair line; real swaps often reach above it.
        points = landmarks[:, _OVAL].clone()
        middle = landmarks[:, [33, 263]].mean(1, keepdim=True)
        lift = uniform(generator, 1.15, 1.5, n, 1)
        above = points[:, :, 1] < middle[:, :, 1]
        raised = middle[:, :, 1] + (points[:, :, 1] - middle[:, :, 1]) * lift
        points[:, :, 1] = torch.where(above, raised, points[:, :, 1])
        scale = uniform(generator, 0.95, 1.05, n, 1, 1)
    elif kind in ("oval", "polygon"):
        outline = landmarks[:, _OVAL]
        centre = outline.mean(1, keepdim=True)
        radius = (outline - centre).abs().amax(1, keepdim=True)
        count = _MOST_POINTS
        angle = torch.linspace(0, 2 * torch.pi, count + 1, device=landmarks.device)[:-1]
        circle = torch.stack([torch.cos(angle), torch.sin(angle)], -1)[None]
        if kind == "oval":
            points = centre + circle * radius * uniform(generator, 0.6, 1.05, n, 1, 2)
        else:
            corners = F.interpolate(
                uniform(generator, 0.35, 1.0, n, 1, 9), count, mode="linear", align_corners=True
            )
            wander = radius * uniform(generator, -0.35, 0.35, n, 1, 2)
            points = centre + wander + circle * radius * corners.transpose(1, 2)
        scale = torch.ones(n, 1, 1, device=landmarks.device)
    else:
        indices, scales = REGIONS[kind]
        points = landmarks[:, indices]
        scale = uniform(generator, *scales, n, 1, 1)
    centre = points.mean(1, keepdim=True)
    return _pad(centre + (points - centre) * scale)


def draw_masks(
    landmarks: Tensor, size: int, generator: torch.Generator, weights: dict[str, float] | None = None
) -> Tensor:
    """One random soft mask a face.

    Parameters
    ----------
    landmarks
        (N, 478, 2) in pixels of a ``size`` x ``size`` crop.
    weights
        Relative chance of each of :data:`KINDS`; all alike but ``hull``, ``inner`` and ``forehead``
        (three times as often: whole-face forgeries) where it is left out.

    Returns
    -------
    Tensor
        (N, 1, size, size) float32, 0..1.
    """
    n = len(landmarks)
    if weights is None:
        weights = dict.fromkeys(KINDS, 1.0) | dict.fromkeys(("hull", "inner", "forehead"), 3.0)
    names = list(weights)
    chances = torch.tensor([weights[k] for k in names], device=landmarks.device)
    kinds = torch.multinomial(chances, n, replacement=True, generator=generator)
    outlines = torch.zeros(n, _MOST_POINTS, 2, device=landmarks.device)
    for i, kind in enumerate(names):
        chosen = kinds == i
        if chosen.any():
            outlines[chosen] = _polygon(kind, landmarks[chosen], generator)
    mask = rasterise(outlines * (_GRID / size), _GRID)
    # Elastic deformation of the outline, then a feather that eats inwards so that the mask stays inside.
    bend = smooth_noise(generator, n, 2, _GRID, 6) * uniform(generator, 0.0, 4.0, n, 1, 1, 1)
    mask = sample(mask, identity_grid(n, (_GRID, _GRID), mask.device) + bend.permute(0, 2, 3, 1))
    # A feather wider than the region would leave nothing of an eye or of the lips.
    reach = mask.mean((1, 2, 3)).sqrt() * _GRID
    mask = gaussian_blur(mask, torch.minimum(uniform(generator, 0.4, 6.0, n), 0.15 * reach + 0.1))
    inward = chance(generator, 0.7, n, 1, 1, 1)
    mask = torch.where(inward, ((mask - 0.5) * 2).clamp(0, 1), mask)
    mask = gaussian_blur(mask, torch.minimum(uniform(generator, 0.2, 2.5, n), 0.1 * reach + 0.1))
    return F.interpolate(mask, (size, size), mode="bilinear", align_corners=False).clamp(0, 1)

"""What a training step does to labeled faces: geometry, light, resolution, codec, things in front.

Every label follows the geometry: a crop that is turned by some degrees shows a head that rolls by as
much, and in a mirrored one the person's eyes change places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.faces.landmark_network import MARGIN, SIZE
from vidscan.training.dct import dct_jpeg
from vidscan.training.labels import LABEL_SPEC

MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
)
"""Which iBUG point each point becomes in a mirrored face."""

_ZOOM = LABEL_SPEC.scale / (SIZE / (112.0 * MARGIN))
"""Pixels of a labeled crop per pixel of the network's crop."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Faces with their labels; ``landmarks`` (N, 68, 3) are pixels of ``crops`` (N, 3, S, S), RGB 0..255.

    ``face`` (N,) is 1 where the crop shows a face in its place; elsewhere the labels mean nothing.
    """

    crops: Tensor
    landmarks: Tensor
    units: Tensor
    openness: Tensor
    gaze: Tensor
    rotation: Tensor
    face: Tensor


def centre_cut(batch: Batch) -> Batch:
    """The network's crop out of each labeled crop, without any augmentation."""
    count = len(batch.crops)
    return _move(batch, torch.zeros(count), torch.ones(count), torch.zeros(count, 2))


def augment_faces(batch: Batch, generator: torch.Generator, strays: float = 0.06) -> Batch:
    """Augmented crops of the network's size.

    Parameters
    ----------
    batch
        Labeled crops of :data:`LABEL_SPEC`.
    generator
        Draws everything.
    strays
        Share that is made to show no face, or none in its place.
    """
    count = len(batch.crops)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(*shape).uniform_(low, high, generator=generator)

    angle = (normal(count) * 8).clamp(-30, 30)
    scale = torch.exp((normal(count) * 0.09).clamp(-0.25, 0.25))
    shift = (normal(count, 2) * 0.06).clamp(-0.18, 0.18)
    stray = uniform(0, 1, count) < strays
    direction = uniform(0, 2 * math.pi, count)
    away = torch.stack([direction.cos(), direction.sin()], 1) * uniform(0.55, 0.9, count)[:, None]
    shift = torch.where(stray[:, None], away, shift)
    moved = _move(batch, angle, scale, shift)
    moved = _mirror(moved, uniform(0, 1, count) < 0.5)
    scrambled = uniform(0, 1, count) < strays / 2
    images = torch.where(scrambled[:, None, None, None], _scramble(moved.crops, generator), moved.crops)
    images = _light(images, generator)
    images = _occlude(images, generator)
    images = _spoil(images, generator)
    return replace(moved, crops=images.clamp(0, 255), face=batch.face * (~(stray | scrambled)).float())


def _move(batch: Batch, angle: Tensor, scale: Tensor, shift: Tensor) -> Batch:
    """Turn by degrees (clockwise), enlarge, and shift by shares of the face's side."""
    radians = angle * (math.pi / 180)
    cos, sin = radians.cos(), radians.sin()
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    factor = scale / _ZOOM
    centre_in, centre_out = (LABEL_SPEC.size - 1) / 2, (SIZE - 1) / 2
    offset = centre_out + shift * (SIZE / MARGIN)
    axis = torch.arange(SIZE, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(1, -1, 2)
    back = ((grid - offset[:, None]) / factor[:, None, None]) @ turn + centre_in
    # Outer edges of the picture are -1 and 1.
    places = ((back + 0.5) / LABEL_SPEC.size * 2 - 1).view(-1, SIZE, SIZE, 2)
    crops = F.grid_sample(batch.crops, places, "bilinear", "border", align_corners=False)
    flat = (batch.landmarks[..., :2] - centre_in) @ turn.transpose(1, 2) * factor[:, None, None]
    points = torch.cat([flat + offset[:, None], batch.landmarks[..., 2:] * factor[:, None, None]], 2)
    roll = torch.eye(3).repeat(len(angle), 1, 1)
    roll[:, :2, :2] = turn
    return replace(batch, crops=crops, landmarks=points, rotation=roll @ batch.rotation)


def _mirror(batch: Batch, chosen: Tensor) -> Batch:
    points = batch.landmarks[:, list(MIRRORED)].clone()
    points[..., 0] = SIZE - 1 - points[..., 0]
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    other = replace(
        batch,
        crops=batch.crops.flip(-1),
        landmarks=points,
        openness=batch.openness.flip(1),
        gaze=batch.gaze.flip(1) * torch.tensor([-1.0, 1.0]),
        rotation=flip @ batch.rotation @ flip,
    )

    def pick(mine: Tensor, theirs: Tensor) -> Tensor:
        return torch.where(chosen.view(-1, *[1] * (mine.ndim - 1)), theirs, mine)

    names = ("crops", "landmarks", "openness", "gaze", "rotation")
    return replace(batch, **{name: pick(getattr(batch, name), getattr(other, name)) for name in names})


def _scramble(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sixteen tiles in another order: skin and eyes, but no face."""
    side = images.shape[-1] // 4
    tiles = images.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)
    tiles = tiles[:, :, torch.randperm(16, generator=generator)]
    rows = tiles.unflatten(2, (4, 4)).permute(0, 1, 2, 4, 3, 5)
    return rows.reshape(images.shape)


def _light(images: Tensor, generator: torch.Generator) -> Tensor:
    count = len(images)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(count, *shape).uniform_(low, high, generator=generator)

    gamma = torch.exp(draw(-0.5, 0.5, 1, 1, 1))
    gain = draw(0.65, 1.25, 1, 1, 1) * (1 + draw(-0.12, 0.12, 3, 1, 1))
    lit = 255 * (images.clamp(0, 255) / 255).pow(gamma) * gain + draw(-15, 25, 1, 1, 1)
    grey = lit.mean(1, keepdim=True).expand_as(lit)
    return torch.where(draw(0, 1, 1, 1, 1) < 0.12, grey, lit)


def _occlude(images: Tensor, generator: torch.Generator) -> Tensor:
    """A hand, a microphone, a caption: rectangles of another face's crop or of one color."""
    out = images.clone()
    size = images.shape[-1]
    for i in torch.nonzero(torch.rand(len(images), generator=generator) < 0.15)[:, 0].tolist():
        h, w, y, x, plain = torch.rand(5, generator=generator).tolist()
        high, wide = int(size * (0.1 + 0.3 * h)), int(size * (0.1 + 0.3 * w))
        top, left = int((size - high) * y), int((size - wide) * x)
        patch = images[i - 1, :, :high, :wide]
        out[i, :, top : top + high, left : left + wide] = patch.mean() if plain < 0.4 else patch
    return out


def _spoil(images: Tensor, generator: torch.Generator) -> Tensor:
    """Low resolution, blur, noise and JPEG's quantization, each for a share of the batch."""
    out = images.clamp(0, 255)
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    size = images.shape[-1]
    # A handful of groups, each at one resolution: batched, and still varied from step to step.
    for rows in np.array_split(rng.permutation(len(out)), 6):
        kind = rng.random()
        picked = torch.from_numpy(rows)
        if kind < 0.5 and len(rows):
            small = int(np.exp(rng.uniform(np.log(26), np.log(size))))
            low = F.interpolate(out[picked], size=(small, small), mode="area")
            out[picked] = F.interpolate(low, size=(size, size), mode="bicubic", align_corners=False)
    noisy = torch.from_numpy(rng.random(len(out)) < 0.3)
    sigma = torch.from_numpy(rng.uniform(0, 10, (int(noisy.sum()), 1, 1, 1))).float()
    out[noisy] = out[noisy] + torch.randn(out[noisy].shape, generator=generator) * sigma
    coded = torch.from_numpy(rng.random(len(out)) < 0.4)
    if coded.any():
        quality = torch.from_numpy(rng.integers(12, 90, int(coded.sum())))
        out[coded] = dct_jpeg(out[coded].clamp(0, 255), quality)
    return out

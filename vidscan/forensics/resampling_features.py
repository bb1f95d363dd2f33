"""Resampled regions: patches that were enlarged, reduced, turned or sheared, and whose neighbors were not.

Bunk et al., *Detection and Localization of Image Forgeries using Resampling Features and Deep Learning*
(CVPR Workshops 2017), after Popescu & Farid, *Exposing Digital Forgeries by Detecting Traces of Resampling*
(TSP 2005): interpolated pixels are predicted by their neighbors at a period that the factor decides. The
Laplacian shows how well, the Radon transform adds up what runs in one direction, and the Fourier transform
turns the period into peaks. Six two-layer classifiers read them, each for one characteristic.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vidscan.forensics.networks import ConstrainedConv2d

PATCH = 64
"""Side of a patch in pixels."""
CHARACTERISTICS = (
    "coarse JPEG",
    "enlarged",
    "reduced",
    "turned clockwise",
    "turned the other way",
    "sheared",
)
"""What the classifiers tell, in the order of their outputs; coarse JPEG is below quality 85."""
ANGLES = 12
"""Directions of the Radon transform, over half a turn."""
_FREQUENCIES = PATCH // 2
FEATURES = ANGLES * _FREQUENCIES
_BATCH = 128


def features(patches: NDArray[np.floating] | Tensor) -> NDArray[np.float32]:
    """(N, 384) log magnitudes of the spectra of the projections, of (N, 64, 64) luminance patches 0..255."""
    stacked = torch.as_tensor(patches, dtype=torch.float32)
    return torch.cat([_features(part) for part in stacked.split(_BATCH)]).numpy()


def _features(patches: Tensor) -> Tensor:
    kernel = patches.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    error = functional.conv2d(patches[:, None], kernel, padding=1)[:, 0].abs()
    error[:, [0, -1]] = 0
    error[..., [0, -1]] = 0
    # Edges are no trace, and would drown it.
    error = error.clamp(max=32.0)
    projected = radon(error)
    projected = projected - projected.mean(2, keepdim=True)
    window = torch.hann_window(PATCH, periodic=False)
    magnitude = torch.fft.rfft(projected * window).abs()[..., 1:]
    level = magnitude.mean(2, keepdim=True).clamp_min(1e-3)
    return torch.log(magnitude / level + 1e-2).flatten(1)


def radon(pictures: Tensor) -> Tensor:
    """(N, 12, S) Radon transforms of (N, S, S) pictures, the disc inside alone, at angles as scikit-image's.

    Of hundreds of patches at once, which :func:`skimage.transform.radon` would take one by one.
    """
    side = pictures.shape[-1]
    grids, disc = _directions(side)
    flat = (pictures * disc)[None].expand(ANGLES, -1, -1, -1)
    turned = functional.grid_sample(
        flat, grids, mode="bilinear", padding_mode="zeros", align_corners=False
    )  # (angle, N, S, S)
    return turned.sum(2).transpose(0, 1)


@lru_cache(maxsize=2)
def _directions(side: int) -> tuple[Tensor, Tensor]:
    """Sampling grids (12, side, side, 2) that turn a picture, and the disc (side, side) that stays inside."""
    angles = torch.arange(ANGLES) * (torch.pi / ANGLES)
    middle = side // 2  # scikit-image turns about the pixel right of the middle
    offsets = torch.arange(side, dtype=torch.float32) - middle
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    grid = torch.stack([cosine * x + sine * y, cosine * y - sine * x], 3) + middle
    return (grid + 0.5) * (2 / side) - 1, (x.square() + y.square() <= middle**2).float()


class TwoLayers(nn.Module):
    """Independent two-layer classifiers of the same features: (N, inputs) to (N, outputs) log-odds."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 24) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(outputs, inputs, hidden) * (2 / inputs) ** 0.5)
        self.shift = nn.Parameter(torch.zeros(outputs, 1, hidden))
        self.out = nn.Parameter(torch.randn(outputs, hidden, 1) * (1 / hidden) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return (functional.relu(x @ self.hidden + self.shift) @ self.out)[..., 0].T + self.bias


class ResamplingHeads(nn.Module):
    """The six classifiers on :func:`features`: (N, 384) to (N, 6) log-odds of :data:`CHARACTERISTICS`."""

    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        self.heads = TwoLayers(FEATURES, len(CHARACTERISTICS))

    def forward(self, x: Tensor) -> Tensor:
        return self.heads((x - self.centre) / self.scale)


class LearnedResampling(nn.Module):
    """The same with learned features: (N, 64, 64) luminance 0..255 to (N, 6) log-odds.

    Constrained filters in place of the Laplacian, three convolutions in place of what follows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.residual = ConstrainedConv2d(1, 4, 5, bias=False)
        layers: list[nn.Module] = []
        for inputs, outputs in ((4, 16), (16, 24), (24, 32)):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers)
        self.heads = TwoLayers(64, len(CHARACTERISTICS))

    def forward(self, patches: Tensor) -> Tensor:
        maps = self.body(self.residual(patches[:, None])).flatten(2)
        return self.heads(torch.cat([maps.mean(2), maps.std(2)], 1))


def patch_grid(shape: tuple[int, int], limit: int = 900) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns where patches begin, as dense as ``limit`` patches of (H, W) allow; may be empty."""
    height, width = shape
    if min(height, width) < PATCH:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    step = max(8, int(np.ceil(np.sqrt((height - PATCH + 1) * (width - PATCH + 1) / limit))))
    return np.arange(0, height - PATCH + 1, step), np.arange(0, width - PATCH + 1, step)


def cut(picture: NDArray[np.float32], rows: Sequence[int], columns: Sequence[int]) -> NDArray[np.float32]:
    """(len(rows) * len(columns), 64, 64) patches of a luminance picture (H, W), row by row."""
    return np.stack([picture[y : y + PATCH, x : x + PATCH] for y in rows for x in columns])

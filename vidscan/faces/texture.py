"""How strong the picture's structure is in the face and around it, band by band, frame after frame.

A face that was made frame by frame, or pasted in, does not breathe with its surroundings: encoder,
focus and light change both alike, a generator changes its own part alone.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidscan.color import BLUE_DIFFERENCE, LUMINANCE

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = ("luminance", "blue")
"""Luminance, and the blue color difference of BT.601, in which a swapped face differs most."""
SCALES = (0.5, 1.0, 2.0, 4.0)
"""Standard deviations in crop pixels (a face is about 77 px wide); neighbors bound the bands."""
BANDS = len(SCALES) - 1
SHAPE = (len(CHANNELS), BANDS, 2)

_INNER = 0.62
_RING = (0.95, 1.30)
_TALLER = 1.15
_FLOOR = 0.02


def band_levels(crops: Tensor, face_side: float) -> NDArray[np.float32]:
    """Natural logarithm of the mean absolute band-pass value, inside the face and in a ring about it.

    Parameters
    ----------
    crops
        (N, 3, S, S) aligned RGB crops, 0..255, on any device.
    face_side
        Side of the face in crop pixels (:class:`vidscan.faces.geometry.CropSpec`: size / margin).

    Returns
    -------
    (N, 2, 3, 2) channel (:data:`CHANNELS`), band from fine to coarse, and face or ring.
    """
    import torch

    weights = torch.tensor((LUMINANCE, BLUE_DIFFERENCE), dtype=torch.float32, device=crops.device)
    planes = torch.einsum("kc,nchw->nkhw", weights, crops.float())
    smooth = [_blur(planes, sigma) for sigma in SCALES]
    bands = torch.stack([a - b for a, b in itertools.pairwise(smooth)], 2).abs()
    regions = _regions(crops.shape[-1], face_side).to(crops.device)
    levels = torch.einsum("nkbhw,rhw->nkbr", bands, regions)
    return (levels + _FLOOR).log().cpu().numpy()


def _regions(size: int, face_side: float) -> Tensor:
    """(2, S, S) weights that average over the face and over the ring, each of sum 1."""
    import torch

    axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    radius = torch.hypot(axis[:, None] / _TALLER, axis[None, :]) / (face_side / 2)
    masks = torch.stack([radius < _INNER, (radius > _RING[0]) & (radius < _RING[1])]).float()
    return masks / masks.sum((1, 2), keepdim=True)


@lru_cache(maxsize=16)
def _blur_matrix(size: int, sigma: float) -> Tensor:
    """(S, S) matrix that blurs a row of S pixels by a Gaussian, mirrored at the border.

    Two products with it are faster than any convolution torch has for single channels.
    """
    import torch

    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for offset, weight in zip(offsets.long().tolist(), kernel.tolist(), strict=True):
        for row in range(size):
            column = abs(row + offset)
            matrix[row, column if column < size else 2 * (size - 1) - column] += weight
    return matrix.float()


def _blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, K, S, S)."""
    matrix = _blur_matrix(planes.shape[-1], sigma).to(planes.device)
    return matrix @ planes @ matrix.T

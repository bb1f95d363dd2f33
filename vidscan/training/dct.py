"""JPEG's loss without its bit stream: batched, on any device.

Blocks of 8 x 8 are transformed (DCT-II), quantized with the standard's tables scaled by quality as
libjpeg scales them, and transformed back; chroma has half the resolution (4:2:0). What entropy coding
does is lossless and left out. (ITU-T T.81, annex K.)
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vidscan.color import BLUE_DIFFERENCE, LUMINANCE, RED_DIFFERENCE

BLOCK = 8
_QUALITY = (30, 100)
"""Drawn by :func:`some_through_jpeg`."""

# fmt: off
_LUMINANCE_STEPS = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMA_STEPS = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)
# fmt: on
_TO_YCC = (LUMINANCE, BLUE_DIFFERENCE, RED_DIFFERENCE)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def dct_matrix(device: torch.device) -> Tensor:
    """(8, 8) orthonormal DCT-II: row u is the cosine of frequency u."""
    u = torch.arange(BLOCK, device=device, dtype=torch.float32)
    matrix = torch.cos((2 * u[None] + 1) * u[:, None] * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    matrix[0] /= math.sqrt(2)
    return matrix


def block_dct(planes: Tensor) -> Tensor:
    """(N, H, W) planes, sides multiples of 8, to (N, H/8, W/8, 8, 8) DCT coefficients of their blocks."""
    blocks = planes.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
    matrix = dct_matrix(planes.device)
    return matrix @ blocks @ matrix.T


def _from_blocks(coefficients: Tensor) -> Tensor:
    matrix = dct_matrix(coefficients.device)
    blocks = matrix.T @ coefficients @ matrix
    n, rows, columns = blocks.shape[:3]
    return blocks.transpose(2, 3).reshape(n, rows * BLOCK, columns * BLOCK)


def _steps(table: tuple[int, ...], quality: Tensor) -> Tensor:
    """(N, 1, 1, 8, 8) quantization steps of ``quality`` (N,) 1..100."""
    percent = torch.where(quality < 50, torch.floor(5000 / quality), 200 - 2 * quality)
    base = torch.tensor(table, device=quality.device, dtype=torch.float32).view(1, 1, 1, BLOCK, BLOCK)
    return torch.floor((base * percent.view(-1, 1, 1, 1, 1) + 50) / 100).clamp(1, 255)


def _quantise(planes: Tensor, table: tuple[int, ...], quality: Tensor) -> Tensor:
    steps = _steps(table, quality)
    return (_from_blocks(torch.round(block_dct(planes - 128) / steps) * steps) + 128).round().clamp(0, 255)


@torch.no_grad()
def dct_jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """RGB pictures as 4:2:0 JPEG would give them back.

    Parameters
    ----------
    images
        (N, 3, H, W) float, 0..255, of any size.
    quality
        (N,) JPEG quality of each, 1..100.

    Returns
    -------
    Tensor
        (N, 3, H, W) float of whole gray levels, 0..255.
    """
    height, width = images.shape[-2:]
    edge = 2 * BLOCK
    padded = F.pad(images.round(), (0, -width % edge, 0, -height % edge), mode="replicate")
    quality = quality.to(images.device, torch.float32)
    ycc = torch.einsum("ij,njhw->nihw", torch.tensor(_TO_YCC, device=images.device), padded)
    ycc[:, 1:] += 128
    luminance = _quantise(ycc[:, 0].round(), _LUMINANCE_STEPS, quality)
    small = F.avg_pool2d(ycc[:, 1:].round(), 2).round()
    planes = [_quantise(small[:, i], _CHROMA_STEPS, quality) for i in range(2)]
    # libjpeg's "fancy" up-sampling is this triangle filter.
    chroma = F.interpolate(torch.stack(planes, 1), scale_factor=2, mode="bilinear", align_corners=False)
    decoded = torch.cat([luminance[:, None], chroma - 128], 1)
    rgb = torch.einsum("ij,njhw->nihw", torch.tensor(_TO_RGB, device=images.device), decoded)
    return rgb[..., :height, :width].round().clamp(0, 255)


def some_through_jpeg(crops: Tensor, rng: np.random.Generator, chance: float) -> Tensor:
    """:func:`dct_jpeg` for each pair with a ``chance``, both crops of a pair by one draw.

    ``crops`` (2 * pairs, 3, H, W) float 0..255, crop i + pairs the forged twin of crop i, is left alone.
    """
    if chance <= 0:
        return crops
    pairs = len(crops) // 2
    chosen = np.tile(rng.random(pairs) < chance, 2)
    quality = np.tile(rng.integers(_QUALITY[0], _QUALITY[1] + 1, pairs), 2)
    rows = torch.from_numpy(np.flatnonzero(chosen)).to(crops.device)
    if not len(rows):
        return crops
    return crops.index_copy(0, rows, dct_jpeg(crops[rows], torch.from_numpy(quality[chosen])))

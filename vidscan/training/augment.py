"""What a training step does to a batch of pairs, both crops of a pair by one draw.

Wang et al., *CNN-generated images are surprisingly easy to spot... for now* (CVPR 2020), found that blur
and JPEG, each with a small chance, are what lets a ResNet-50 transfer between generators.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidscan.training.dct import dct_jpeg
from vidscan.training.degrade import blur, draw_coder, jpeg

_SIGMA = 3.0
_QUALITY = (30, 100)


def augment(
    crops: Tensor, rng: np.random.Generator, *, blur_jpeg: float, dct: float, device: str = "cpu"
) -> Tensor:
    """Blur and JPEG a batch of pairs.

    Parameters
    ----------
    crops
        (2 * pairs, 3, H, W) float 0..255, on the CPU; crop i + pairs is the forged twin of crop i.
    blur_jpeg
        Chance that a pair is blurred (sigma 0 to 3 pixels), and chance that it is put through a real
        JPEG coder (quality 30 to 100, OpenCV or Pillow).
    dct
        Chance that a pair gets JPEG's quantization (:func:`vidscan.training.dct.dct_jpeg`), on ``device``.

    Returns
    -------
    Tensor
        The batch on ``device``; the one given is left alone.
    """
    pairs = len(crops) // 2
    if blur_jpeg > 0:
        crops = crops.clone()
        for i in range(pairs):
            _blur_jpeg_pair(crops[i::pairs], rng, blur_jpeg)
    crops = crops.to(device)
    if dct > 0:
        chosen = np.tile(rng.random(pairs) < dct, 2)
        quality = np.tile(rng.integers(_QUALITY[0], _QUALITY[1] + 1, pairs), 2)
        rows = torch.from_numpy(np.flatnonzero(chosen)).to(device)
        if len(rows):
            crops = crops.index_copy(0, rows, dct_jpeg(crops[rows], torch.from_numpy(quality[chosen])))
    return crops


def _blur_jpeg_pair(pair: Tensor, rng: np.random.Generator, chance: float) -> None:
    """Treat the (2, 3, H, W) crops of one pair alike, in place."""
    blurred, coded = rng.random(2) < chance
    sigma = rng.uniform(0, _SIGMA)
    quality = int(rng.integers(_QUALITY[0], _QUALITY[1] + 1))
    coder = draw_coder(rng)
    if not (blurred or coded):
        return
    for crop in pair:
        picture = crop.permute(1, 2, 0).numpy()
        if blurred:
            picture = blur(picture, sigma)
        if coded:
            picture = jpeg(np.clip(picture, 0, 255).round().astype(np.uint8), quality, coder)
        crop.copy_(torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1))

"""Does fine-detail energy alone tell forged crops from genuine ones? It must not.

A forgery that always blurs or always roughens teaches a network to look for blur, and real generators
do neither reliably. An area under the curve near one half says that this short cut is closed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.color import luminance
from vidscan.training.dct import BLOCK, block_dct
from vidscan.training.transfer import auc


@torch.no_grad()
def high_band_energy(crops: Tensor) -> NDArray[np.float32]:
    """(N,) natural logarithm of the mean energy of the upper DCT bands.

    ``crops`` (N, 3, H, W) RGB 0..255. Of each 8 x 8 block of the luminance the coefficients count whose
    two frequencies add up to 8 or more; sides that are no multiple of 8 are cut. One squared gray level
    is added, below which energy is rounding.
    """
    height, width = (side - side % BLOCK for side in crops.shape[-2:])
    grey = luminance(crops[..., :height, :width].float())[:, 0]
    order = torch.arange(BLOCK, device=crops.device)
    high = order[:, None] + order[None] >= BLOCK
    energy = block_dct(grey).square().mean((1, 2))[:, high].mean(1)
    return torch.log(energy + 1).cpu().numpy()


def energy_auc(genuine: NDArray[np.floating], forged: NDArray[np.floating]) -> float:
    """Area under the ROC curve of "more energy, so forged"; .5 tells nothing."""
    return auc(genuine, forged.tolist())

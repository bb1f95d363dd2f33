"""Does fine-detail energy alone tell forged crops from genuine ones? It must not.

A forgery that always blurs or always roughens teaches a network to look for blur, and real generators
do neither reliably. An area under the curve near one half says that this short cut is closed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.color import luminance
from vidscan.spread import evenly
from vidscan.training.dct import BLOCK, block_dct
from vidscan.training.transfer import auc


@torch.no_grad()
def high_band_energy(crops: Tensor) -> NDArray[np.float32]:
    """(N,) natural logarithm of the mean energy of the upper DCT bands.

    ``crops`` (N, 3, H, W) RGB 0..255. Of each 8 x 8 block of the luminance the coefficients count whose
    two frequencies add up to 8 or more; sides that are no multiple of 8 are cut. One squared grey level
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


def shards_energy_auc(folder: Path, pairs: int = 4000) -> dict[str, float]:
    """:func:`energy_auc` of about ``pairs`` pairs of a folder of shards, by kind of forgery and over ``all``.

    Every shard gives the same number of pairs, evenly spread over it.

    Raises
    ------
    ValueError
        Where the folder has no finished shard.
    """
    found = sorted(folder.glob("*.json"))
    if not found:
        raise ValueError(f"no finished pair shard in {folder}")
    sides: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for done in found:
        kinds = json.loads(done.read_text(encoding="utf-8"))["kinds"]
        kind = np.load(done.with_name(f"{done.stem}.kind.npy"))
        rows = evenly(len(kind), -(-pairs // len(found)))
        energies = []
        for side in ("genuine", "forged"):
            crops = np.load(done.with_name(f"{done.stem}.{side}.npy"), mmap_mode="r")[rows]
            energies.append(high_band_energy(torch.from_numpy(crops).permute(0, 3, 1, 2).float()))
        for row, *pair in zip(rows, *energies, strict=True):
            sides[kinds[kind[row]]].append(np.array(pair))
            sides["all"].append(np.array(pair))
    return {name: energy_auc(*np.stack(values, 1)) for name, values in sorted(sides.items())}

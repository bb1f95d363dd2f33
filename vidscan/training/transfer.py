"""How well a network in training does on generators it never saw: the curve that counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from vidscan.faces.geometry import CropSpec
from vidscan.patches.classifier import normalise
from vidscan.patches.networks import PatchNetwork
from vidscan.training.corpus import Entry
from vidscan.training.store import STORE_SPEC, Store


def network_crops(store: Store, rows: list[int], spec: CropSpec) -> torch.Tensor:
    """(n, 3, S, S) float32 crops of ``spec`` cut out of a store's wider ones."""
    view = STORE_SPEC.size * spec.margin / STORE_SPEC.margin
    scale = spec.size / view
    centre, middle = (STORE_SPEC.size - 1) / 2, (spec.size - 1) / 2
    matrix = np.array([[scale, 0, middle - scale * centre], [0, scale, middle - scale * centre]])
    crops = [
        cv2.warpAffine(
            np.ascontiguousarray(store.crops[i]), matrix, (spec.size, spec.size), flags=cv2.INTER_CUBIC
        )
        for i in rows
    ]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()


@torch.no_grad()
def patch_logits(
    network: PatchNetwork, store: Store, spec: CropSpec, mean: list[float], std: list[float], rows: list[int]
) -> NDArray[np.float32]:
    """(n, h, w) patch log-odds of the store's ``rows``."""
    network.eval()
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(rows), 32):
        crops = network_crops(store, rows[start : start + 32], spec).to(device)
        parts.append(network(normalise(crops, mean, std))[:, 0].float().cpu().numpy())
    return np.concatenate(parts)


def clip_scores(store: Store, rows: list[int], scores: NDArray[np.floating]) -> dict[str, float]:
    """Mean of the upper half of each file's crop scores."""
    by_file: dict[str, list[float]] = defaultdict(list)
    for row, score in zip(rows, scores, strict=True):
        by_file[store.rows[row].file].append(float(score))
    return {file: float(np.mean(sorted(s)[len(s) // 2 :])) for file, s in by_file.items()}


def transfer_table(entries: list[Entry], scores: dict[str, float]) -> dict[str, float]:
    """AUC by family, over methods, and on same-footage pairs, of clip scores by file.

    Methods with fewer than three clips are pooled per family.
    """
    known = [e for e in entries if e.file in scores]
    genuine = np.array([scores[e.file] for e in known if e.genuine])
    groups: dict[str, list[float]] = defaultdict(list)
    families: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for e in known:
        sizes[e.method] += 1
    for e in known:
        if not e.genuine:
            name = e.method if sizes[e.method] >= 3 else f"{e.family} (pooled)"
            groups[name].append(scores[e.file])
            families[e.family].append(scores[e.file])
    table = {f"method {name}": auc(genuine, values) for name, values in sorted(groups.items())}
    means = {f"family {name}": auc(genuine, values) for name, values in sorted(families.items())}
    pairs = [e for e in known if e.pairing == "same_footage" and e.pair in scores]
    if pairs:
        fakes = [scores[e.file] for e in pairs]
        originals = sorted({e.pair for e in pairs})
        means["same footage"] = auc(np.array([scores[f] for f in originals]), fakes)
        means["same footage, ranked"] = float(np.mean([scores[e.file] > scores[e.pair] for e in pairs]))
    means["mean over methods"] = float(np.mean(list(table.values())))
    means["all"] = auc(genuine, [s for v in groups.values() for s in v])
    return means | table


def auc(genuine: NDArray[np.floating], forged: Sequence[float] | NDArray[np.floating]) -> float:
    """Area under the ROC curve of forged against genuine scores."""
    labels = np.r_[np.zeros(len(genuine)), np.ones(len(forged))]
    return float(roc_auc_score(labels, np.r_[genuine, forged]))

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
from vidscan.training.corpus import Entry, by_method, same_footage
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
    """AUC of clip scores by file: by family, by method (:func:`by_method`) and over methods, and on
    same-footage pairs."""
    known = [e for e in entries if e.file in scores]
    genuine = np.array([scores[e.file] for e in known if e.genuine])
    forged = [e for e in known if not e.genuine]

    def area(some: Sequence[Entry], against: NDArray[np.float64] = genuine) -> float:
        return auc(against, [scores[e.file] for e in some])

    table = {f"method {name}": area(own) for name, own in sorted(by_method(forged).items())}
    families = sorted({e.family for e in forged})
    means = {f"family {name}": area([e for e in forged if e.family == name]) for name in families}
    originals, pairs = same_footage(known)
    if pairs:
        means["same footage"] = area(pairs, np.array([scores[e.file] for e in originals]))
        means["same footage, ranked"] = float(np.mean([scores[e.file] > scores[e.pair] for e in pairs]))
    means["mean over methods"] = float(np.mean(list(table.values())))
    means["all"] = area(forged)
    return means | table


def auc(genuine: NDArray[np.floating], forged: Sequence[float] | NDArray[np.floating]) -> float:
    """Area under the ROC curve of forged against genuine scores."""
    labels = np.r_[np.zeros(len(genuine)), np.ones(len(forged))]
    return float(roc_auc_score(labels, np.r_[genuine, forged]))

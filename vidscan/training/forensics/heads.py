"""The classifiers of windows: learned with every source left out once, then with all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vidscan.errors import SetupError
from vidscan.forensics.learned import FEATURES, NEURONS, network_log_odds
from vidscan.forensics.networks import NETWORKS
from vidscan.forensics.neurons import Neurons
from vidscan.forge.autogan import simulate
from vidscan.models import load_registry
from vidscan.training.forensics.windows import Window
from vidscan.training.linear_head import Standardised, crop_weights
from vidscan.training.sources import FOLDS

SIMULATED = "upsampling"
"""Learns from genuine windows and their simulated twins alone: every generator is new to it."""
_CROP = 64
_QUANTILES = 41


@dataclass(frozen=True, slots=True)
class HeadsRecipe:
    """Everything that decides the classifiers.

    Attributes
    ----------
    strength
        Inverse of the linear heads' penalty (scikit-learn's C).
    power
        A source and method counts like the number of its windows to the power 1 - ``power``.
    passes, rate, batch
        Of the networks' training, on random crops of 64 pixels.
    seed
        Of every draw.
    """

    strength: float = 0.01
    power: float = 0.5
    passes: int = 2
    rate: float = 2e-3
    batch: int = 32
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Learnt:
    """One classifier.

    Attributes
    ----------
    tensors
        As :class:`vidscan.forensics.learned.WindowClassifiers` reads them.
    left_out
        Log-odds by file, the mean over its windows, of classifiers that never saw the file's source.
    """

    tensors: dict[str, Tensor]
    left_out: dict[str, float]


def learn(name: str, windows: Sequence[Window], recipe: HeadsRecipe) -> Learnt:
    """Learn the classifier ``name`` of :mod:`vidscan.forensics.learned`.

    Raises SetupError where a part of the windows leaves a side without any.
    """
    forged = np.array([not w.entry.genuine for w in windows])
    parts = np.array([w.part for w in windows])
    if name in NETWORKS:
        return _learn_network(name, windows, forged, parts, recipe)
    extra: dict[str, Tensor] = {}
    if name == NEURONS:
        neurons = Neurons(load_registry().get("landmarks"))
        crops = np.stack([w.aligned for w in windows])
        # Thresholds are no labels: they are those of all genuine faces throughout.
        neurons.learn(crops[~forged])
        assert neurons.thresholds is not None
        extra["threshold"] = neurons.thresholds
        found = neurons.features(crops)
    else:
        found = FEATURES[name](np.stack([w.face for w in windows]))
    points, labels, owner = found, forged, np.arange(len(windows))
    if name == SIMULATED:
        genuine = np.flatnonzero(~forged)
        twins = FEATURES[name](_simulated([windows[int(i)] for i in genuine], recipe.seed))
        points = np.concatenate([found[genuine], twins])
        labels = np.repeat([False, True], len(genuine))
        owner = np.tile(genuine, 2)
    weights = _weights([windows[int(i)] for i in owner], labels, recipe.power)
    standardised = Standardised.of(points.astype(np.float32))
    scores = np.zeros(len(windows))
    for part in range(FOLDS):
        rows = np.flatnonzero(parts[owner] != part)
        weight, bias = standardised.fit(rows, labels[rows], weights[rows], recipe.strength)
        own = parts == part
        scores[own] = found[own].astype(np.float64) @ weight + bias
    weight, bias = standardised.fit(np.arange(len(labels)), labels, weights, recipe.strength)
    tensors = {"weight": torch.from_numpy(weight), "bias": torch.tensor(float(bias)), **extra}
    return Learnt(tensors, by_file(windows, scores))


def by_file(windows: Sequence[Window], scores: NDArray[np.floating]) -> dict[str, float]:
    """Mean score of every file's windows."""
    found: dict[str, list[float]] = defaultdict(list)
    for window, score in zip(windows, scores, strict=True):
        found[window.entry.file].append(float(score))
    return {file: float(np.mean(own)) for file, own in found.items()}


def genuine_levels(learnt: Learnt, windows: Sequence[Window]) -> list[float]:
    """Quantiles of what genuine files got from classifiers that never saw their source."""
    files = {w.entry.file for w in windows if w.entry.genuine}
    return [
        float(v)
        for v in np.quantile([learnt.left_out[f] for f in sorted(files)], np.linspace(0, 1, _QUANTILES))
    ]


def _simulated(windows: Sequence[Window], seed: int) -> NDArray[np.uint8]:
    """Simulated twins of windows, kernels drawn anew for every one."""
    generator = torch.Generator().manual_seed(seed)
    twins = []
    for window in windows:
        picture = torch.from_numpy(np.ascontiguousarray(window.face)).permute(2, 0, 1)[None].float()
        twins.append(simulate(picture, generator)[0].round().to(torch.uint8).permute(1, 2, 0).numpy())
    return np.stack(twins)


def _weights(windows: Sequence[Window], forged: NDArray[np.bool_], power: float) -> NDArray[np.float64]:
    """(n,) weights: film and stills for themselves, genuine and forged alike in each."""
    film = np.array([w.entry.kind == "video" for w in windows])
    weights = np.zeros(len(windows))
    for rows in (np.flatnonzero(film), np.flatnonzero(~film)):
        if forged[rows].all() or not forged[rows].any():
            continue
        groups = [(windows[int(i)].entry.repo, windows[int(i)].entry.method) for i in rows]
        weights[rows] = crop_weights(groups, forged[rows], power)
    if not weights.any():
        raise SetupError("genuine and forged faces are needed, on film or as stills")
    return weights


def _learn_network(
    name: str,
    windows: Sequence[Window],
    forged: NDArray[np.bool_],
    parts: NDArray[np.int64],
    recipe: HeadsRecipe,
) -> Learnt:
    pictures = np.stack([w.face for w in windows])
    weights = _weights(windows, forged, recipe.power)
    scores = np.zeros(len(windows))
    # Networks take longer than linear heads: two halves of the sources, not five parts.
    halves = parts % 2
    for half in (0, 1):
        rows = np.flatnonzero(halves != half)
        network = train_network(NETWORKS[name], pictures[rows], forged[rows], weights[rows], recipe)
        own = np.flatnonzero(halves == half)
        if len(own):
            scores[own] = network_log_odds(network, pictures[own])
    network = train_network(NETWORKS[name], pictures, forged, weights, recipe)
    return Learnt(dict(network.state_dict()), by_file(windows, scores))


def train_network(
    make: Callable[[], nn.Module],
    pictures: NDArray[np.uint8],
    forged: NDArray[np.bool_],
    weights: NDArray[np.float64],
    recipe: HeadsRecipe,
) -> nn.Module:
    """Train on random crops of (N, S, S, 3) ``pictures``, drawn as their ``weights`` (N,) say."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network = make().train()
    steps = max(1, recipe.passes * len(pictures) // recipe.batch)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps + 1)
    room = pictures.shape[1] - _CROP
    for _ in range(steps):
        rows = rng.choice(len(pictures), recipe.batch, p=weights / weights.sum())
        ys, xs = rng.integers(0, room + 1, (2, recipe.batch))
        crops = np.stack(
            [pictures[i, y : y + _CROP, x : x + _CROP] for i, y, x in zip(rows, ys, xs, strict=True)]
        )
        if rng.random() < 0.5:
            crops = crops[:, :, ::-1]
        batch = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float()
        loss = functional.binary_cross_entropy_with_logits(
            network(batch), torch.from_numpy(forged[rows]).float()
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval()

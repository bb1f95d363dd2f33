"""Adapting one of the encoder's heads to a new generator from a handful of its fakes, forgetting nothing.

What the head learned stays as it is; a correction is added that lives in few directions, and is learned from
the new fakes beside a memory of what the head learned from. So a handful of examples cannot bend it anywhere,
and what other generators and genuine people get is held in place. The task is that of Cozzolino et al.,
*ForensicTransfer: Weakly-supervised Domain Adaptation for Forgery Detection* (arXiv 1812.02510).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vidscan.models import ModelRecord
from vidscan.spread import in_turns
from vidscan.training.linear_head import LinearHeads

KIND = "encoder_memory"
"""Of the registry record that holds a :class:`Memory`."""
HEAD = 0
"""The head that is corrected: the one that learns most from published generators."""
KEPT = 0.95
"""What this share of the memory's genuine crops stay below does not move; nor does the median."""
_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class LinearHead:
    """``weight`` (d,) float32 and ``bias``: what one head says of raw descriptions."""

    weight: NDArray[np.float32]
    bias: float

    @classmethod
    def of(cls, heads: LinearHeads, number: int = HEAD) -> LinearHead:
        """One of several heads."""
        return cls(heads.weight[number], float(heads.bias[number]))

    def log_odds(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) of ``features`` (n, d), in the head's own unit."""
        return np.asarray(features, np.float64) @ self.weight.astype(np.float64) + self.bias


@dataclass(frozen=True, slots=True)
class AdaptRecipe:
    """Everything that decides an adaptation.

    Attributes
    ----------
    strength
        Inverse of the penalty on the correction (scikit-learn's C), for a total weight of 1.
    share
        Weight of the new fakes, of 1.
    """

    strength: float = 3.0
    share: float = 0.4


@dataclass(frozen=True, slots=True)
class Memory:
    """What a head learned from, in few numbers; no picture can be made of it.

    Attributes
    ----------
    centre
        (d,) mean description.
    basis
        (d, k) directions, each scaled so that the memory's coordinates have deviation 1.
    points
        (n, k) coordinates of crops.
    log_odds
        (n,) what the head says of them.
    forged
        (n,) bool.
    weights
        (n,) sum to 1; genuine and forged crops weigh alike.
    parts
        (n,) int64; crops of different parts share no source.
    """

    centre: NDArray[np.float32]
    basis: NDArray[np.float32]
    points: NDArray[np.float32]
    log_odds: NDArray[np.float64]
    forged: NDArray[np.bool_]
    weights: NDArray[np.float64]
    parts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        features: NDArray[np.floating],
        forged: NDArray[np.bool_],
        weights: NDArray[np.float64],
        parts: NDArray[np.int64],
        head: LinearHead,
        directions: int,
        seed: int = 0,
    ) -> Memory:
        """Of crops' descriptions ``features`` (n, d): their ``directions`` principal ones (at most n)."""
        points = np.asarray(features, np.float32)
        centre = points.mean(0)
        torch.manual_seed(seed)
        _, size, found = torch.pca_lowrank(
            torch.from_numpy(points - centre), min(directions, len(points)), False
        )
        deviation = (size / len(points) ** 0.5).clamp_min(1e-6)
        basis = (found / deviation).numpy()
        weights = np.where(forged, weights / weights[forged].sum(), weights / weights[~forged].sum()) / 2
        coordinates, log_odds = (points - centre) @ basis, head.log_odds(points)
        return cls(centre, basis, coordinates, log_odds, np.asarray(forged), weights, parts)

    def tensors(self) -> dict[str, Tensor]:
        """For a registry: the basis in eight bits a number, one scale a direction."""
        scale = np.abs(self.basis).max(0) / 127
        return {
            "centre": torch.from_numpy(self.centre).half(),
            "basis": torch.from_numpy(np.rint(self.basis / scale).astype(np.int8)),
            "scale": torch.from_numpy(scale),
            "points": torch.from_numpy(self.points).half(),
            "log_odds": torch.from_numpy(self.log_odds).float(),
            "forged": torch.from_numpy(self.forged),
            "weights": torch.from_numpy(self.weights).float(),
            "parts": torch.from_numpy(self.parts),
        }

    @classmethod
    def load(cls, record: ModelRecord) -> Memory:
        """From a registry record of kind :data:`KIND`."""
        t = record.load()
        basis = t["basis"].float() * t["scale"]
        return cls(
            t["centre"].numpy(),
            basis.numpy(),
            t["points"].numpy(),
            t["log_odds"].double().numpy(),
            t["forged"].numpy(),
            t["weights"].double().numpy(),
            t["parts"].numpy(),
        )

    def coordinates(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(m, k) of descriptions (m, d)."""
        return np.asarray((np.asarray(features, np.float32) - self.centre) @ self.basis, np.float32)

    def crops(self, features: NDArray[np.floating], head: LinearHead) -> Crops:
        """What :func:`adapt` takes, of descriptions (m, d)."""
        return head.log_odds(features), self.coordinates(features)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is added to a head: ``scale`` (log-odds + coordinates @ ``weight`` + ``shift``) + ``move``."""

    weight: NDArray[np.float64]
    """(k,)"""
    shift: float
    scale: float
    move: float
    memory_log_odds: NDArray[np.float64]
    """(n,) of the memory's crops, by corrections that did not learn from their sources."""

    def log_odds(self, before: NDArray[np.float64], coordinates: NDArray[np.floating]) -> NDArray[np.float64]:
        """(m,) after the correction, of crops that had ``before`` (m,) and have ``coordinates`` (m, k)."""
        return self.scale * (before + coordinates @ self.weight + self.shift) + self.move

    def head(self, head: LinearHead, memory: Memory) -> LinearHead:
        """The corrected head, of descriptions."""
        wide = memory.basis @ self.weight
        bias = self.scale * (head.bias - float(memory.centre @ wide) + self.shift) + self.move
        return LinearHead((self.scale * (head.weight + wide)).astype(np.float32), float(bias))


Crops = tuple[NDArray[np.float64], NDArray[np.float32]]
"""Log-odds (m,) by the head that is corrected, and coordinates (m, k) in its memory."""


def adapt(memory: Memory, fakes: Crops, recipe: AdaptRecipe, genuine: Crops | None = None) -> Correction:
    """The correction that a head needs to find ``fakes``, crops of a new generator, as well.

    ``genuine`` may hold crops of the same source as the fakes, so that what the source looks like is not
    learned as a trace.

    Raises
    ------
    ValueError
        Where there is no fake.
    """
    if not len(fakes[0]):
        raise ValueError("no fakes to adapt to")
    given = [(fakes, True)]
    if genuine is not None and len(genuine[0]):
        given.append((genuine, False))
    points = np.concatenate([memory.points, *(x for (_, x), _ in given)])
    offset = np.concatenate([memory.log_odds, *(o for (o, _), _ in given)])
    forged = np.concatenate([memory.forged, *(np.full(len(o), is_forged) for (o, _), is_forged in given)])
    share = recipe.share / len(given)
    weights = np.concatenate(
        [memory.weights * (1 - recipe.share), *(np.full(len(o), share / len(o)) for (o, _), _ in given)]
    )
    weight, shift = _fit(points, offset, forged, weights, recipe.strength)
    # What a correction does to crops that it learned from is tamer than what it does to others.
    parts = np.append(memory.parts, np.full(len(points) - len(memory.points), -1))
    unseen = np.zeros(len(memory.points))
    for part in np.unique(memory.parts):
        rows, own = parts != part, memory.parts == part
        other, moved = _fit(points[rows], offset[rows], forged[rows], weights[rows], recipe.strength)
        unseen[own] = memory.log_odds[own] + memory.points[own] @ other + moved
    scale, move = _kept(memory, unseen)
    return Correction(weight, shift, scale, move, scale * unseen + move)


def _fit(
    points: NDArray[np.float32],
    offset: NDArray[np.float64],
    forged: NDArray[np.bool_],
    weights: NDArray[np.float64],
    strength: float,
) -> tuple[NDArray[np.float64], float]:
    """Penalized logistic regression (k,) on top of fixed log-odds ``offset``."""
    x, y = torch.from_numpy(np.asarray(points, np.float64)), torch.from_numpy(forged.astype(np.float64))
    o, w = torch.from_numpy(offset), torch.from_numpy(weights)
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        error = functional.binary_cross_entropy_with_logits(o + x @ weight + bias, y, reduction="none")
        total = (w * error).sum() + weight.square().sum() / (2 * strength)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach().numpy(), float(bias.detach())


def _kept(memory: Memory, changed: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shift that bring the genuine crops' median and :data:`KEPT` quantile back."""
    own = ~memory.forged
    before = _quantiles(memory.log_odds[own], memory.weights[own])
    after = _quantiles(changed[own], memory.weights[own])
    scale = (before[1] - before[0]) / max(after[1] - after[0], 1e-6)
    return scale, before[0] - scale * after[0]


def _quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    low, high = np.interp([0.5, KEPT], reached, values[order])
    return float(low), float(high)


def memory_rows(
    groups: Sequence[tuple[str, str]], forged: NDArray[np.bool_], count: int, seed: int = 0
) -> NDArray[np.int64]:
    """Rows of at most ``count`` crops, half of them genuine, groups (source and method) taking turns."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for side in (False, True):
        drawn = rng.permutation(np.flatnonzero(forged == side)).tolist()
        chosen += in_turns(drawn, lambda i: groups[i])[: count // 2]
    return np.sort(np.array(chosen, np.int64))

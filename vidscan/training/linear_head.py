"""Logistic regression on many features of few crops, each source and method weighed alike.

With more features than crops the problem is solved in the space that the crops span, which gives the same
weights (the penalty is rotation-invariant) at a fraction of the cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_STEPS = 80
_NEGLIGIBLE = 1e-6
"""Share of the largest variance below which a direction is rounding."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    """``weight`` (d,) float32 and ``bias``: log-odds of raw, not standardised, features."""

    weight: NDArray[np.float32]
    bias: float

    def log_odds(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) of ``features`` (n, d)."""
        return np.asarray(features, np.float32) @ self.weight.astype(np.float64) + self.bias


@dataclass(frozen=True, slots=True)
class Space:
    """Standardised crops in the space they span.

    Attributes
    ----------
    centre, scale
        (d,) of the features.
    points
        (n, k) the crops; distances are those of the standardised features.
    back
        (k, d) from weights there to weights of standardised features.
    """

    centre: Tensor
    scale: Tensor
    points: Tensor
    back: Tensor

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Space:
        """From ``features`` (n, d)."""
        x = torch.from_numpy(np.asarray(features, np.float32))
        centre, scale = x.mean(0), x.std(0) + 1e-6
        x = (x - centre) / scale
        values, vectors = torch.linalg.eigh((x @ x.T).double())
        keep = values > _NEGLIGIBLE * values[-1]
        root = values[keep].sqrt()
        directions = (vectors[:, keep] / root).float()
        return cls(centre, scale, (vectors[:, keep] * root).float(), directions.T @ x)

    def head(self, weight: Tensor, bias: float) -> LinearHead:
        """The head on raw features of one fitted on :attr:`points`."""
        own = (weight @ self.back) / self.scale
        return LinearHead(own.numpy().astype(np.float32), bias - float(own @ self.centre))


def crop_weights(groups: Sequence[tuple[str, str]], forged: NDArray[np.bool_], power: float) -> NDArray[np.float64]:
    """(n,) weights of crops: ``power`` .5 counts a group (source and method) like the root of its size.

    Genuine and forged crops weigh alike as a whole. Raises ValueError where a side is missing.
    """
    forged = np.asarray(forged, bool)
    if forged.all() or not forged.any():
        raise ValueError("genuine and forged crops are needed")
    count = Counter(zip(groups, forged.tolist(), strict=True))
    weights = np.array([count[key] ** -power for key in zip(groups, forged.tolist(), strict=True)])
    for side in (forged, ~forged):
        weights[side] *= len(weights) / 2 / weights[side].sum()
    return weights


def fit_logistic(
    points: Tensor, forged: NDArray[np.bool_], weights: NDArray[np.float64], strength: float
) -> tuple[Tensor, float]:
    """Weights (k,) and bias of an L2-penalised logistic regression on ``points`` (n, k).

    ``strength`` is scikit-learn's C: the inverse of the penalty.
    """
    y, w = torch.from_numpy(forged.astype(np.float32)), torch.from_numpy(weights.astype(np.float32))
    weight = torch.zeros(points.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, history_size=10, tolerance_grad=1e-4, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        error = functional.binary_cross_entropy_with_logits(points @ weight + bias, y, reduction="none")
        total = (w * error).sum() + weight.square().sum() / (2 * strength)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), float(bias.detach())

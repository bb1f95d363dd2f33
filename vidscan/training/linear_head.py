"""Logistic regression on many features of few crops, each source and method weighed alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_STEPS = 80


@dataclass(frozen=True, slots=True)
class LinearHeads:
    """``weight`` (k, d) float32 and ``bias`` (k,): what k heads say of raw, not standardized, features."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float64]

    def log_odds(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, k) of ``features`` (n, d)."""
        return np.asarray(features, np.float64) @ self.weight.T.astype(np.float64) + self.bias

    def rescaled(self, centre: NDArray[np.float64], deviation: NDArray[np.float64]) -> LinearHeads:
        """The same in units of (k,) ``deviation`` from ``centre``."""
        weight = (self.weight / deviation[:, None]).astype(np.float32)
        return LinearHeads(weight, (self.bias - centre) / deviation)


@dataclass(frozen=True, slots=True)
class Standardised:
    """Features on one scale.

    Attributes
    ----------
    points
        (n, d) float32 of mean 0 and deviation 1.
    centre, scale
        (d,) of the raw features.
    """

    points: Tensor
    centre: Tensor
    scale: Tensor

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Standardised:
        """From ``features`` (n, d), whose memory is used."""
        points = torch.from_numpy(features)
        centre, scale = points.mean(0), points.std(0) + 1e-6
        return cls(points.sub_(centre).div_(scale), centre, scale)

    def fit(
        self,
        rows: NDArray[np.int64],
        forged: NDArray[np.bool_],
        weights: NDArray[np.float64],
        strength: float,
    ) -> tuple[NDArray[np.float32], float]:
        """L2-penalised logistic regression on some rows (m,), with ``forged`` (m,) and ``weights`` (m,).

        Returns weights (d,) of raw features, and the bias.

        ``strength`` is scikit-learn's C: the inverse of the penalty.
        """
        x, y = self.points[torch.from_numpy(rows)], torch.from_numpy(forged.astype(np.float32))
        w = torch.from_numpy(weights.astype(np.float32))
        weight, bias = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
        solver = torch.optim.LBFGS(
            [weight, bias],
            max_iter=_STEPS,
            history_size=10,
            tolerance_grad=1e-4,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            solver.zero_grad()
            error = functional.binary_cross_entropy_with_logits(x @ weight + bias, y, reduction="none")
            total = (w * error).sum() + weight.square().sum() / (2 * strength)
            total.backward()  # type: ignore[no-untyped-call]
            return total

        solver.step(loss)  # type: ignore[no-untyped-call]
        own = weight.detach() / self.scale
        return own.numpy(), float(bias.detach() - own @ self.centre)


def group_weights(groups: Sequence[Hashable], power: float) -> NDArray[np.float64]:
    """(n,) the size of each crop's group to the power -``power``."""
    count = Counter(groups)
    return np.array([count[group] ** -power for group in groups])


def crop_weights(
    groups: Sequence[tuple[str, str]], forged: NDArray[np.bool_], power: float
) -> NDArray[np.float64]:
    """(n,) weights of crops: ``power`` .5 counts a group (source and method) like the root of its size.

    Genuine and forged crops weigh alike as a whole. Raises ValueError where a side is missing.
    """
    forged = np.asarray(forged, bool)
    if forged.all() or not forged.any():
        raise ValueError("genuine and forged crops are needed")
    weights = group_weights(list(zip(groups, forged.tolist(), strict=True)), power)
    for side in (forged, ~forged):
        weights[side] *= len(weights) / 2 / weights[side].sum()
    return weights

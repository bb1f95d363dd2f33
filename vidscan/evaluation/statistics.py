"""Areas under curves, rates and their intervals.

Intervals of areas, losses and means are percentile bootstraps over people (a person's clips are drawn
together); rates have exact binomial (Clopper-Pearson) intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from vidscan.training.figures import Interval, percentiles, resampled

DRAWS = 2000
"""Bootstrap samples."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number per clip, with whose clip it is.

    Attributes
    ----------
    values
        (n,) float64, finite.
    people
        n names; clips of one name are drawn together.
    """

    values: NDArray[np.float64]
    people: Sequence[str]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over clips; its interval draws people."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` of ``of`` clips, with its exact binomial interval."""

    name: str
    count: int
    of: int
    rate: float
    interval: Interval


def rate(name: str, hits: Sequence[bool]) -> Rate:
    """The share of true values; of no values at all it is 0, its interval all there is."""
    k, n = int(sum(hits)), len(hits)
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return Rate(name, k, n, k / n if n else 0.0, (low, high))


def recorded(found: Rate) -> dict[str, Any]:
    """A rate as registry records hold it."""
    interval = [round(v, 6) for v in found.interval]
    return {"rate": round(found.rate, 6), "interval": interval, "clips": found.of}


def auc_interval(genuine: Sample, groups: Sequence[Sample], rng: np.random.Generator) -> Interval:
    """Interval of the mean area over groups of forged clips, genuine people drawn once a sample."""
    genuine_draws = _draws(genuine.people, rng)
    total = np.zeros(DRAWS)
    for forged in groups:
        forged_draws = _draws(forged.people, rng)
        total += _weighted_auc(genuine, forged, genuine_draws, forged_draws)
    return percentiles(total / len(groups))


def loss_interval(
    clean: tuple[Sample, Sample], changed: tuple[Sample, Sample], rng: np.random.Generator
) -> Interval:
    """Interval of the area that a change costs: that of ``clean`` less that of ``changed``.

    Each is (genuine, forged), the same clips in the same order. The bootstrap is paired: a sample's
    people, of both sides and before and after the change, are one draw.
    """
    (genuine, forged), (changed_genuine, changed_forged) = clean, changed
    both = _draws([*genuine.people, *forged.people], rng)
    g, f = both[:, : len(genuine)], both[:, len(genuine) :]
    whole = (g.sum(1) > 0) & (f.sum(1) > 0)  # with few people a draw may leave one side empty
    g, f = g[whole], f[whole]
    before = _weighted_auc(genuine, forged, g, f)
    return percentiles(before - _weighted_auc(changed_genuine, changed_forged, g, f))


def mean_of(sample: Sample, rng: np.random.Generator) -> Mean:
    """The mean of a sample, and its interval."""
    draws = _draws(sample.people, rng)
    return Mean(float(sample.values.mean()), percentiles((draws @ sample.values) / draws.sum(1)))


def _draws(people: Sequence[str], rng: np.random.Generator) -> NDArray[np.float64]:
    """(draws, clips) how often each clip is in each bootstrap sample."""
    numbers: dict[str, int] = {}
    owner = np.array([numbers.setdefault(name, len(numbers)) for name in people])
    return resampled(len(numbers), DRAWS, rng)[:, owner]


def _weighted_auc(
    genuine: Sample, forged: Sample, genuine_draws: NDArray[np.float64], forged_draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(draws,) areas: the share of genuine-forged pairs in the right order, ties counting half."""
    g = genuine.values[:, None]
    order = (g < forged.values) + 0.5 * (g == forged.values)
    right = ((genuine_draws @ order) * forged_draws).sum(1)
    return right / (genuine_draws.sum(1) * forged_draws.sum(1))

"""Split-conformal calibration: the false-alarm rate is set on genuine people, not guessed.

One statistic per genuine person. With n of them, a new genuine clip reaches the (1 - alpha) conformal
quantile with probability at most alpha (Vovk et al. 2005; Angelopoulos & Bates 2023), as far as it is
exchangeable with them. That is an assumption: some of the shipped people were judged by heads that stand in
for the shipped ones (:mod:`vidscan.training.verdict`), so false alarms are measured, too (docs/results.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.types import Thresholds

MANIPULATED_SCORE = 0.8
UNCERTAIN_SCORE = 0.5
_ALL = 0.99
"""A rate beyond which there is no threshold worth the name."""


def conformal_quantile(statistics: NDArray[np.floating], alpha: float) -> float:
    """Smallest value that a further genuine clip exceeds with probability at most ``alpha``.

    ``statistics`` (n,) one number a genuine person. Raises ValueError where n is too small:
    alpha = 1 % needs 99 people, 5 % needs 19.
    """
    ordered = np.sort(np.asarray(statistics, np.float64))
    rank = math.ceil(round((len(ordered) + 1) * (1 - alpha), 9))
    if rank > len(ordered):
        raise ValueError(f"{len(ordered)} people cannot set a threshold of {alpha:.2%}")
    return float(ordered[rank - 1])


def p_value(statistics: NDArray[np.floating], value: float) -> float:
    """(1 + k) / (n + 1): share of genuine people at least as anomalous, counting this clip."""
    n = len(statistics)
    return (1 + int((np.asarray(statistics) >= value).sum())) / (n + 1)


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """The map from a track's statistic to the score 0..1 and its thresholds.

    Attributes
    ----------
    statistics
        (n,) ascending statistics of genuine people.
    uncertain, manipulated
        Thresholds on the statistic's scale; on the score's scale they are .5 and .8 in every version.
    target_fpr
        Rate of genuine clips that may reach ``manipulated``.
    """

    statistics: NDArray[np.float64]
    uncertain: float
    manipulated: float
    target_fpr: float
    bin: str

    @classmethod
    def fit(
        cls, statistics: NDArray[np.floating], *, manipulated_fpr: float, uncertain_fpr: float, bin_name: str
    ) -> ScoreScale:
        """Thresholds by conformal quantiles of genuine statistics, one per person."""
        ordered = np.sort(np.asarray(statistics, np.float64))
        manipulated = conformal_quantile(ordered, manipulated_fpr)
        uncertain = conformal_quantile(ordered, uncertain_fpr)
        return cls(ordered, min(uncertain, manipulated - 1e-3), manipulated, manipulated_fpr, bin_name)

    def score(self, statistic: float) -> float:
        """Strictly increasing and continuous: .5 at ``uncertain``, .8 at ``manipulated``."""
        slope = np.log(MANIPULATED_SCORE / (1 - MANIPULATED_SCORE)) / (self.manipulated - self.uncertain)
        return float(1 / (1 + np.exp(-np.clip(slope * (statistic - self.uncertain), -30, 30))))

    @property
    def least_fpr(self) -> float:
        """The smallest rate that so many people can set."""
        return 1 / (len(self.statistics) + 1)

    def p_value(self, statistic: float) -> float:
        return p_value(self.statistics, statistic)

    def levels(self, target_fpr: float = 0.0, uncertain_fpr: float = 0.0) -> tuple[float, float]:
        """Where uncertain and manipulated begin, on the statistic's scale, if so many genuine clips may
        reach them.

        Rates of 0 stand for the fitted ones, of uncertain for twice ``target_fpr`` at least. Raises
        ValueError where the genuine people are too few for a rate.
        """
        manipulated = conformal_quantile(self.statistics, target_fpr) if target_fpr else self.manipulated
        uncertain = self.uncertain
        if uncertain_fpr:
            uncertain = conformal_quantile(self.statistics, uncertain_fpr)
        elif target_fpr:
            uncertain = min(uncertain, conformal_quantile(self.statistics, min(2 * target_fpr, _ALL)))
        return min(uncertain, manipulated), manipulated

    def thresholds(self, target_fpr: float = 0.0, uncertain_fpr: float = 0.0) -> Thresholds:
        """:meth:`levels` on the score's scale."""
        exact = {self.uncertain: UNCERTAIN_SCORE, self.manipulated: MANIPULATED_SCORE}
        return Thresholds(*(exact.get(v, self.score(v)) for v in self.levels(target_fpr, uncertain_fpr)))

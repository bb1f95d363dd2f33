"""Other one-class models, which the shipped one has to beat; none is ever stored.

Each is made from standardized genuine windows (n, d), in which 0 is neutral, and has the interface of
:class:`vidscan.verdict.one_class.AnomalyModel`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest as Trees

from vidscan.verdict.one_class import AnomalyModel, OneClassSVM


class Mahalanobis:
    """Distance from neutral in units of the genuine covariance, shrunk after Ledoit & Wolf (2004).

    The covariance is taken about 0 and not about the mean: the mean of a one-sided feature is above
    its neutral value, and a missing group must not count as a deviation. Raises ValueError where all
    ``points`` are 0.
    """

    def __init__(self, points: NDArray[np.floating]) -> None:
        if not np.any(points):
            raise ValueError(f"{len(points)} genuine windows without variation have no covariance")
        self._fitted = LedoitWolf(assume_centered=True).fit(points)

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) distance, not squared."""
        return np.sqrt(np.maximum(self._fitted.mahalanobis(points), 0.0))


class IsolationForest:
    """How few random cuts isolate a vector (Liu, Ting & Zhou, Isolation forest, ICDM 2008)."""

    def __init__(self, points: NDArray[np.floating], *, trees: int = 200, seed: int = 0) -> None:
        self._fitted = Trees(n_estimators=trees, random_state=seed).fit(points)

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) in 0..1: scikit-learn's with the sign turned."""
        return -self._fitted.score_samples(points)


RIVALS: dict[str, Callable[[NDArray[np.float64]], AnomalyModel]] = {
    "Gaussian kernel": OneClassSVM.fit,
    "Mahalanobis distance": Mahalanobis,
    "isolation forest": IsolationForest,
}
"""What fits each, by the name it has in tables."""

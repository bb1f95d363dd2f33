"""Simpler one-class models, which the one-class SVM has to beat.

Each has the interface of :class:`vidscan.verdict.one_class.AnomalyModel` and reads standardised
vectors, in which 0 is neutral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """Distance from neutral in units of the genuine covariance, shrunk after Ledoit & Wolf (2004).

    The covariance is taken about 0 and not about the mean: the mean of a one-sided feature is above
    its neutral value, and a missing group must not count as a deviation.

    Attributes
    ----------
    precision
        (d, d) inverse of the covariance.
    """

    name: ClassVar[str] = "mahalanobis"

    precision: NDArray[np.float64]

    @classmethod
    def fit(cls, points: NDArray[np.floating]) -> Mahalanobis:
        """From standardised genuine windows ``points`` (n, d); ValueError where all are 0."""
        from sklearn.covariance import LedoitWolf

        points = np.asarray(points, np.float64)
        if not points.any():
            raise ValueError(f"{len(points)} genuine windows without variation have no covariance")
        return cls(np.array(LedoitWolf(assume_centered=True).fit(points).precision_, np.float64))

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) distance, not squared."""
        points = np.asarray(points, np.float64)
        return np.sqrt(np.maximum(((points @ self.precision) * points).sum(1), 0.0))

    def to_tensors(self) -> dict[str, Tensor]:
        """``precision`` (d, d) float64."""
        import torch

        return {"precision": torch.from_numpy(self.precision.copy())}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Mahalanobis:
        """:meth:`to_tensors` backwards; raises WeightsError where they are not usable."""
        try:
            precision = tensors["precision"].double().numpy()
            if precision.ndim != 2 or precision.shape[0] != precision.shape[1]:
                raise ValueError(f"precision of shape {precision.shape}")
            if not np.isfinite(precision).all():
                raise ValueError("values are not finite")
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"Mahalanobis model is not usable: {error}") from error
        return cls(precision)


@dataclass(frozen=True, slots=True)
class IsolationForest:
    """How few random cuts isolate a vector (Liu, Ting & Zhou, Isolation forest, ICDM 2008).

    The nodes of all trees in one row; children are positions in it.

    Attributes
    ----------
    left, right
        (k,) int32 children; -1 at leaves.
    feature
        (k,) int32 column that is compared.
    threshold
        (k,) float32; values up to it go left.
    samples
        (k,) int32 number of training windows in the node.
    roots
        (t,) int32 position of each tree's root, whose ``samples`` is the size that trees were grown on.
    """

    name: ClassVar[str] = "isolation_forest"

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    samples: NDArray[np.int32]
    roots: NDArray[np.int32]

    @classmethod
    def fit(cls, points: NDArray[np.floating], *, trees: int = 200, seed: int = 0) -> IsolationForest:
        """From standardised genuine windows ``points`` (n, d), n >= 2."""
        from sklearn.ensemble import IsolationForest as Fitted

        points = np.asarray(points, np.float64)
        if len(points) < 2:
            raise ValueError(f"{len(points)} genuine windows cannot grow a tree")
        grown = [e.tree_ for e in Fitted(n_estimators=trees, random_state=seed).fit(points).estimators_]
        sizes = [tree.node_count for tree in grown]
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])

        def children(which: str) -> NDArray[np.int32]:
            own = [getattr(tree, which) for tree in grown]
            moved = [np.where(c >= 0, c + root, -1) for c, root in zip(own, roots, strict=True)]
            return np.concatenate(moved).astype(np.int32)

        return cls(
            children("children_left"),
            children("children_right"),
            np.maximum(np.concatenate([tree.feature for tree in grown]), 0).astype(np.int32),
            _float32_below(np.concatenate([tree.threshold for tree in grown])),
            np.concatenate([tree.n_node_samples for tree in grown]).astype(np.int32),
            roots.astype(np.int32),
        )

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) in 0..1: scikit-learn's score_samples with the sign turned."""
        points = np.asarray(points, np.float32)
        rows = np.arange(len(points))[:, None]
        node = np.broadcast_to(self.roots, (len(points), len(self.roots)))
        length = np.zeros(node.shape)
        while (inner := self.left[node] >= 0).any():
            goes_left = points[rows, self.feature[node]] <= self.threshold[node]
            following = np.where(goes_left, self.left[node], self.right[node])
            node = np.where(inner, following, node)
            length += inner
        length += _mean_path(self.samples[node])
        return 2.0 ** (-length.mean(1) / _mean_path(self.samples[self.roots[:1]])[0])

    def to_tensors(self) -> dict[str, Tensor]:
        """The attributes, by their names."""
        import torch

        return {name: torch.from_numpy(getattr(self, name).copy()) for name in _FOREST}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> IsolationForest:
        """:meth:`to_tensors` backwards; raises WeightsError where they are not usable."""
        try:
            arrays: dict[str, Any] = {
                name: tensors[name].numpy().astype(kind) for name, kind in _FOREST.items()
            }
            count = len(arrays["left"])
            roots, inner = arrays["roots"], arrays["left"] >= 0
            if any(len(values) != count for name, values in arrays.items() if name != "roots"):
                raise ValueError("nodes differ in number")
            if (
                not len(roots)
                or not ((roots >= 0) & (roots < count)).all()
                or arrays["samples"][roots[0]] < 2
            ):
                raise ValueError("roots are not nodes")
            for child in (arrays["left"][inner], arrays["right"][inner]):
                # A child before its parent could close a circle.
                if not ((child > np.flatnonzero(inner)) & (child < count)).all():
                    raise ValueError("children are not nodes")
            if not (arrays["feature"] >= 0).all():
                raise ValueError("features are not columns")
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"isolation forest is not usable: {error}") from error
        return cls(**arrays)


_FOREST: dict[str, type] = {
    "left": np.int32,
    "right": np.int32,
    "feature": np.int32,
    "threshold": np.float32,
    "samples": np.int32,
    "roots": np.int32,
}


def _float32_below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each value: x <= value is the same for every float32 x."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def _mean_path(samples: NDArray[np.int32]) -> NDArray[np.float64]:
    """Mean depth of an unsuccessful search in a random tree of so many points."""
    n = np.maximum(samples, 2).astype(np.float64)
    many = 2 * (np.log(np.maximum(n - 1, 1)) + np.euler_gamma) - 2 * (n - 1) / n
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, many))


@dataclass(frozen=True, slots=True)
class PatchOnly:
    """One column alone, the yardstick of what the others add.

    Its order ties where the standardiser clips; a comparison gives it one without limit.
    """

    name: ClassVar[str] = "patch_only"

    column: int

    @classmethod
    def fit(cls, points: NDArray[np.floating], *, column: int = 0) -> PatchOnly:
        """Nothing is learnt from ``points`` (n, d); IndexError where they have no such column."""
        if not 0 <= column < np.shape(points)[1]:
            raise IndexError(f"no column {column} among {np.shape(points)[1]}")
        return cls(column)

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) the column."""
        return np.asarray(points, np.float64)[:, self.column]

    def to_tensors(self) -> dict[str, Tensor]:
        """``column`` () int64."""
        import torch

        return {"column": torch.tensor(self.column)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PatchOnly:
        """:meth:`to_tensors` backwards; raises WeightsError where they are not usable."""
        try:
            column = int(tensors["column"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"patch-only model is not usable: {error}") from error
        if column < 0:
            raise WeightsError(f"patch-only model is not usable: column {column}")
        return cls(column)

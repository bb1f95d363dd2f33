"""One-class models: how unlike genuine windows a standardized evidence vector is.

Learned from genuine windows alone. scikit-learn fits; what is kept are plain arrays (safetensors and
JSON, no pickle). The verdict's is linear; that of a person (:mod:`vidscan.people.model`) has a Gaussian
kernel. In the vectors that both read 0 is neutral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import WeightsError
from vidscan.verdict.standardiser import Standardiser

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class OneClassSVM:
    """Support vector description of genuine windows with a Gaussian kernel.

    Schölkopf et al., Estimating the support of a high-dimensional distribution, Neural Computation 2001.

    The decision function sum_i a_i exp(-gamma |x - x_i|^2) - rho is useless far from the genuine
    windows: all kernels vanish, and every clip that is clearly forged gets the same -rho. The margin is
    therefore log rho - log sum_i a_i exp(-gamma |x - x_i|^2), computed by its logarithms: the same
    order, zero at the same boundary, and growing like the squared distance without end.

    Attributes
    ----------
    support
        (m, d) support vectors.
    coefficients
        (m,) their positive weights a.
    intercept
        -rho, negative.
    gamma
        Width of the kernel.
    """

    support: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercept: float
    gamma: float

    @classmethod
    def fit(cls, points: NDArray[np.floating], *, nu: float, gamma: float) -> OneClassSVM:
        """From standardized genuine windows ``points`` (n, d); ``nu`` bounds the share of them outside.

        Raises ValueError where the points are not finite, or ``nu`` or ``gamma`` is out of range.
        """
        from sklearn.svm import OneClassSVM as Fitted

        fitted = Fitted(kernel="rbf", nu=nu, gamma=gamma).fit(np.asarray(points, np.float64))
        return cls(
            np.array(fitted.support_vectors_, np.float64),
            np.array(fitted.dual_coef_[0], np.float64),
            float(fitted.intercept_[0]),
            gamma,
        )

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) margin: 0 at the boundary, positive outside; see the class."""
        return np.log(-self.intercept) - self._log_density(points)

    def decision_function(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) scikit-learn's decision function: negative outside; at least ``intercept``."""
        return np.exp(self._log_density(points)) + self.intercept

    def _log_density(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        from scipy.spatial.distance import cdist
        from scipy.special import logsumexp

        squared = cdist(np.asarray(points, np.float64), self.support, "sqeuclidean")
        return logsumexp(np.log(self.coefficients) - self.gamma * squared, axis=1)


@dataclass(frozen=True, slots=True)
class LinearOneClassSVM:
    """The plane that parts genuine windows from the corner where every feature is as suspicious as can be.

    Schölkopf et al. 2001 with a linear kernel, the corner in the place of the origin. Its margin is a
    weighted sum of the features: strictly increasing in each, so that several weak signs add up and an
    unusually clean feature speaks for a clip instead of against it. The features have to be signed
    (:class:`vidscan.verdict.standardiser.Standardiser`).

    Attributes
    ----------
    normal
        (d,) of the plane, not negative in any feature that counts.
    offset
        rho: the plane's distance from the corner, times the length of the normal.
    corner
        (d,) the standardized vector of all features at their limit.
    """

    name: ClassVar[str] = "linear_one_class_svm"

    normal: NDArray[np.float64]
    offset: float
    corner: NDArray[np.float64]

    @classmethod
    def fit(
        cls, points: NDArray[np.floating], *, corner: NDArray[np.floating], nu: float = 0.1
    ) -> LinearOneClassSVM:
        """From signed standardized genuine windows ``points`` (n, d); ``nu`` bounds the share outside.

        Raises ValueError where the points are not finite or do not vary.
        """
        from sklearn.svm import OneClassSVM as Fitted

        seen = np.asarray(corner, np.float64) - np.asarray(points, np.float64)
        if not seen.var(axis=0).sum() > 0:
            raise ValueError(f"{len(seen)} genuine windows without variation cannot train a one-class SVM")
        fitted = Fitted(kernel="linear", nu=nu).fit(seen)
        return cls(fitted.coef_[0].astype(np.float64), float(-fitted.intercept_[0]), np.array(corner, float))

    def score_samples(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) margin: distance beyond the plane, towards the corner; 0 on it."""
        return -self.decision_function(points) / float(np.linalg.norm(self.normal))

    def decision_function(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) scikit-learn's decision function of corner - points: negative outside."""
        return (self.corner - np.asarray(points, np.float64)) @ self.normal - self.offset

    def to_tensors(self) -> dict[str, Tensor]:
        """``normal`` (d,), ``offset`` (), ``corner`` (d,), float64."""
        import torch

        return {
            "normal": torch.from_numpy(self.normal.copy()),
            "offset": torch.tensor(self.offset, dtype=torch.float64),
            "corner": torch.from_numpy(self.corner.copy()),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LinearOneClassSVM:
        """:meth:`to_tensors` backwards; raises WeightsError where they are not usable."""
        try:
            normal, corner = (tensors[k].double().numpy() for k in ("normal", "corner"))
            offset = float(tensors["offset"])
            if normal.ndim != 1 or normal.shape != corner.shape or not np.linalg.norm(normal) > 0:
                raise ValueError("normal and corner do not fit")
            if not np.isfinite([*normal, *corner, offset]).all():
                raise ValueError("values are not finite")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"one-class SVM is not usable: {error}") from error
        return cls(normal, offset, corner)


def pack(standardiser: Standardiser, model: LinearOneClassSVM) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors for a safetensors file and JSON settings that :func:`unpack` reads."""
    tensors = {f"standardiser.{k}": v for k, v in standardiser.to_tensors().items()}
    tensors |= {f"model.{k}": v for k, v in model.to_tensors().items()}
    return tensors, standardiser.settings() | {"model": model.name}


def unpack(
    tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> tuple[Standardiser, LinearOneClassSVM]:
    """Standardiser and model of :func:`pack`.

    Raises
    ------
    WeightsError
        Where something is missing, damaged, or of another number of features.
    """
    if settings.get("model") != LinearOneClassSVM.name:
        raise WeightsError(f"unknown anomaly model {settings.get('model')!r}")
    standardiser = Standardiser.from_tensors(_under("standardiser.", tensors), settings)
    model = LinearOneClassSVM.from_tensors(_under("model.", tensors))
    if len(model.normal) != len(standardiser.columns):
        raise WeightsError(f"{model.name} is not for {len(standardiser.columns)} features")
    return standardiser, model


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

"""Evidence vectors on a common scale, on which missing evidence is neutral.

Zero is what a genuine window has at the median. A feature that is missing is zero and so exactly as
anomalous as that median, whatever the model; no rule for missing values is needed after this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Sided = Literal["one", "low", "both"]

LIMIT = 6.0
"""Standard deviations beyond which a value counts no further (winsorised)."""

FEWEST = 20
"""A feature seen in fewer genuine windows than this is left out."""

_MAD_TO_SD = 1.4826
_ONE_SD = 0.8413
_TENSORS = ("centre", "scale", "weight", "limit")


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of the evidence vector: its name, its group, and which deviations are suspicious.

    ``sided`` "one": only unusually high values are; "low": only low ones; "both": either.
    """

    name: str
    group: str
    sided: Sided = "both"


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Robust, group-weighted standardization of evidence vectors.

    A value is centered on the genuine median, divided by the genuine spread, kept within +-``limit``;
    turned round where low values are suspicious; on the side that is not it counts as zero, unless the
    standardizer is ``signed``. It is then weighted by its
    group's weight over the root of the group's number of features in use, so that a group of twenty
    features weighs no more than one of three. That number is the fitted one and not that of the window:
    else a window in which one feature is missing would count its neighbors more, and the lack would be
    evidence.

    Attributes
    ----------
    columns
        (d,) the features, in the order of the vectors.
    centre, scale
        (d,) median and spread of genuine windows, in the feature's own unit.
    weight
        (d,) what a standardized value is multiplied with; 0 for a feature that does not vary among
        genuine windows or is seen too rarely.
    limit
        (d,) standard deviations at which each feature is winsorised.
    signed
        Keep negative values of one-sided features: for a model that is linear, and so monotone in them.
    """

    columns: tuple[Column, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    limit: NDArray[np.float64]
    signed: bool = False

    @classmethod
    def fit(
        cls,
        features: NDArray[np.floating],
        valid: NDArray[np.bool_],
        columns: Sequence[Column],
        weights: Mapping[str, float] | None = None,
        limit: float | Mapping[str, float] = LIMIT,
        *,
        signed: bool = False,
    ) -> Standardiser:
        """From genuine windows.

        ``features`` (n, d), of which those count that ``valid`` (n, d) marks; the others may be NaN.
        ``weights`` by group, 1 where a group is not named; ``limit`` for all or by group, :data:`LIMIT` where
        a group is not named.

        Raises ValueError where shapes disagree, a valid value is not finite, a weight is negative or of
        an unknown group, or no feature can be used.
        """
        features, valid = _checked(features, valid, len(columns))
        weights = dict(weights or {})
        groups = [column.group for column in columns]
        if unknown := sorted(set(weights) - set(groups)):
            raise ValueError(f"weights for unknown groups: {', '.join(unknown)}")
        if any(not weight >= 0 for weight in weights.values()):
            raise ValueError("weights of groups must not be negative")
        centre, scale = np.zeros(len(columns)), np.zeros(len(columns))
        for i, column in enumerate(columns):
            seen = features[valid[:, i], i]
            if len(seen) >= FEWEST:
                centre[i] = np.median(seen)
                scale[i] = _spread(seen, centre[i], column.sided)
        used = scale > 0
        if not used.any():
            raise ValueError(f"no feature varies in at least {FEWEST} genuine windows")
        count = Counter(group for group, use in zip(groups, used, strict=True) if use)
        weight = [
            weights.get(group, 1.0) / np.sqrt(count[group]) if use else 0.0
            for group, use in zip(groups, used, strict=True)
        ]
        scale = np.where(used, scale, 1.0)
        limits = [limit.get(g, LIMIT) if isinstance(limit, Mapping) else limit for g in groups]
        return cls(tuple(columns), centre, scale, np.array(weight), np.array(limits, float), signed)

    @property
    def groups(self) -> tuple[str, ...]:
        """(d,) group of every column."""
        return tuple(column.group for column in self.columns)

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of the features that do not count."""
        return tuple(c.name for c, w in zip(self.columns, self.weight, strict=True) if w == 0)

    def transform(self, features: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n, d) standardized vectors of ``features`` (n, d); 0 where ``valid`` (n, d) is False.

        Raises ValueError where shapes disagree or a valid value is not finite.
        """
        features, valid = _checked(features, valid, len(self.columns))
        z = np.clip(
            (np.where(valid, features, self.centre) - self.centre) / self.scale, -self.limit, self.limit
        )
        z = np.where([column.sided == "low" for column in self.columns], -z, z)
        if not self.signed:
            z = np.where([column.sided == "both" for column in self.columns], z, np.maximum(z, 0.0))
        return z * self.weight

    def to_tensors(self) -> dict[str, Tensor]:
        """``centre``, ``scale``, ``weight``, ``limit`` (d,) float64."""
        import torch

        return {name: torch.from_numpy(getattr(self, name).copy()) for name in _TENSORS}

    def settings(self) -> dict[str, Any]:
        """What is not a number: plain JSON."""
        return {
            "columns": [[c.name, c.group, c.sided] for c in self.columns],
            "signed": self.signed,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Standardiser:
        """The standardizer that :meth:`to_tensors` and :meth:`settings` describe.

        Raises WeightsError where they are not usable.
        """
        try:
            columns = tuple(Column(*column) for column in settings["columns"])
            centre, scale, weight, limit = (tensors[k].double().numpy() for k in _TENSORS)
            signed = bool(settings["signed"])
            if any(values.shape != (len(columns),) for values in (centre, scale, weight, limit)):
                raise ValueError("tensors and columns differ in number")
            if not (np.isfinite([centre, scale, weight]).all() and (scale > 0).all() and (limit > 0).all()):
                raise ValueError("scales must be positive, all values finite")
            if bad := [c.name for c in columns if c.sided not in ("one", "low", "both")]:
                raise ValueError(f"unknown sidedness of {', '.join(bad)}")
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"standardiser is not usable: {error}") from error
        return cls(columns, centre, scale, weight, limit, signed)


def _checked(
    features: NDArray[np.floating], valid: NDArray[np.bool_], columns: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, marked = np.asarray(features, np.float64), np.asarray(valid, bool)
    if values.ndim != 2 or values.shape != marked.shape or values.shape[1] != columns:
        raise ValueError(f"features {values.shape}, validity {marked.shape}, {columns} columns")
    if not np.isfinite(values[marked]).all():
        raise ValueError("a feature that is marked valid is not finite")
    return values, marked


def _spread(seen: NDArray[np.float64], median: float, sided: Sided) -> float:
    """One robust standard deviation, to the side that matters where one does; 0 without variation.

    Where most values are equal, as for a share that is nearly always zero, the plain one.
    """
    if sided == "one":
        spread = float(np.quantile(seen, _ONE_SD)) - median
    elif sided == "low":
        spread = median - float(np.quantile(seen, 1 - _ONE_SD))
    else:
        spread = _MAD_TO_SD * float(np.median(np.abs(seen - median)))
    if spread <= 0:
        spread = float(seen.std())
    # Rounding of equal values is no variation.
    return spread if spread > 1e-12 * max(1.0, abs(median)) else 0.0

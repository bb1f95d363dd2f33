"""What is ordinary: the range in which genuine people's windows lie, measure by measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidscan.errors import WeightsError


@dataclass(frozen=True, slots=True)
class GenuineRange:
    """Quantiles of one measure over genuine people's windows, in the measure's own unit."""

    low: float
    median: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low <= self.median <= self.high):
            raise ValueError(f"not in order: {self.low}, {self.median}, {self.high}")

    def oddness(self, value: float) -> float:
        """0 within the range; beyond, how far out as a share of the range's width, negative below it."""
        beyond = max(value - self.high, 0.0) - max(self.low - value, 0.0)
        width = self.high - self.low
        return beyond / width if width > 0 else float(np.sign(beyond))


def read_ranges(data: Mapping[str, Any]) -> dict[str, GenuineRange]:
    """Ranges by measure, from a registry record's ``{measure: {"low": , "median": , "high": }}``.

    Raises
    ------
    WeightsError
        Where one lacks a number, has one too many, or they are not in order.
    """
    ranges = {}
    for name, entry in data.items():
        try:
            ranges[name] = GenuineRange(**{key: float(value) for key, value in entry.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise WeightsError(f"genuine range of {name} is not usable: {error}") from error
    return ranges


def oddities(values: Mapping[str, float], ranges: Mapping[str, GenuineRange]) -> dict[str, float]:
    """:meth:`GenuineRange.oddness` of every value beyond its range, the farthest first."""
    odd = {name: ranges[name].oddness(value) for name, value in values.items() if name in ranges}
    return dict(sorted(((n, o) for n, o in odd.items() if o), key=lambda item: -abs(item[1])))

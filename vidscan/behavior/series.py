"""What the behavior measures share: stretches of a series, and which of its rows are seen."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.types import FaceSeries


def cut(series: FaceSeries, start_s: float, end_s: float) -> FaceSeries:
    """The rows of a series with start_s <= time < end_s, in seconds."""
    rows = slice(*np.searchsorted(series.times, [start_s, end_s], "left"))
    values: dict[str, Any] = {f.name: getattr(series, f.name) for f in fields(series) if f.name != "track_id"}
    values |= {name: value[rows] for name, value in values.items() if value is not None}
    return replace(series, **values)


def seen(series: FaceSeries) -> NDArray[np.bool_]:
    """(T,) rows in which the landmarks were found."""
    return np.asarray(~np.isnan(series.landmarks[:, 0, 0]), bool)


def seen_seconds(series: FaceSeries) -> float:
    """Seconds for which the landmarks were found: rows times the median step between rows."""
    count = int(seen(series).sum())
    if len(series.times) < 2:
        return 0.0
    return count * float(np.median(np.diff(series.times)))

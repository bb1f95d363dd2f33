"""How the movements of a face go together: Pearson's coefficients between the twenty signals, over windows.

Agarwal et al., *Protecting World Leaders Against Deep Fakes* (CVPR Workshops 2019) tell a person by the 190
coefficients of windows of 10 s. A row is either seen or lost: the coefficients of a window all come from
the rows in which every signal is finite (listwise deletion), so that its correlation matrix is one that can
exist. A coefficient of a signal that does not vary within a window is not known, and is NaN;
:func:`neutral` puts 0, no linear relation, in its place for those who need a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.action_units import MOVEMENTS, signals
from vidscan.behavior.material import MIN_SECONDS, MIN_SEEN, enough, step_seconds
from vidscan.types import FaceSeries

PAIRS: tuple[tuple[str, str], ...] = tuple(combinations(MOVEMENTS, 2))
"""The two signals of each of the 190 coefficients."""

_FIRST, _SECOND = np.triu_indices(len(MOVEMENTS), 1)
_CONSTANT = 1e-13
"""A signal whose deviations are this small a share of its values does not vary but by rounding: the limit
below which ``scipy.stats.pearsonr`` warns."""
_ROUNDING = 1e-6
_CHUNK = 256
_STRONG = 0.5
_MIN_VARYING = 5
"""Fewer varying signals than this have no correlations worth summing up."""

FEATURES: dict[str, str] = {
    "correlation_mean": "mean absolute Pearson coefficient over the pairs of signals that vary",
    "correlation_strong": "share of those pairs whose coefficient exceeds .5 either way",
    "correlation_first": "share of the largest eigenvalue of the correlation matrix",
    "correlation_lips_part": "Pearson coefficient of lip height and unit 25, lips part",
    "correlation_jaw_drop": "Pearson coefficient of lip height and unit 26, jaw drop",
    "correlation_smile": "Pearson coefficient of mouth width and unit 12, lip corner puller",
}
"""Unit and meaning of what :func:`describe` gives. A named coefficient that is not known is 0."""


@dataclass(frozen=True, slots=True)
class Correlations:
    """Coefficients of W windows, in the order of time."""

    start_s: NDArray[np.float64]
    """(W,) seconds."""
    end_s: NDArray[np.float64]
    """(W,) seconds; a row at this time belongs to the window no more."""
    coefficients: NDArray[np.float64]
    """(W, 190) of :data:`PAIRS`, -1..1; NaN where a signal does not vary or the window is not valid."""
    means: NDArray[np.float64]
    """(W, 20) means of :data:`vidscan.behavior.action_units.MOVEMENTS`; NaN where the window is not valid."""
    valid: NDArray[np.bool_]
    """(W,) windows of which half or more was seen."""


def correlations(
    times: NDArray[np.floating],
    values: NDArray[np.floating],
    *,
    window_s: float = 10.0,
    hop_s: float = 5.0,
    min_s: float = MIN_SECONDS,
) -> Correlations:
    """Pearson's coefficients of the twenty signals over sliding windows.

    Windows start at the first row and every ``hop_s`` after it, as long as they end within the material,
    whose last row lasts one median step (half a step more is let pass). What is shorter than a window but not
    than ``min_s`` is one window; what is shorter still has none. A window of which less than half was seen is
    not valid; rows that are missing from ``times`` count as lost. The coefficients are scipy's to 1e-9.

    Parameters
    ----------
    times
        (T,) seconds, not decreasing.
    values
        (T, 20) the signals; rows with a NaN are lost.
    window_s
        Length of a window in seconds.
    hop_s
        Seconds between their starts: the paper's five frames are 5 / fps.
    min_s
        Least length in seconds.

    Raises
    ------
    ValueError
        Where shapes disagree, or a length is not positive.
    """
    t, x = np.asarray(times, np.float64), np.asarray(values, np.float64)
    if t.ndim != 1 or x.shape != (len(t), len(MOVEMENTS)):
        raise ValueError(f"values must be (T, {len(MOVEMENTS)}) for (T,) times, got {x.shape} and {t.shape}")
    if not min(window_s, hop_s, min_s) > 0:
        raise ValueError(f"window, hop and least length must be positive: {window_s}, {hop_s}, {min_s}")
    starts, length = _windows(t, window_s, hop_s, min_s)
    step = step_seconds(t)
    first = np.searchsorted(t, starts - _ROUNDING)
    last = np.searchsorted(t, starts + length - _ROUNDING)
    known = np.isfinite(x).all(axis=1)
    count = np.concatenate([[0], np.cumsum(known)])
    seen = count[last] - count[first]
    expected = np.maximum(last - first, np.floor(length / step + _ROUNDING)) if len(starts) else last - first
    valid = (seen >= 2) & (seen >= MIN_SEEN * expected)

    coefficients = np.full((len(starts), len(PAIRS)), np.nan)
    means = np.full((len(starts), len(MOVEMENTS)), np.nan)
    rows = x[known]
    wanted = np.flatnonzero(valid)
    for chunk in (wanted[i : i + _CHUNK] for i in range(0, len(wanted), _CHUNK)):
        means[chunk], coefficients[chunk] = _pearson(rows, count[first[chunk]], count[last[chunk]])
    return Correlations(starts, starts + length, coefficients, means, valid)


def neutral(coefficients: NDArray[np.floating]) -> NDArray[np.float64]:
    """Coefficients with 0, no linear relation, in place of those that are not known."""
    return np.nan_to_num(np.asarray(coefficients, np.float64), nan=0.0)


def describe(series: FaceSeries) -> dict[str, float] | None:
    """:data:`FEATURES` of a series that is already cut to a window, whoever the person is.

    Returns
    -------
    Finite values; None where the window is insufficient (:func:`vidscan.behavior.material.enough`: under 4 s
    seen, more than half lost, or a still picture) or fewer than five signals vary.
    """
    values = signals(series)
    if not enough(series, np.asarray(np.isfinite(values).all(axis=1), bool)):
        return None
    found = correlations(series.times, values, window_s=math.inf)
    if not found.valid.any():
        return None
    row = found.coefficients[0]
    matrix = np.eye(len(MOVEMENTS))
    matrix[_FIRST, _SECOND] = matrix[_SECOND, _FIRST] = row
    varying = np.isfinite(matrix).sum(axis=1) > 1
    if varying.sum() < _MIN_VARYING:
        return None
    strength = np.abs(row[np.isfinite(row)])
    eigenvalues = np.linalg.eigvalsh(matrix[np.ix_(varying, varying)])
    by_pair = dict(zip(PAIRS, neutral(row).tolist(), strict=True))
    return {
        "correlation_mean": float(strength.mean()),
        "correlation_strong": float((strength > _STRONG).mean()),
        "correlation_first": float(eigenvalues[-1] / varying.sum()),
        "correlation_lips_part": by_pair["AU25", "lip_height"],
        "correlation_jaw_drop": by_pair["AU26", "lip_height"],
        "correlation_smile": by_pair["AU12", "mouth_width"],
    }


def _windows(
    times: NDArray[np.float64], window_s: float, hop_s: float, min_s: float
) -> tuple[NDArray[np.float64], float]:
    """(W,) starts of the windows in seconds, and their common length."""
    step = step_seconds(times)
    if step <= 0:
        return times[:0], window_s
    # Half a step of tolerance: times are rounded to the container's time base.
    whole = float(times[-1] - times[0]) + 1.5 * step
    if whole < window_s:
        return times[: int(whole >= min_s)], whole - 0.5 * step
    return times[0] + hop_s * np.arange(math.floor((whole - window_s) / hop_s) + 1), window_s


def _pearson(
    rows: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means (W, C) and coefficients (W, C (C-1) / 2) of ``rows[first:last]``, none of them empty.

    Windows are gathered side by side and centered on their own means: running sums would be quicker, but lose
    the digits of signals that vary little about a large value.
    """
    size = last - first
    offset = np.arange(size.max())
    inside = offset < size[:, None]
    block = rows[np.where(inside, first[:, None] + offset, first[:, None])]
    mean = (block * inside[..., None]).sum(axis=1) / size[:, None]
    constant = (block == block[:, :1]).all(axis=1)
    deviation = (block - mean[:, None]) * inside[..., None]
    norm = np.linalg.norm(deviation, axis=1)
    constant |= norm <= _CONSTANT * np.abs(mean)
    unit = deviation / np.where(constant, np.nan, norm)[:, None]
    matrix = np.matmul(unit.transpose(0, 2, 1), unit)
    return mean, np.clip(matrix[:, _FIRST, _SECOND], -1, 1)

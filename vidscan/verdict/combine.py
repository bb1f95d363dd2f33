"""Several windows and several tracks make one clip, without making more false alarms.

The rule. Every window's margin is read as a p-value among genuine windows (:class:`Survival`). The
windows of a track are merged by :func:`combine_windows`, a Cauchy combination, and the result is put
back on the margin's scale: the margin that *one* window would need to be as surprising. A genuine
track's combined margin is therefore distributed like a single window's, however many windows it has and
however alike they are, and tracks of any length can be calibrated together. The tracks of a clip are
merged by their smallest p-value, corrected for their number (Sidak 1967): :func:`among_tracks` is that
correction on the statistic's scale.

No fixed function of the margins alone could do this: a mean narrows with the number of independent
windows and does not with that of equal ones, a maximum grows with the one and not with the other.

What it holds, by simulation (``tests/verdict/test_combine.py``): with 1 to 12 windows, independent or
correlated, and 1 to 4 tracks the false-alarm rate stays within 1.3 times the nominal 1 % and 5 %. A
p-value below 1 / (n + 1) of n genuine people rests on the tail being exponential; four tracks at 1 %
ask for one below .0025, so that fewer than 400 people promise it only as far as that is true.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TAIL_SHARE = 0.1
_LEAST = 1e-300
_LOG_HALF = math.log(0.5)


@dataclass(frozen=True, slots=True)
class Survival:
    """Smoothed conformal p-value: the share of genuine values at least as high, without steps.

    The k-th highest of n genuine values is reached by a further one with probability k / (n + 1);
    between them the logarithm of that is interpolated linearly. Above the highest an exponential tail
    goes on, with the rate of the top tenth; because few values leave the rate uncertain, the p-value is
    the predictive one, averaged over the rates that fit, and so falls a little more slowly far out.
    Below the lowest the p-value nears 1 exponentially. Strictly decreasing and continuous throughout,
    so it never ties.

    Attributes
    ----------
    values
        (k,) ascending, distinct.
    log_p
        (k,) natural logarithm of the p-value at each.
    upper_rate
        Rate of the upper tail, in 1 / unit of the values.
    upper_count
        Number of values that the rate was estimated from.
    lower_rate
        Rate at which 1 - p falls below the lowest value.
    """

    values: NDArray[np.float64]
    log_p: NDArray[np.float64]
    upper_rate: float
    upper_count: int
    lower_rate: float

    @classmethod
    def fit(cls, statistics: ArrayLike) -> Survival:
        """From ``statistics`` (n,), one a genuine person or window.

        Raises ValueError where they are not finite or do not vary.
        """
        ordered = np.sort(np.asarray(statistics, np.float64).ravel())
        n = len(ordered)
        if not np.isfinite(ordered).all():
            raise ValueError("genuine statistics are not finite")
        values, first = np.unique(ordered, return_index=True)
        if len(values) < 2:
            raise ValueError(f"{n} genuine statistics without variation cannot give a p-value")
        # Tied values all get the p-value of the lowest of them, the larger one.
        log_p = np.log((n - first) / (n + 1))
        count, excess = _tail(ordered)
        # The next value and the highest are not independent of the summed excess: the j-th of the
        # exponential spacings of the tail counts only j / (j + 1) towards the exceedance.
        shares = float((1 - 1 / np.arange(2, count + 2)).sum())
        lower_count, lower_excess = _tail(-ordered[::-1])
        return cls(values, log_p, shares / excess, count, lower_count / lower_excess)

    def log(self, value: ArrayLike) -> NDArray[np.float64]:
        """(...) natural logarithm of the p-value of each ``value`` (...)."""
        value = np.asarray(value, np.float64)
        inside = np.interp(value, self.values, self.log_p)
        above = np.maximum(value - self.values[-1], 0.0) * self.upper_rate
        below = np.maximum(self.values[0] - value, 0.0) * self.lower_rate
        low = np.log1p(np.expm1(self.log_p[0]) * np.exp(-below))
        tail = -self.upper_count * np.log1p(above / self.upper_count)
        return np.where(value < self.values[0], low, inside + tail)

    def __call__(self, value: ArrayLike) -> NDArray[np.float64]:
        """(...) p-value of each ``value`` (...), 0..1."""
        return np.exp(self.log(value))

    def inverse(self, log_p: ArrayLike) -> NDArray[np.float64]:
        """(...) the value that has each log p-value (...): :meth:`log` backwards."""
        log_p = np.asarray(log_p, np.float64)
        inside = np.interp(-log_p, -self.log_p, self.values)
        over = np.maximum(self.log_p[-1] - log_p, 0.0)
        above = self.upper_count * np.expm1(over / self.upper_count) / self.upper_rate
        ratio = np.expm1(self.log_p[0]) / np.minimum(np.expm1(log_p), -_LEAST)
        return inside + above - np.log(np.maximum(ratio, 1.0)) / self.lower_rate


def _tail(ordered: NDArray[np.float64]) -> tuple[int, float]:
    """How many of the highest ``ordered`` values, which vary, make the tail; their summed excess."""
    n = len(ordered)
    count = max(1, math.ceil(_TAIL_SHARE * n))
    excess = 0.0
    while excess <= 0:
        start = min(count, n - 1)
        excess = float((ordered[n - start :] - ordered[n - start - 1]).sum())
        count += 1
    return start, excess


def combine_windows(margins: ArrayLike, durations: ArrayLike, reference: Survival) -> NDArray[np.float64]:
    """(...) the margin of one window that is as surprising as the windows of a track together.

    ``margins`` (..., w); ``durations`` (w,) seconds, which weigh the windows; ``reference`` is the
    survival of the margins of genuine windows. Strictly increasing in every margin; windows that agree
    give the margin they agree on.

    The Cauchy combination (Liu & Xie, Journal of the American Statistical Association 2020): the
    weighted mean of cot(pi p) is distributed like a single one, whether the windows are independent or
    equal, and nearly so between, in the tail that matters. For p > 1/2 the cotangent goes on as a
    logarithm with the same slope, so that a very clean window cannot buy off a forged one. One window
    of w with a small p-value p gives the track about w p: a forged stretch in a long track is found, at
    the price of the number of places to look.

    Raises ValueError where there are no windows or the durations are not positive.
    """
    margins = np.asarray(margins, np.float64)
    durations = np.asarray(durations, np.float64)
    if durations.ndim != 1 or not len(durations) or margins.shape[-1:] != durations.shape:
        raise ValueError(f"{margins.shape} margins do not go with {durations.shape} durations")
    if not (np.isfinite(durations).all() and (durations > 0).all()):
        raise ValueError("durations of windows must be positive")
    weights = durations / durations.sum()
    log_p = reference.log(margins)
    high = log_p < _LOG_HALF
    # Sums of cotangents are taken by their logarithms: p may be too small for a double.
    up = np.logaddexp.reduce(np.where(high, np.log(weights) + _log_cot(log_p), -np.inf), axis=-1)
    left = np.maximum(-np.expm1(np.maximum(log_p, _LOG_HALF)), _LEAST)
    down = (weights * (math.pi / 2) * np.log(2 * left)).sum(-1)
    return reference.inverse(np.where(up > _FAR, -math.log(math.pi) - up, _log_p(up, down)))


_FAR = 50.0
"""Log cotangent beyond which cot(pi p) is 1 / (pi p), and the clean windows' share is lost in rounding."""


def _log_cot(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """log cot(pi p), for p < 1/2."""
    near = np.clip(log_p, -_FAR, _LOG_HALF)
    return np.where(log_p < -_FAR, -math.log(math.pi) - log_p, -np.log(np.tan(math.pi * np.exp(near))))


def _log_p(up: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log p-value of the mean exp(``up``) + ``down`` (``down`` <= 0)."""
    mean = np.exp(np.minimum(up, _FAR)) + down
    suspicious = np.log(np.arctan2(1.0, np.maximum(mean, 0.0)) / math.pi)
    return np.where(mean >= 0, suspicious, np.log1p(-0.5 * np.exp(np.minimum(mean, 0.0) * 2 / math.pi)))


def among_tracks(statistic: float, tracks: int, calibration: Survival) -> float:
    """A track's ``statistic``, lowered for having been looked for among ``tracks`` of the clip.

    It is the statistic with which the only track of a clip would be as surprising. The highest of m tracks
    has the p-value 1 - (1 - p) ** m, exact for independent tracks and too high, never too low, for tracks
    that go together (Sidak, Journal of the American Statistical Association 1967). ``calibration`` is the
    survival of genuine people's statistics. Strictly increasing in ``statistic``; unchanged for one track.
    """
    log_p = float(calibration.log(statistic))
    if log_p < -_FAR:
        return float(calibration.inverse(log_p + math.log(tracks)))
    return float(calibration.inverse(_log_rest(tracks * _log_rest(log_p))))


def _log_rest(log_p: float) -> float:
    """log(1 - p), precise for small and for large p."""
    if log_p < _LOG_HALF:
        return math.log1p(-math.exp(log_p))
    return math.log(max(-math.expm1(log_p), _LEAST))

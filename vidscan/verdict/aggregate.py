"""Temporal aggregation: from the crop scores of a track to one statistic, and to segments.

One bad frame must not decide, and neither may a long genuine stretch hide a short forged one: the
statistic is the highest level that a track holds for a while, not its maximum and not its mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 2.0
"""A forged stretch shorter than this is judged together with its surroundings."""


def level(scores: NDArray[np.floating]) -> float:
    """Robust level of some crop scores: the mean between their 25th and 95th percentile.

    ``scores`` (n,) log-odds, n >= 1. The lowest quarter (turned away, blurred, hidden) and the
    highest twentieth (one bad frame) do not count.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    n = len(ordered)
    if n < _FEWEST_TO_TRIM:
        return float(np.median(ordered))
    return float(ordered[n // 4 : n - max(1, round(0.05 * n))].mean())


_FEWEST_TO_TRIM = 4


def running_level(
    times: NDArray[np.floating], scores: NDArray[np.floating], window_s: float = WINDOW_S
) -> NDArray[np.float64]:
    """(n,) median of the scores within ``window_s`` seconds around each time.

    ``times`` (n,) ascending seconds, ``scores`` (n,) log-odds.
    """
    times, scores = np.asarray(times, np.float64), np.asarray(scores, np.float64)
    first = np.searchsorted(times, times - window_s / 2, "left")
    count = np.searchsorted(times, times + window_s / 2, "right") - first
    place = np.arange(count.max(initial=0))
    beyond = place >= count[:, None]
    near = scores[np.minimum(first[:, None] + place, len(scores) - 1)]
    near = np.sort(np.where(beyond, np.inf, near))
    row = np.arange(len(times))
    return (near[row, (count - 1) // 2] + near[row, count // 2]) / 2


def statistic(times: NDArray[np.floating], scores: NDArray[np.floating]) -> float:
    """The number a track is judged by: log-odds, higher is more suspicious.

    The larger of the track's overall level and the level it holds through its worst fifth, the
    latter reduced by a tenth of the spread for the choice of the worst.
    """
    overall = level(scores)
    if len(scores) < 10:
        return overall
    smooth = np.sort(running_level(times, scores))
    worst = smooth[int(0.8 * len(smooth)) :]
    spread = float(np.std(scores))
    return max(overall, float(worst.mean()) - SELECTION_PENALTY * spread)


SELECTION_PENALTY = 0.5
"""Spreads that the worst fifth of a steady genuine track lies above its level, by simulation."""


def stretches(
    times: NDArray[np.floating], values: NDArray[np.floating], threshold: float, gap_s: float = 1.0
) -> list[tuple[int, int]]:
    """Index ranges [first, last] in which ``values`` stays at or above ``threshold``.

    Ranges closer than ``gap_s`` seconds (or than a step and a half, where sampling is coarser) are joined; a
    longer time in which the face was not seen parts them.
    """
    if len(times) > 1:
        gap_s = max(gap_s, 1.5 * float(np.median(np.diff(times))))
    found: list[tuple[int, int]] = []
    for i in np.flatnonzero(np.asarray(values) >= threshold):
        if found and times[i] - times[found[-1][1]] <= gap_s:
            found[-1] = (found[-1][0], int(i))
        else:
            found.append((int(i), int(i)))
    return found


def suspicious_stretches(
    times: NDArray[np.floating], scores: NDArray[np.floating], threshold: float
) -> list[tuple[int, int]]:
    """Index ranges [first, last] in which a track looks suspicious.

    They are found where its running level reaches ``threshold``, since single scores jitter; the level lags
    by half its window, so that each begins and ends where the scores themselves do. They do not overlap.

    ``times`` (n,) ascending seconds, ``scores`` (n,) log-odds.
    """
    # One look that dips parts nothing.
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    own = stretches(times, scores, threshold, gap_s=2.5 * step)
    found: list[tuple[int, int]] = []
    for first, last in stretches(times, running_level(times, scores), threshold):
        touched = [(a, b) for a, b in own if a <= last and b >= first]
        if touched:
            first, last = touched[0][0], touched[-1][1]
        if found and first <= found[-1][1]:
            first = found.pop()[0]
        found.append((first, last))
    return found

"""What an enrolled person is known by: correlations between facial movements, window after window.

Agarwal et al. 2019 (Protecting World Leaders Against Deep Fakes) describe how a person speaks by the
correlations between twenty movements in windows of 10 s that advance by 5 frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.action_units import MOVEMENTS, signals
from vidscan.behavior.correlation import correlations
from vidscan.behavior.material import step_seconds, still
from vidscan.behavior.series import seen
from vidscan.types import FaceSeries

WINDOWS_S = (10.0, 5.0)
"""Window lengths that a person may be enrolled with, in seconds; the first is the default."""
HOP_FRAMES = 5
MEANS = len(MOVEMENTS)
COEFFICIENTS = MEANS * (MEANS - 1) // 2
FEATURES = COEFFICIENTS + MEANS
"""Numbers a window: the coefficients, then the mean of every signal."""
_KNOWN = 0.2
"""Share of the coefficients that a window must have: those of ten signals that vary."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The usable windows of one track, in time order."""

    start_s: NDArray[np.float64]
    """(W,) seconds."""
    end_s: NDArray[np.float64]
    """(W,) seconds."""
    features: NDArray[np.float64]
    """(W, 210) correlation coefficients -1..1, then signal means; NaN where unknown."""
    spreads: NDArray[np.float64]
    """(W, 20) standard deviation of every signal in the window; NaN where it was never known."""
    seconds: float
    """Time in which the face was followed and that some window covers."""

    def __len__(self) -> int:
        return len(self.start_s)

    def take(self, rows: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features and spreads of some windows."""
        return self.features[rows], self.spreads[rows]


def cut_windows(series: FaceSeries, window_s: float = WINDOWS_S[0]) -> Windows:
    """Windows of ``window_s`` seconds of a track, moved by five frames.

    There are none where it is shorter, where half of every window was lost, or where the face is a still
    picture.
    """
    times = series.times
    step = step_seconds(times)
    if step <= 0 or still(series):
        return _NONE
    values = signals(series)
    found = correlations(times, values, window_s=window_s, hop_s=HOP_FRAMES * step, min_s=window_s)
    use = found.valid & (np.isfinite(found.coefficients).mean(1) >= _KNOWN)
    if not use.any():
        return _NONE
    start, end = found.start_s[use], found.end_s[use]
    return Windows(
        start,
        end,
        np.concatenate([found.coefficients[use], found.means[use]], 1),
        _spreads(times, values, start, end),
        _covered_seconds(series, start, end, step),
    )


_NONE = Windows(np.empty(0), np.empty(0), np.empty((0, FEATURES)), np.empty((0, MEANS)), 0.0)


def _spreads(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(W, 20) standard deviations by running sums, gaps left out."""
    known = np.isfinite(values)
    count = known.sum(0)
    filled = np.where(known, values, 0.0)
    # About their mean: sums of squares of far-off numbers would lose the digits that matter.
    filled = np.where(known, filled - filled.sum(0) / np.maximum(count, 1), 0.0)
    sums = [
        np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(part, 0)])
        for part in (known, filled, filled**2)
    ]
    first, last = np.searchsorted(times, start, "left"), np.searchsorted(times, end, "left")
    n, total, squares = (part[last] - part[first] for part in sums)
    least = np.maximum(n, 1)
    variance = np.maximum(squares / least - (total / least) ** 2, 0.0)
    return np.where(n > 0, np.sqrt(variance), np.nan)


def _covered_seconds(
    series: FaceSeries, start: NDArray[np.float64], end: NDArray[np.float64], step: float
) -> float:
    """Followed rows that a window covers, up to the hop in which the next would have begun."""
    last = np.searchsorted(start, series.times, "right") - 1
    inside = (last >= 0) & (series.times < end[last] + (HOP_FRAMES - 0.5) * step)
    return int((inside & seen(series)).sum()) * step


# --------------------------------------------------------------------------- leaving parts out


@dataclass(frozen=True, slots=True)
class Fold:
    """Windows to learn from and windows of one clip to test on; no two of different use overlap."""

    clip: int
    tested: NDArray[np.bool_]
    """(W,) windows of that clip."""
    learnt: tuple[NDArray[np.bool_], ...]
    """A (W,) mask for each clip."""


DOMINANT = 2 / 3
"""A clip of more than this share of the windows is left out block by block, not whole."""
_LONG_BLOCKS = 6
"""Windows' lengths of material from which blocks are two windows long, not one."""


def folds(clips: Sequence[Windows], window_s: float) -> list[Fold]:
    """Leave each clip out; of a clip without which too little is left, one block after another.

    Blocks are disjoint. Windows that reach into a tested block are used for nothing in its fold, so
    that nothing is tested that overlaps what was learned. A part without which there is nothing left
    gets no fold.
    """
    everything = [np.ones(len(clip), bool) for clip in clips]
    total = sum(map(len, clips))
    found = []
    for number, clip in enumerate(clips):
        if not len(clip):
            continue
        parts = [everything[number]]
        if len(clip) > DOMINANT * total:
            parts = _blocks(clip, window_s)
        for tested in parts:
            learnt = list(everything)
            low, high = clip.start_s[tested].min(), clip.end_s[tested].max()
            learnt[number] = (clip.end_s <= low) | (clip.start_s >= high)
            if any(mask.any() for mask in learnt):
                found.append(Fold(number, tested, tuple(learnt)))
    return found


def _blocks(clip: Windows, window_s: float) -> list[NDArray[np.bool_]]:
    """Masks of the windows that lie wholly in one block of the clip's time; empty blocks left out."""
    begin, end = clip.start_s[0], clip.end_s[-1]
    length = window_s * (2 if end - begin >= _LONG_BLOCKS * window_s else 1)
    count = max(1, int((end - begin) / length + 1e-6))
    edges = np.linspace(begin, end, count + 1)
    masks = [(clip.start_s >= low - 1e-6) & (clip.end_s <= high + 1e-6) for low, high in pairwise(edges)]
    return [mask for mask in masks if mask.any()]

"""The period of former key frames in a clip that was coded twice.

D. Vazquez-Padin, M. Fontani, T. Bianchi, P. Comesana, A. Piva, M. Barni, *Detection of Video Double Encoding
with GOP Size Estimation*, WIFS 2012. W. Wang and H. Farid, *Exposing Digital Forgeries in Video by Detecting
Double MPEG Compression*, MM&Sec 2006. A frame that was a key frame in an earlier coding differs in quality
from its neighbors, and costs the second coder more: this comes back at the period of the first coder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from vidscan.forensics.base import Finding, Series, StripInstrument, graded, looked
from vidscan.forensics.coded import Strip
from vidscan.types import TimeMark

_LEAST_FRAMES = 60
_SHORTEST = 5
_LEAST_REPEATS = 4
_NONE, _PLAIN = 6.0, 9.0
"""How far the frames of one period stand above the rest: what chance reaches, and what leaves no doubt."""
_MOST = 8.0
"""Deviations by which a single frame counts at most: scene changes are no key frames."""


class FormerGroups(StripInstrument):
    """Looks for a period in how much background and bytes change that the clip's own key frames lack."""

    name = "former_groups"
    title = "Period of an earlier video coding"
    source = "D. Vazquez-Padin et al.: Detection of Video Double Encoding with GOP Size Estimation. WIFS 2012"
    least_frames = _LEAST_FRAMES

    def examine_strip(self, strip: Strip) -> Finding:
        trace = footprint(strip)
        strength, length, phase = period(trace)
        score = graded(strength, _NONE, _PLAIN)
        series = Series("Trace of former key frames, in deviations", strip.times, trace)
        if score == 0:
            message = "No period of an earlier coding shows. One with few key frames, or finer, never does."
            return looked(self, message, score, series=series)
        message = (
            f"The trace of a former key frame comes back every {length} frames: the clip was coded "
            "before, and again, as every clip that was edited, and every one from a platform."
        )
        marks = tuple(
            TimeMark(float(t), float(t), "former key frame") for t in strip.times[phase::length][:50]
        )
        return looked(self, message, score, series=series, marks=marks)


def footprint(strip: Strip) -> NDArray[np.float64]:
    """(T,) 0 and more: how far background change and bytes of each frame rise above those about it.

    In deviations; 0 at the clip's own key frames and beside them.
    """
    quiet = strip.key.copy()
    quiet[:1] = True
    quiet[1:] |= strip.key[:-1]
    change = _risen(strip.still_change, quiet, None)
    return (change + _risen(np.log1p(strip.bytes), quiet, strip.kinds)) / 2


def _risen(
    values: NDArray[np.float64], quiet: NDArray[np.bool_], groups: NDArray[np.str_] | None
) -> NDArray[np.float64]:
    """Rise above the running median, each group by itself: B frames are smaller than P frames."""
    risen = np.zeros(len(values))
    for group in np.unique(groups) if groups is not None else ("",):
        own = ~quiet & ((groups == group) if groups is not None else True)
        if own.sum() < _LEAST_FRAMES // 3:
            continue
        line = values[own]
        rest = line - median_filter(line, size=7, mode="nearest")
        scale = 1.4826 * float(np.median(np.abs(rest)))
        if scale > 0:
            risen[own] = np.clip(rest / scale, 0, _MOST)
    return risen


def period(trace: NDArray[np.float64]) -> tuple[float, int, int]:
    """How far the frames of the best period stand above the rest, the period and its first frame.

    Of a period and its multiples, which hold nearly the same frames, the one that stands out most wins.
    """
    best = (0.0, 0, 0)
    mean, spread = float(trace.mean()), float(trace.std())
    if spread == 0:
        return best
    for length in range(_SHORTEST, len(trace) // _LEAST_REPEATS + 1):
        for phase in range(length):
            own = trace[phase::length]
            # The median keeps a single scene change from making a period.
            level = min(float(own.mean()), 2 * float(np.median(own)))
            strength = (level - mean) / spread * len(own) ** 0.5
            if strength > best[0] * 1.02:
                best = (strength, length, phase)
    return best

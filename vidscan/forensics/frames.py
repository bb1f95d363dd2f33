"""Frames that come twice, and frames that are missing.

W. Wang and H. Farid, *Exposing Digital Forgeries in Video by Detecting Duplication*, MM&Sec 2007 (repeated
stretches); M. C. Stamm, W. S. Lin and K. J. R. Liu, *Temporal Forensics and Anti-Forensics for Motion
Compensated Video*, IEEE TIFS 2012 (deleted and inserted frames show as jumps in what must be predicted).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, median_filter

from vidscan.forensics.base import Finding, Series, StripInstrument, graded, looked
from vidscan.forensics.coded import Strip
from vidscan.types import TimeMark

_LEAST_FRAMES = 25
_STILL = 0.09
"""Mean difference in gray levels of small pictures that a copy of the frame before makes at most."""
_MOVING = 0.5
"""The same between frames while things move."""
_BESIDE = 4
"""Frames to either side of a match that must match less: slow motion resembles itself."""
_DIP = 0.65
"""A repeated frame differs from its first showing by at most so much of what it differs from those."""
_CLOSE = 0.35
"""And by at most so much of what it differs from the clip's other frames."""
_RUN = 8
"""Frames in a row that must come again."""
_NEAREST = 10
"""Frames apart that a repetition is at least."""
_JUMP = 5.0
"""Times the usual change beside it from which a place is pointed at."""
_NONE, _PLAIN = 3.5, 13.5
"""The same: what footage reaches by itself, and what leaves no doubt."""
_LEAST_CHANGE = 0.18
"""Grey levels of change that coding alone makes."""
_CUT = 0.5
"""Correlation of two frames below which a jump is a cut between scenes."""


class RepeatedFrames(StripInstrument):
    """Looks for frames that stand still, and for stretches that come again later."""

    name = "repeated_frames"
    title = "Repeated frames"
    source = "W. Wang, H. Farid: Exposing Digital Forgeries in Video by Detecting Duplication. MM&Sec 2007"
    least_frames = _LEAST_FRAMES

    def examine_strip(self, strip: Strip) -> Finding:
        """The score is 1 where a stretch comes again, else the share of frames that stand still."""
        change = changes(strip)
        runs = repetitions(strip)
        still = (change < _STILL) & (median_filter(change, size=9) > _MOVING)
        share = float(still.mean())
        marks = [
            TimeMark(
                float(strip.times[start]),
                float(strip.times[end]),
                f"shows the same as {strip.times[start - lag]:.2f} to {strip.times[end - lag]:.2f} s",
            )
            for start, end, lag in runs
        ]
        if runs:
            message = (
                "A stretch of the clip comes again: it was copied within the clip, or the clip is a loop."
            )
        elif share > 0.02:
            message = (
                f"{100 * share:.0f} % of the frames repeat the one before while things move: the frame rate "
                "was raised, or frames were lost while recording."
            )
            marks = [
                TimeMark(float(strip.times[n + 1]), float(strip.times[n + 1]), "repeats the frame before")
                for n in np.flatnonzero(still)
            ]
        else:
            message = "No frames come twice."
        score = 1.0 if runs else min(0.5, share)
        return looked(self, message, score, marks=tuple(marks))


class MissingFrames(StripInstrument):
    """Looks for single jumps within a scene: there frames were cut out, or others put in."""

    name = "missing_frames"
    title = "Missing or inserted frames"
    source = "M. C. Stamm, W. S. Lin, K. J. R. Liu: Temporal Forensics and Anti-Forensics. TIFS 2012"
    least_frames = _LEAST_FRAMES

    def examine_strip(self, strip: Strip) -> Finding:
        """The score is how far the strongest jump stands above the change beside it."""
        ratio = jumps(strip)
        found = np.flatnonzero(ratio >= _JUMP)
        gaps = time_gaps(strip)
        marks = [(int(n), "the picture jumps within the scene") for n in found]
        marks += [(int(n), "the time stamps leave a gap") for n in gaps]
        marks.sort()
        score = graded(float(ratio.max()), _NONE, _PLAIN)
        if len(gaps):
            score = max(score, 0.5)
        message = (
            "The clip jumps: frames were cut out or put in there, or lost while recording."
            if marks
            else "No jump within a scene, and no gap in the time stamps."
        )
        return looked(
            self,
            message,
            score,
            series=Series("Change from frame to frame, against that beside it", strip.times[1:], ratio),
            marks=tuple(
                TimeMark(float(strip.times[n]), float(strip.times[n + 1]), text) for n, text in marks
            ),
        )


def changes(strip: Strip) -> NDArray[np.float64]:
    """(T - 1,) mean change in gray levels from each frame to the next, of their small pictures."""
    return np.abs(np.diff(strip.thumbs, axis=0)).mean(axis=(1, 2)).astype(np.float64)


def repetitions(strip: Strip) -> list[tuple[int, int, int]]:
    """Stretches (first frame, last frame, frames back) that show what was shown before, in time order.

    Of overlapping ones the longest is kept.
    """
    apart = distances(strip.thumbs)
    same = _matches(apart)
    found: list[tuple[int, int, int]] = []
    for lag in range(_NEAREST, len(same) - _RUN):
        # One frame in between may be spoiled by coding.
        row = binary_closing(np.pad(np.diagonal(same, -lag), 1)).astype(np.int8)
        edges = np.flatnonzero(np.diff(row))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start >= _RUN:
                found.append((int(start) + lag, int(stop) + lag - 1, lag))
    # The longest first, of equally long ones that which fits best.
    found.sort(key=lambda run: (run[0] - run[1], _misfit(apart, *run)))
    kept: list[tuple[int, int, int]] = []
    for first, last, lag in found:
        if all(last < other[0] or first > other[1] for other in kept):
            kept.append((first, last, lag))
    return sorted(kept)


def _misfit(apart: NDArray[np.float32], first: int, last: int, lag: int) -> float:
    frames = np.arange(first, last + 1)
    return float(apart[frames, frames - lag].mean())


def distances(thumbs: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, T) root mean square difference in gray levels of any two frames' small pictures (T, h, w)."""
    flat = thumbs.reshape(len(thumbs), -1)
    flat = flat - flat.mean()
    squares = np.square(flat).sum(axis=1)
    apart = squares[:, None] + squares[None] - 2 * (flat @ flat.T)
    return np.sqrt(np.maximum(apart, 0) / flat.shape[1]).astype(np.float32)


def _matches(apart: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(T, T) where frame t (row) shows what frame s (column) showed, and not what those about s did."""
    padded = np.pad(apart, ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    beside = np.minimum(padded[:, : -2 * _BESIDE], padded[:, 2 * _BESIDE :])
    usual = np.median(apart, axis=1, keepdims=True)
    return (apart < _DIP * beside) & (apart < _CLOSE * usual)


def jumps(strip: Strip) -> NDArray[np.float64]:
    """(T - 1,) change from frame to frame over the usual change beside it; 0 at cuts between scenes."""
    change = changes(strip)
    beside = np.maximum(median_filter(change, size=9, mode="nearest"), _LEAST_CHANGE)
    # The neighbors' peaks count too: a hand that flies through the picture is no single jump.
    padded = np.pad(change, 2)
    neighbours = np.maximum.reduce([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]])
    ratio = change / np.maximum(beside, neighbours / 2)
    flat = strip.thumbs.reshape(len(strip.thumbs), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norms = np.maximum(np.linalg.norm(flat, axis=1), 1e-6)
    alike = (flat[1:] * flat[:-1]).sum(axis=1) / (norms[1:] * norms[:-1])
    ratio[alike < _CUT] = 0.0
    return np.asarray(ratio, np.float64)


def time_gaps(strip: Strip) -> NDArray[np.intp]:
    """Frames after which the time stamps leave room for others, in a clip of an even rate."""
    steps = np.diff(strip.times)
    usual = float(np.median(steps))
    even = np.mean(np.abs(steps - usual) < 0.1 * usual) > 0.95
    return np.flatnonzero(steps > 1.8 * usual) if even and usual > 0 else np.array([], np.intp)

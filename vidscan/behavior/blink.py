"""Blinking: the blinks in how far the eyes are closed, and what they look like over a stretch of time.

How far they are closed can be told in three ways (:mod:`vidscan.behavior.eye_closure`); :func:`find_blinks`
turns any of them into events. All times are seconds and crossings of a threshold are interpolated between
frames, so nothing depends on the frame rate. A blink is only told where it is seen from start to end: none
crosses a row in which the face was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.eye_closure import Rule, closure
from vidscan.behavior.material import MIN_SECONDS, enough
from vidscan.types import FaceSeries

_BASELINE_S, _BASELINE_STEP_S = 2.0, 0.5
_BASELINE_QUANTILE = 0.3
_MAX_BASELINE = 0.4
"""People who look down lower their lids: closing is told from the level about it. A level above this is
that of eyes held shut, and does not count as theirs."""
_GAP_STEPS = 2.5
"""Rows further apart than so many median steps have lost frames between them."""
_HIDING_S = 0.2
"""A gap longer than this may hide a whole blink: the pause about it is not known."""

FEATURES: dict[str, str] = {
    "blink_rate": "blinks a minute of seen time",
    "blink_interval": "s, median between the starts of blinks; under two blinks, the longest pause",
    "blink_interval_spread": "interquartile range of those intervals over their median; under three, 0",
    "blink_longest_pause": "s, longest seen stretch without a blink",
    "blink_duration": "s, median over blinks; without any, an ordinary one's",
    "blink_complete": "share of blinks that close the eyes; without any, 1",
    "blink_asymmetry": "median difference between the two eyes' depth, 0..1; without any blink, 0",
    "blink_closed_share": "share of seen time in which the eyes are more than half closed",
}
"""Unit and meaning of what :func:`describe` gives."""

_ORDINARY = {
    "blink_interval_spread": 0.0,
    "blink_duration": 0.2,
    "blink_complete": 1.0,
    "blink_asymmetry": 0.0,
}
"""A window without blinks does not tell these, so they must not look odd. Most blinks last 0.1 to 0.4 s."""


# --------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class BlinkThresholds:
    """When closing eyes are a blink. Thresholds lie between the level about it (0) and shut (1)."""

    enter: float = 0.4
    """Closure that makes an event."""
    leave: float = 0.2
    """Closure at which it starts and ends."""
    complete: float = 0.7
    """Depth from which a blink is complete."""
    shortest_s: float = 0.05
    longest_s: float = 0.8
    """Longer, and the eyes are held shut."""

    def __post_init__(self) -> None:
        if not (0 < self.leave < self.enter <= 1 and 0 <= self.shortest_s < self.longest_s):
            raise ValueError("a blink rule needs 0 < leave < enter <= 1 and 0 <= shortest_s < longest_s")


@dataclass(frozen=True, slots=True)
class Blink:
    """One closing of the eyes, from leaving the open level to coming back to it."""

    start_s: float
    end_s: float
    peak_s: float
    """Time of the row in which the eyes are closed furthest."""
    depth: float
    """Largest closure, mean of both eyes, 0..1."""
    duration_s: float
    left_depth: float
    """Largest closure of the left eye as seen in the image, 0..1."""
    right_depth: float
    complete: bool


@dataclass(frozen=True, slots=True)
class BlinkSeries:
    """What :func:`find_blinks` found in one stretch of time."""

    blinks: tuple[Blink, ...]
    """In time order; they never overlap."""
    held_shut: tuple[Blink, ...]
    """Longer than the rule's ``longest_s``; those that a gap or the end cuts are kept as far as seen."""
    stretches: tuple[tuple[float, float], ...]
    """First and last time of every run of rows without a gap, in seconds."""
    seen_s: float
    """Seconds for which the eyes were seen."""
    closed_s: float
    """Seconds of those in which they were more than half closed."""


def find_blinks(
    times: NDArray[np.floating], closed: NDArray[np.floating], rule: BlinkThresholds | None = None
) -> BlinkSeries:
    """The blinks in a closure signal.

    Parameters
    ----------
    times
        (T,) seconds, never decreasing.
    closed
        (T, 2) closure of both eyes, or (T,) of both alike, 0 open to 1 closed; NaN rows are lost.
    rule
        When closing is a blink.

    Returns
    -------
    BlinkSeries
        A blink that a gap or the end of the series cuts is left out: its duration is not known.

    Raises
    ------
    ValueError
        Where shapes disagree.
    """
    rule = rule or BlinkThresholds()
    eyes = np.asarray(closed, np.float64)
    if eyes.ndim == 1:
        eyes = np.stack([eyes, eyes], axis=1)
    when = np.asarray(times, np.float64)
    if eyes.shape != (len(when), 2):
        raise ValueError(f"{len(when)} times but a closure of shape {np.shape(closed)}")
    known = np.asarray(~np.isnan(eyes).any(axis=1), bool)
    steps = np.diff(when)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    if not known.any() or step == 0:
        return BlinkSeries((), (), (), 0.0, 0.0)
    both = eyes.mean(axis=1)
    base = _baseline(when, both, known)
    blinks: list[Blink] = []
    held: list[Blink] = []
    stretches = []
    for run in _runs(known, steps > _GAP_STEPS * step):
        stretches.append((float(when[run.start]), float(when[run.stop - 1])))
        for event, whole in _events(when[run], eyes[run], base[run], rule):
            if event.duration_s > rule.longest_s:
                held.append(event)
            elif whole and event.duration_s >= rule.shortest_s:
                blinks.append(event)
    closed_rows = int((both[known] > 0.5).sum())
    return BlinkSeries(
        tuple(blinks), tuple(held), tuple(stretches), int(known.sum()) * step, closed_rows * step
    )


def _baseline(
    times: NDArray[np.float64], values: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(T,) level of open eyes about each row: a low quantile over 4 s, never above 0.4."""
    when, seen = times[known], values[known]
    anchors = np.arange(when[0], when[-1] + _BASELINE_STEP_S, _BASELINE_STEP_S)
    first = np.searchsorted(when, anchors - _BASELINE_S, "left")
    last = np.searchsorted(when, anchors + _BASELINE_S, "right")
    levels = np.array(
        [
            np.quantile(seen[a:b], _BASELINE_QUANTILE) if b > a else np.nan
            for a, b in zip(first, last, strict=True)
        ]
    )
    found = ~np.isnan(levels)
    return np.minimum(np.interp(times, anchors[found], levels[found]), _MAX_BASELINE)


def _runs(wanted: NDArray[np.bool_], broken: NDArray[np.bool_] | None = None) -> Iterator[slice]:
    """Stretches of consecutive wanted rows; ``broken[i]`` parts rows i and i + 1."""
    joined = wanted[1:] & wanted[:-1]
    if broken is not None:
        joined &= ~broken
    starts = np.flatnonzero(wanted & ~np.concatenate([[False], joined]))
    ends = np.flatnonzero(wanted & ~np.concatenate([joined, [False]]))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield slice(start, end + 1)


def _events(
    times: NDArray[np.float64], eyes: NDArray[np.float64], base: NDArray[np.float64], rule: BlinkThresholds
) -> Iterator[tuple[Blink, bool]]:
    """Closings in one run without gaps, each with whether it is seen from start to end."""
    both = eyes.mean(axis=1)
    # Closure above the level about it, of the way that is left to shut.
    height = (both - base) / (1 - base)
    for part in _runs(height > rule.leave):
        if height[part].max() < rule.enter:
            continue
        whole = part.start > 0 and part.stop < len(times)
        start = _crossing(times, height, part.start, rule.leave) if part.start > 0 else float(times[0])
        end = _crossing(times, height, part.stop, rule.leave) if part.stop < len(times) else float(times[-1])
        peak = part.start + int(np.argmax(both[part]))
        left, right = eyes[part].max(axis=0).tolist()
        depth = float(both[peak])
        blink = Blink(
            start, end, float(times[peak]), depth, end - start, left, right, complete=depth >= rule.complete
        )
        yield blink, whole


def _crossing(times: NDArray[np.float64], values: NDArray[np.float64], row: int, level: float) -> float:
    """Time between ``row - 1`` and ``row``, on either side of the level, at which it is crossed."""
    before, after = values[row - 1], values[row]
    share = float((level - before) / (after - before))
    return float(times[row - 1] + share * (times[row] - times[row - 1]))


# --------------------------------------------------------------------------- statistics


@dataclass(frozen=True, slots=True)
class BlinkStatistics:
    """How a person blinks over a stretch of time; None where there are too few blinks to tell."""

    rate: float
    """Blinks a minute of seen time."""
    interval_s: float | None
    """Median time between the starts of consecutive blinks that no gap parts."""
    interval_spread: float | None
    """Interquartile range of these intervals over their median."""
    longest_pause_s: float
    """Longest seen stretch without a blink."""
    duration_s: float | None
    """Median."""
    complete: float | None
    """Share of blinks that are complete."""
    asymmetry: float | None
    """Median difference between the left and the right eye's depth, 0..1."""
    closed_share: float
    """Share of seen time in which the eyes are more than half closed."""


def statistics(found: BlinkSeries) -> BlinkStatistics | None:
    """Sums up a stretch of time; None where nothing was seen."""
    if found.seen_s <= 0:
        return None
    blinks = found.blinks
    intervals, pause = _pauses(found)
    middle = float(np.median(intervals)) if intervals else None
    spread = None
    if middle and len(intervals) >= 3:
        low, high = np.quantile(intervals, [0.25, 0.75])
        spread = float(high - low) / middle
    return BlinkStatistics(
        rate=60 * len(blinks) / found.seen_s,
        interval_s=middle,
        interval_spread=spread,
        longest_pause_s=pause,
        duration_s=float(np.median([b.duration_s for b in blinks])) if blinks else None,
        complete=sum(b.complete for b in blinks) / len(blinks) if blinks else None,
        asymmetry=float(np.median([abs(b.left_depth - b.right_depth) for b in blinks])) if blinks else None,
        closed_share=found.closed_s / found.seen_s,
    )


def _pauses(found: BlinkSeries) -> tuple[list[float], float]:
    """Intervals between blinks' starts, and the longest time without one, over what is seen unbroken.

    Gaps too short to hide a blink do not break it.
    """
    merged: list[list[float]] = []
    for start, end in found.stretches:
        if merged and start - merged[-1][1] <= _HIDING_S:
            merged[-1][1] = end
        else:
            merged.append([start, end])
    intervals: list[float] = []
    pause = 0.0
    for first, last in merged:
        inside = [b for b in found.blinks if first <= b.start_s and b.end_s <= last]
        starts = [b.start_s for b in inside]
        intervals += np.diff(starts).tolist()
        opens = [first, *(b.end_s for b in inside)]
        pause = max(pause, *(b - a for a, b in zip(opens, [*starts, last], strict=True)))
    return intervals, pause


def describe(
    series: FaceSeries, *, rule: Rule = "network", events: BlinkThresholds | None = None
) -> dict[str, float] | None:
    """:data:`FEATURES` of a series that is already cut to a window; None where it is insufficient
    (:func:`vidscan.behavior.material.enough`) or the eyes were seen for under 4 s.

    What needs blinks, in a window without any, takes an ordinary value: only the rate and the pause say
    that there was none. ``rule`` is that of :func:`closure`, and ``events`` that of :func:`find_blinks`.
    """
    if not enough(series):
        return None
    found = find_blinks(series.times, closure(series, rule), events)
    summary = statistics(found)
    if summary is None or found.seen_s < MIN_SECONDS:
        return None
    values: dict[str, float | None] = {
        "blink_rate": summary.rate,
        "blink_interval": summary.longest_pause_s if summary.interval_s is None else summary.interval_s,
        "blink_interval_spread": summary.interval_spread,
        "blink_longest_pause": summary.longest_pause_s,
        "blink_duration": summary.duration_s,
        "blink_complete": summary.complete,
        "blink_asymmetry": summary.asymmetry,
        "blink_closed_share": summary.closed_share,
    }
    return {name: _ORDINARY[name] if value is None else value for name, value in values.items()}


# --------------------------------------------------------------------------- against the truth


def match_events(
    found: Sequence[Blink], truth: Sequence[Blink], tolerance_s: float = 0.1
) -> tuple[int, int, int]:
    """Hits, false alarms and misses (tp, fp, fn) of blinks in time order, matched one to one.

    Two match where they overlap, or where their starts are at most ``tolerance_s`` apart.
    """
    i = j = hits = 0
    while i < len(found) and j < len(truth):
        a, b = found[i], truth[j]
        overlap = a.start_s < b.end_s and b.start_s < a.end_s
        if overlap or abs(a.start_s - b.start_s) <= tolerance_s:
            hits, i, j = hits + 1, i + 1, j + 1
        # The earlier of two that do not match lies before all that is to come on the other side.
        elif a.start_s < b.start_s:
            i += 1
        else:
            j += 1
    return hits, len(found) - hits, len(truth) - hits


def f1(tp: int, fp: int, fn: int) -> float:
    """Harmonic mean of precision and recall, 0..1; 1 where there was nothing to find and nothing found."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0

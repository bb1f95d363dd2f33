"""Charts of the HTML report: SVG that keeps its letters legible at any width.

Positions along the time axis are percentages and heights are pixels, so a chart stretches with the page
while text and dots keep their size; only lines live in a nested, stretched coordinate system with strokes
that do not scale. Colors, dashes and fonts come from the style sheet, by class. Nothing is told by color
alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from vidscan.report.words import score_digits
from vidscan.types import Thresholds

_WIDE = 1000
"""Width of the stretched coordinate system that lines are drawn in."""
_MOST_POINTS = 800
"""Longer lines are drawn as the lowest and highest value of so many stretches of time."""
_MOST_DOTS = 160
_INSET = 6
"""Pixels between a chart's edges and its lowest and highest value: a flat line must not lie on the edge."""
_AXIS = 22
_ROW = 20
"""Height of a row of marks."""
_NUMBER = 8.0
"""Percent of a chart's width that a mark's number takes on a narrow screen."""
_GAP_STEPS = 2.5
"""A line breaks where points lie further apart than so many median steps, and at NaN."""
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Domain:
    """The stretch of time that a chart shows, in seconds; ``end`` lies after ``start``."""

    start: float
    end: float

    def percent(self, time_s: float) -> float:
        """Where a time lies, 0..100; times outside lie on the edge."""
        return 100 * min(1.0, max(0.0, (time_s - self.start) / (self.end - self.start)))


@dataclass(frozen=True, slots=True)
class Mark:
    """A numbered bar above a timeline."""

    number: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a small chart; ``name`` is written in its key."""

    name: str
    values: NDArray[np.floating]
    """(T,) NaN where unknown."""


def score_scale(score: float, thresholds: Thresholds, label: str) -> Markup:
    """The scale from 0 to 1 with its three zones, both thresholds and the score."""
    low, high = 100 * thresholds.uncertain, 100 * thresholds.manipulated
    at = 100 * min(1.0, max(0.0, score))
    top, deep = 34, 26
    zones = [
        ("no_manipulation_found", 0.0, low, "start", "no manipulation found", 0.0),
        ("uncertain", low, high, "start", "uncertain", low),
        ("manipulated", high, 100.0, "end", "manipulated", 100.0),
    ]
    parts = []
    for name, start, end, anchor, text, x in zones:
        parts.append(
            _tag("rect", class_=f"zone {name}", x=_pc(start), y=top, width=_pc(end - start), height=deep)
        )
        shift = 6 if anchor == "start" else -6
        parts.append(
            _tag("text", text, class_=f"zone-name {name}", x=_pc(x), dx=shift, y=top + 17, text_anchor=anchor)
        )
    for value, anchor in ((0.0, "start"), (low, "middle"), (high, "middle"), (100.0, "end")):
        if 0 < value < 100:
            parts.append(_tag("line", class_="edge", x1=_pc(value), x2=_pc(value), y1=top, y2=top + deep + 5))
        parts.append(
            _tag(
                "text",
                f"{value / 100:.3g}",
                class_="tick",
                x=_pc(value),
                y=top + deep + 18,
                text_anchor=anchor,
            )
        )
    pointer = _tag("path", class_="pointer", d="M0 0 l-8 -11 h16 z")
    parts.append(_tag("svg", pointer, x=_pc(at), y=top - 1, width=1, height=1, class_="open"))
    anchor = "start" if at < 6 else "end" if at > 94 else "middle"
    nudge = {"start": -8, "middle": 0, "end": 8}[anchor]
    parts.append(
        _tag("text", score_digits(score), class_="value", x=_pc(at), dx=nudge, y=top - 16, text_anchor=anchor)
    )
    return _chart(parts, top + deep + 24, label, "scale")


def timeline(
    times: NDArray[np.floating],
    scores: NDArray[np.floating],
    levels: NDArray[np.floating],
    domain: Domain,
    segments: Sequence[tuple[float, float]],
    marks: Sequence[Mark],
    label: str,
) -> Markup:
    """One track's crop scores, 0..1, with shaded segments and numbered reasons above.

    There are no thresholds: those of the verdict are for whole faces.

    Parameters
    ----------
    times, scores, levels
        (T,) seconds, ascending, the score of each crop, and their running level.
    segments
        Start and end in seconds.
    label
        What the chart shows, for those who do not see it.
    """
    plot = 96
    rows = _rows(marks, domain)
    top = 8 + _ROW * (max(rows, default=-1) + 1)
    parts = [_tag("rect", class_="ground", x=0, y=top, width="100%", height=plot)]
    for start, end in segments:
        x, width = _span(domain, start, end)
        parts.append(_tag("rect", class_="segment", x=x, y=top, width=width, height=plot))
        parts.append(_tag("rect", class_="segment-foot", x=x, y=top + plot - 4, width=width, height=4))
    parts += _value_axis([(0.0, ""), (1.0, "")], 0.0, 1.0, top, plot)
    lines = [("line score", scores), ("line level", levels)]
    paths = [_path(times, values, domain, 0.0, 1.0, plot, kind) for kind, values in lines]
    parts.append(_stretched(paths, top, plot))
    if len(times) <= _MOST_DOTS:
        for time_s, score in zip(times, scores, strict=True):
            y = top + _height(float(score), 0.0, 1.0, plot)
            parts.append(_tag("circle", class_="dot", cx=_pc(domain.percent(float(time_s))), cy=_n(y), r=2))
    for mark, row in zip(marks, rows, strict=True):
        parts += _numbered_bar(mark, domain, 10 + _ROW * row)
    parts += _time_axis(domain, top + plot)
    parts.append(_tag("line", class_="cursor", x1="0", x2="0", y1=top - 4, y2=top + plot + 4))
    return _chart(parts, top + plot + _AXIS, label, "timeline")


def small_chart(
    times: NDArray[np.floating],
    lines: Sequence[Line],
    domain: Domain,
    low: float,
    high: float,
    unit: str,
    label: str,
    events: Sequence[tuple[float, float]] = (),
) -> Markup:
    """A few lines over time between ``low`` and ``high``; ``events`` (start, end) are shaded."""
    plot, top = 84, 6
    parts = [_tag("rect", class_="ground", x=0, y=top, width="100%", height=plot)]
    for start, end in events:
        x, width = _span(domain, start, end)
        parts.append(_tag("rect", class_="event", x=x, y=top, width=width, height=plot))
    parts += _value_axis([(low, unit), (high, unit)], low, high, top, plot)
    if low < 0 < high:
        parts += _value_axis([(0.0, unit)], low, high, top, plot, "zero")
    paths = [
        _path(times, line.values, domain, low, high, plot, f"line l{number}")
        for number, line in enumerate(lines, 1)
    ]
    parts.append(_stretched(paths, top, plot))
    parts += _time_axis(domain, top + plot, most=5)
    return _chart(parts, top + plot + _AXIS, label, "small")


def ticks(domain: Domain, most: int = _MOST_TICKS) -> list[float]:
    """Round times inside a domain, at most ``most``."""
    span = domain.end - domain.start
    step = next((s for s in _STEPS if span / s <= most - 1), span / (most - 1))
    first = math.ceil(domain.start / step - 1e-9)
    last = math.floor(domain.end / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def clock(seconds: float) -> str:
    """A time on an axis: ``0:05``, ``0:00.5``, ``1:02:03``."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    text = f"{whole // 60 % 60}:{whole % 60:02d}" + (f".{tenth}" if tenth else "")
    return f"{whole // 3600}:{text.zfill(5)}" if whole >= 3600 else text


# --------------------------------------------------------------------------- parts


def _chart(parts: Sequence[Markup], height: int, label: str, kind: str) -> Markup:
    return _tag(
        "svg", *parts, class_=f"chart {kind}", role="img", aria_label=label, width="100%", height=height
    )


def _value_axis(
    levels: Sequence[tuple[float, str]], low: float, high: float, top: int, plot: int, kind: str = "grid"
) -> list[Markup]:
    """A line across, and a number with its unit at its left end, for each level."""
    parts = []
    for value, unit in levels:
        y = top + _height(value, low, high, plot)
        parts.append(_tag("line", class_=kind, x1=0, x2="100%", y1=_n(y), y2=_n(y)))
        parts.append(
            _tag("text", f"{value:.3g}{unit}", class_="tick", x=0, dx=-6, y=_n(y + 4), text_anchor="end")
        )
    return parts


def _height(value: float, low: float, high: float, plot: int) -> float:
    """Pixels from the top of a chart down to a value; values outside lie on their end."""
    share = (high - min(high, max(low, value))) / (high - low)
    return _INSET + (plot - 2 * _INSET) * share


def _time_axis(domain: Domain, bottom: int, most: int = _MOST_TICKS) -> list[Markup]:
    parts = []
    for number, time_s in enumerate(ticks(domain, most)):
        at = domain.percent(time_s)
        # Every other label gives way on a narrow screen.
        kind = "tick" if number % 2 == 0 else "tick odd"
        anchor = "start" if at < 3 else "end" if at > 97 else "middle"
        parts.append(_tag("line", class_="grid", x1=_pc(at), x2=_pc(at), y1=bottom, y2=bottom + 4))
        parts.append(_tag("text", clock(time_s), class_=kind, x=_pc(at), y=bottom + 17, text_anchor=anchor))
    return parts


def _rows(marks: Sequence[Mark], domain: Domain) -> list[int]:
    """The row of each mark, so that neither bars nor numbers overlap, on narrow screens either."""
    taken: list[list[tuple[float, float]]] = []
    rows = []
    for mark in marks:
        start = domain.percent(mark.start_s)
        end = max(domain.percent(mark.end_s), start + _NUMBER)
        row = next(
            (n for n, spans in enumerate(taken) if all(start >= e or end <= s for s, e in spans)), len(taken)
        )
        if row == len(taken):
            taken.append([])
        taken[row].append((start, end))
        rows.append(row)
    return rows


def _numbered_bar(mark: Mark, domain: Domain, middle: int) -> list[Markup]:
    x, width = _span(domain, mark.start_s, mark.end_s)
    return [
        _tag("rect", class_="mark-bar", x=x, y=middle - 2, width=width, height=4),
        _tag("circle", class_="mark", cx=x, cy=middle, r=9),
        _tag("text", mark.number, class_="mark-number", x=x, y=middle + 4, text_anchor="middle"),
    ]


def _span(domain: Domain, start: float, end: float) -> tuple[str, str]:
    """Left edge and width in percent; never too narrow to be seen."""
    width = max(0.4, domain.percent(end) - domain.percent(start))
    return _pc(min(domain.percent(start), 100 - width)), _pc(width)


def _stretched(paths: Sequence[Markup], top: int, plot: int) -> Markup:
    return _tag(
        "svg",
        *paths,
        class_="open",
        x=0,
        y=top,
        width="100%",
        height=plot,
        viewBox=f"0 0 {_WIDE} {plot}",
        preserveAspectRatio="none",
    )


def _path(
    times: NDArray[np.floating],
    values: NDArray[np.floating],
    domain: Domain,
    low: float,
    high: float,
    plot: int,
    kind: str,
) -> Markup:
    when, what = _thinned(np.asarray(times, np.float64), np.asarray(values, np.float64))
    steps = np.diff(when)
    # At least one second: single crops a moment apart still belong together.
    widest = max(1.0, _GAP_STEPS * float(np.median(steps))) if len(steps) else 0.0
    moves, pen_down, before = [], False, 0.0
    for time_s, value in zip(when.tolist(), what.tolist(), strict=True):
        if math.isnan(value):
            pen_down = False
            continue
        pen_down = pen_down and time_s - before <= widest
        y = _height(value, low, high, plot)
        moves.append(f"{'L' if pen_down else 'M'}{_n(_WIDE / 100 * domain.percent(time_s))} {_n(y)}")
        pen_down, before = True, time_s
    return _tag("path", class_=kind, d="".join(moves))


def _thinned(
    times: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same line in at most about two points a stretch: its lowest and its highest; gaps stay gaps."""
    if len(times) <= 2 * _MOST_POINTS:
        return times, values
    kept: list[int] = []
    for rows in np.array_split(np.arange(len(times)), _MOST_POINTS):
        known = rows[~np.isnan(values[rows])]
        if len(known) == 0:
            kept.append(int(rows[0]))
        else:
            kept += sorted({int(known[values[known].argmin()]), int(known[values[known].argmax()])})
    return times[kept], values[kept]


def _tag(name: str, *content: object, **attributes: object) -> Markup:
    """An element; text and attributes are escaped, ``class_`` is class and a_b is a-b."""
    pairs = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), pairs, Markup("").join(map(escape, content)))


def _pc(value: float) -> str:
    return f"{_n(value)}%"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

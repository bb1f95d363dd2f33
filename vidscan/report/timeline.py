"""The panel below an overlay's picture: verdict, scores over time, and what the colours mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidscan.report.drawing import (
    INK,
    LABEL_COLOURS,
    MUTED,
    PAPER,
    TEXT,
    WHITE,
    Colour,
    Image,
    draw_dot,
    draw_lines,
    draw_pill,
    draw_text,
    fitting,
    heat_table,
    paint,
    text_width,
    track_colour,
)
from vidscan.report.words import LABEL_NAMES, headline, label_words, timecode
from vidscan.types import Label, Report
from vidscan.verdict.aggregate import running_level

_BANDS: tuple[Label, ...] = ("manipulated", "uncertain", "no_manipulation_found")
"""What scores can come to, from the top of the panel down."""

_SCENE: Colour = (120, 128, 140)
_GAP_S = 1.0
"""A line breaks where a face was not scored for longer than this and than two and a half of its steps."""


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """The scores of one track.

    Attributes
    ----------
    times
        (n,) seconds.
    scores, levels
        (n,) 0..1, of single crops and their running medians.
    gap_s
        Scores further apart do not belong together.
    """

    track_id: int
    times: NDArray[np.float64]
    scores: NDArray[np.float64]
    levels: NDArray[np.float64]
    gap_s: float

    def at(self, time_s: float) -> int | None:
        """The latest score at a time; None before the first, and where the latest is too long ago."""
        row = int(np.searchsorted(self.times, time_s + 1e-6, "right")) - 1
        return row if row >= 0 and time_s - self.times[row] <= self.gap_s else None

    @property
    def parts(self) -> list[slice]:
        """The ranges of rows that belong together."""
        breaks = np.flatnonzero(np.diff(self.times) > self.gap_s) + 1
        return [slice(a, b) for a, b in pairwise([0, *breaks.tolist(), len(self.times)])]


def score_lines(report: Report) -> dict[int, ScoreLine]:
    """The scores of ``report.frames`` by track, in the order of tracks."""
    found: dict[int, list[tuple[float, float]]] = {}
    for frame in report.frames:
        if frame.score is not None:
            found.setdefault(frame.track_id, []).append((frame.time_s, frame.score))
    return {track_id: _line(track_id, np.array(found[track_id])) for track_id in sorted(found)}


def _line(track_id: int, rows: NDArray[np.float64]) -> ScoreLine:
    times, scores = rows.T
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return ScoreLine(track_id, times, scores, running_level(times, scores), max(_GAP_S, 2.5 * step))


@dataclass
class Panel:
    """The panel of one clip: drawn once, then for every frame with the playhead where it stands.

    Parameters
    ----------
    report
        With ``frames``.
    lines
        Of the tracks, see :func:`score_lines`.
    width
        In pixels.
    size
        Of the text, in pixels.
    duration_s
        What the timeline's full width stands for; 0 for a picture, which has no timeline.
    """

    report: Report
    lines: Mapping[int, ScoreLine]
    width: int
    size: int
    duration_s: float
    height: int = field(init=False)
    _still: Image = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size = self.size
        self._pad = max(2, round(0.7 * size))
        self._small = max(9, round(0.82 * size))
        names = max(text_width(word, self._small) for word in map(label_words, _BANDS)) + round(0.8 * size)
        self._left = self._pad + (names if names < 0.28 * self.width else 0)
        self._plot_top = round(2.3 * size)
        self._plot_high = round(4.6 * size) if self.duration_s > 0 else 0
        legend_y = (
            self._plot_top + self._plot_high + (round(1.1 * size) if self.duration_s > 0 else size // 2)
        )
        self.height = legend_y + size
        self._still = np.empty((self.height, self.width, 3), np.uint8)
        self._still[:] = PAPER
        self._title()
        if self.duration_s > 0:
            self._plot()
        self._legend(legend_y)

    def draw(self, image: Image, time_s: float) -> None:
        """Fill ``image`` (height, width, 3) with the panel at a time."""
        image[:] = self._still
        if self.duration_s <= 0:
            return
        clock = self._clock(time_s)
        x = self.width - self._pad - text_width(clock, self.size)
        if x > self._title_end:
            draw_text(image, clock, x, self._title_y, self.size, MUTED)
        head = float(self._x(time_s))
        top, bottom = self._plot_top, self._plot_top + self._plot_high
        fine = max(1.0, self.size / 14)
        draw_lines(image, np.array([(head, top), (head, bottom)]), WHITE, fine)
        for line in self.lines.values():
            row = line.at(time_s)
            if row is not None:
                y = float(self._y(line.levels[row]))
                draw_dot(image, head, y, 0.34 * self.size, INK)
                draw_dot(image, head, y, 0.25 * self.size, track_colour(line.track_id))

    @property
    def _title_y(self) -> float:
        return 1.25 * self.size

    def _clock(self, time_s: float) -> str:
        return f"{timecode(time_s)} / {timecode(self.duration_s)}"

    def _title(self) -> None:
        """The verdict in words, beside its colour."""
        size, label = self.size, self.report.verdict.label
        draw_dot(self._still, self._pad + 0.35 * size, self._title_y, 0.36 * size, LABEL_COLOURS[label])
        x = self._pad + round(1.2 * size)
        whole = headline(self.report)
        room = self.width - self._pad - x
        clock = text_width(self._clock(self.duration_s), size) + size if self.duration_s > 0 else 0
        words = (whole, whole.split(" (")[0], whole.split(":")[0])
        text = fitting(words, size, room - clock) or fitting((*words, LABEL_NAMES[label]), size, room)
        if text:
            draw_text(self._still, text, x, self._title_y, size)
        self._title_end = x + text_width(text, size) + size // 2 if text else x

    # ------------------------------------------------------------------ the timeline

    def _x(self, times: NDArray[np.float64] | float) -> NDArray[np.float64]:
        across = max(1, self.width - self._pad - self._left - 1)
        return self._left + np.clip(np.asarray(times) / self.duration_s, 0, 1) * across

    def _y(self, scores: NDArray[np.float64] | float) -> NDArray[np.float64]:
        inner = self._plot_high - 1 - 0.5 * self.size
        return self._plot_top + 0.25 * self.size + (1 - np.clip(scores, 0, 1)) * inner

    def _plot(self) -> None:
        """Bands from threshold to threshold, named beside them where there is room, and the curves."""
        left, right = self._left, self.width - self._pad
        top, bottom = self._plot_top, self._plot_top + self._plot_high
        limits = self.report.verdict.thresholds
        high, middle = float(self._y(limits.manipulated)), float(self._y(limits.uncertain))
        self._still[top:bottom, left:right] = INK
        for label, (upper, lower) in zip(_BANDS, pairwise((top, high, middle, bottom)), strict=True):
            colour = LABEL_COLOURS[label]
            band = np.full((max(0, round(lower) - round(upper)), max(0, right - left)), 255, np.uint8)
            paint(self._still, band, left, upper, colour, 0.2 if label != "no_manipulation_found" else 0.0)
            if lower < bottom:
                edge = np.array([(left, lower), (right - 1, lower)])
                draw_lines(self._still, edge, colour, self.size / 16)
            if self._left > self._pad and lower - upper >= 0.9 * self._small:
                name = label_words(label)
                draw_text(self._still, name, self._pad, (upper + lower) / 2, self._small, MUTED)
        for line in self.lines.values():
            self._curve(line)
        self._segments(bottom)

    def _curve(self, line: ScoreLine) -> None:
        colour = track_colour(line.track_id)
        for part in line.parts:
            x = self._x(line.times[part])
            fine = np.stack([x, self._y(line.scores[part])], axis=1)
            strong = np.stack([x, self._y(line.levels[part])], axis=1)
            if len(x) == 1:
                draw_dot(self._still, strong[0, 0], strong[0, 1], self.size / 6, colour)
                continue
            shade = tuple(round(0.4 * c + 0.6 * i) for c, i in zip(colour, INK, strict=True))
            draw_lines(self._still, fine, shade, 1)  # type: ignore[arg-type]
            draw_lines(self._still, strong, colour, max(1.0, self.size / 8))

    def _segments(self, bottom: int) -> None:
        """Bars along the lower edge, where a face looks manipulated."""
        thick = max(2, round(0.28 * self.size))
        for segment in self.report.segments:
            x0, x1 = float(self._x(segment.start_s)), float(self._x(segment.end_s))
            box = (x0, bottom - thick, max(x1, x0 + thick), bottom)
            draw_pill(self._still, box, LABEL_COLOURS["manipulated"])

    # ------------------------------------------------------------------ the legend

    def _legend(self, y: int) -> None:
        """What the heat means, then what the timeline shows, as far as there is room."""
        size, still = self._small, self._still
        colours, opacity = heat_table()
        x, wide, tall = float(self._pad), round(5 * size), max(4, round(0.7 * size))
        room = self.width - self._pad
        words = (
            "how likely a patch is manipulated: clear below 20 %, line at 50 %",
            "how likely a patch is manipulated",
            "manipulated?",
        )
        zero, one = "0", "1"
        ends = text_width(zero, size) + text_width(one, size) + size
        text = fitting(words, size, room - x - wide - ends - 0.6 * size)
        if not text:
            return
        draw_text(still, zero, x, y, size, MUTED)
        x += text_width(zero, size) + 0.4 * size
        levels = np.linspace(0, 255, wide).round().astype(int)
        share = opacity[levels, None]
        bar = (colours[levels] * share + np.array(_SCENE) * (1 - share)).round().astype(np.uint8)
        top, left = y - tall // 2, round(x)
        still[top : top + tall, left : left + wide] = bar
        half = left + round(wide * 128 / 255)
        still[top : top + tall, half : half + max(1, round(size / 10))] = WHITE
        x = left + wide + 0.4 * size
        draw_text(still, one, x, y, size, MUTED)
        x += text_width(one, size) + 0.6 * size
        draw_text(still, text, x, y, size, TEXT)
        x += text_width(text, size) + 1.6 * size
        if self.duration_s > 0:
            self._line_legend(x, y)

    def _line_legend(self, x: float, y: int) -> None:
        size, still = self._small, self._still
        for line in [*self.lines.values()][:6]:
            text = f"face {line.track_id}"
            need = 1.8 * size + text_width(text, size)
            if x + need > self.width - self._pad:
                return
            draw_lines(still, np.array([(x, y), (x + 1.3 * size, y)]), track_colour(line.track_id), size / 6)
            draw_text(still, text, x + 1.7 * size, y, size, MUTED)
            x += need + size

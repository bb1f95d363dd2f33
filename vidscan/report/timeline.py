"""The panel below an overlay's picture: verdict, scores over time, and what the colors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidscan.report.drawing import (
    INK,
    LABEL_COLOURS,
    MUTED,
    PAPER,
    TEXT,
    TRACK_COLOURS,
    WHITE,
    Colour,
    Image,
    draw_dot,
    draw_lines,
    draw_pill,
    draw_text,
    fitting,
    heat_table,
    text_width,
    track_colour,
)
from vidscan.report.words import LABEL_NAMES, headline, timecode
from vidscan.types import Report
from vidscan.verdict.aggregate import running_level

_SCENE: Colour = (120, 128, 140)
_ENDS = ("1", "0")
"""Of the scale of scores, from the top of the panel down."""
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
        self._left = self._pad + max(text_width(end, self._small) for end in _ENDS) + round(0.4 * size)
        self._plot_top = round(2.3 * size)
        self._plot_high = round(4.6 * size) if self.duration_s > 0 else 0
        legend_y = (
            self._plot_top + self._plot_high + (round(1.1 * size) if self.duration_s > 0 else size // 2)
        )
        rows = self._legend_rows()
        self.height = legend_y + round(1.5 * self._small) * (len(rows) - 1) + size
        self._still = np.empty((self.height, self.width, 3), np.uint8)
        self._still[:] = PAPER
        self._title()
        if self.duration_s > 0:
            self._plot()
        for number, row in enumerate(rows):
            x = float(self._pad)
            for item in row:
                item.draw(x, legend_y + number * round(1.5 * self._small))
                x += item.width + 1.6 * self._small

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
        """The verdict in words, beside its color."""
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
        """The curves over their scale. No thresholds: those of the verdict are for whole faces."""
        left, right = self._left, self.width - self._pad
        top, bottom = self._plot_top, self._plot_top + self._plot_high
        self._still[top:bottom, left:right] = INK
        for end in _ENDS:
            draw_text(self._still, end, self._pad, float(self._y(float(end))), self._small, MUTED)
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
        """Bars along the lower edge, where a face looks suspicious."""
        thick = max(2, round(0.28 * self.size))
        labels = {track.track_id: track.label for track in self.report.tracks}
        for segment in self.report.segments:
            x0, x1 = float(self._x(segment.start_s)), float(self._x(segment.end_s))
            box = (x0, bottom - thick, max(x1, x0 + thick), bottom)
            draw_pill(self._still, box, LABEL_COLOURS[labels.get(segment.track_id, "manipulated")])

    # ------------------------------------------------------------------ the legend

    def _legend_rows(self) -> list[list[_Item]]:
        """The legend, on as many rows as it takes."""
        rows: list[list[_Item]] = []
        room = 0.0
        for item in self._legend():
            need = item.width + 1.6 * self._small
            if not rows or need - 1.6 * self._small > room:
                rows.append([])
                room = float(self.width - 2 * self._pad)
            rows[-1].append(item)
            room -= need
        return rows

    def _legend(self) -> Iterator[_Item]:
        """What the heat means, then every line, then the bars; of items too wide for a row, nothing."""
        size = self._small
        heat = (
            "how likely a patch is manipulated: clear below 20 %, line at 50 %",
            "how likely a patch is manipulated",
            "manipulated?",
        )
        yield from self._item(heat, 6.0 * size + text_width("01", size), self._draw_heat_bar, TEXT)
        if self.duration_s <= 0:
            return
        for number, words in self._line_names():
            colour = TRACK_COLOURS[number]
            yield from self._item(words, 1.3 * size, partial(self._stroke, colour))
        if self.lines:
            looks = (
                "fine: single looks, by the patch network alone; strong: over 2 s",
                "single looks, 0 to 1",
            )
            yield from self._item(looks, 0.0, lambda x, y: None)
        for label in sorted({t.label for t in self.report.tracks if t.track_id in self._marked()}):
            colour = LABEL_COLOURS[label]
            yield from self._item(("suspicious stretch",), 1.3 * size, partial(self._bar, colour))

    def _marked(self) -> set[int]:
        return {segment.track_id for segment in self.report.segments}

    def _line_names(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """For every color of lines, whose they are, in several wordings."""
        faces: dict[int, list[int]] = {}
        for track_id in self.lines:
            faces.setdefault(track_id % len(TRACK_COLOURS), []).append(track_id)
        for number, own in faces.items():
            if len(own) == 1:
                yield number, (f"face {own[0]}",)
            else:
                few = f"faces {own[0]} and {len(own) - 1} more"
                yield number, (f"faces {', '.join(map(str, own))}", few)

    def _item(
        self,
        words: Sequence[str],
        sign: float,
        draw: Callable[[float, float], None],
        colour: Colour = MUTED,
    ) -> Iterator[_Item]:
        """A sign of so many pixels and the longest of its wordings that a row holds."""
        gap = 0.4 * self._small if sign else 0.0
        text = fitting(tuple(words), self._small, self.width - 2 * self._pad - sign - gap)
        if not text:
            return

        def both(x: float, y: float) -> None:
            draw(x, y)
            draw_text(self._still, text, x + sign + gap, y, self._small, colour)

        yield _Item(sign + gap + text_width(text, self._small), both)

    def _draw_heat_bar(self, x: float, y: float) -> None:
        size, still = self._small, self._still
        colours, opacity = heat_table()
        wide, tall = round(5 * size), max(4, round(0.7 * size))
        draw_text(still, "0", x, y, size, MUTED)
        x += text_width("0", size) + 0.4 * size
        levels = np.linspace(0, 255, wide).round().astype(int)
        share = opacity[levels, None]
        bar = (colours[levels] * share + np.array(_SCENE) * (1 - share)).round().astype(np.uint8)
        top, left = round(y) - tall // 2, round(x)
        still[top : top + tall, left : left + wide] = bar
        half = left + round(wide * 128 / 255)
        still[top : top + tall, half : half + max(1, round(size / 10))] = WHITE
        draw_text(still, "1", left + wide + 0.4 * size, y, size, MUTED)

    def _stroke(self, colour: Colour, x: float, y: float) -> None:
        ends = np.array([(x, y), (x + 1.3 * self._small, y)])
        draw_lines(self._still, ends, colour, self._small / 6)

    def _bar(self, colour: Colour, x: float, y: float) -> None:
        half = max(1, round(0.14 * self.size))
        draw_pill(self._still, (x, y - half, x + 1.3 * self._small, y + half), colour)


@dataclass(frozen=True, slots=True)
class _Item:
    """A part of the legend: how wide it is, and what draws it at a left end and a middle row."""

    width: float
    draw: Callable[[float, float], None]

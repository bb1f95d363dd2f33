"""The report for people: colors and wrapping on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from vidscan.report.forensics import forensics_dict, forensics_lines, indent_of
from vidscan.report.shown import shown
from vidscan.report.words import (
    count,
    escape,
    found_words,
    headline,
    is_picture,
    label_words,
    likeness_words,
    person_words,
    score_digits,
    score_words,
    strongest_words,
    timecode,
)
from vidscan.types import Reason, Report, Segment, TrackReport

_STYLES = {
    "no_manipulation_found": "green",
    "uncertain": "yellow",
    "manipulated": "bold red",
    "no_face": "cyan",
    "error": "bold magenta",
}
_MAX_SEGMENTS = 5
"""Segments and reasons shown before the rest is only counted; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the text report before it is laid out."""

    text: str
    indent: int = 0
    style: str = ""


class TextWriter:
    """A block of lines per report, blocks parted by an empty line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._first = True

    def write(self, report: Report) -> None:
        """Writes the block and flushes."""
        if not self._first:
            self._stream.write("\n")
        self._first = False
        block = list(lines(report))
        if self._stream.isatty():
            self._paint(block)
        else:
            # No wrapping and no color: one fact a line, for grep and log files.
            self._stream.writelines(f"{'  ' * line.indent}{line.text}\n" for line in block)
        self._stream.flush()

    def _paint(self, block: list[Line]) -> None:
        from rich.console import Console
        from rich.padding import Padding
        from rich.text import Text

        # Rich's own reading of NO_COLOR leaves bold.
        console = Console(
            file=self._stream,
            highlight=False,
            markup=False,
            emoji=False,
            color_system=None if os.environ.get("NO_COLOR") else "auto",
        )
        for line in block:
            # Text, not markup: a file called "[red]" is no instruction. A hanging indent keeps
            # wrapped lines together where the terminal is narrow.
            indent = 2 * line.indent if console.width >= 30 else 0
            console.print(Padding(Text(line.text, style=line.style, overflow="fold"), (0, 0, 0, indent)))


def lines(report: Report) -> Iterator[Line]:
    """The text report, line by line; everything in it is safe to print."""
    plain, picture = shown(report), is_picture(report)
    verdict = plain.verdict
    yield Line(escape(report.input.path), style="bold")
    yield Line(escape(headline(report)), 1, _STYLES[verdict.label])
    said = [score_words(report), likeness_words(verdict)]
    if verdict.score is not None and verdict.label != "manipulated":
        said.append(found_words(verdict.calibration))
    yield from (Line(sentence, 1) for sentence in said if sentence)
    yield from (_track(track, picture) for track in plain.tracks)
    if not picture:
        yield from _list("When", [_segment(segment) for segment in _by_time(plain.segments)])
    yield from _list("Why", [_reason(reason, picture) for reason in verdict.reasons])
    yield from _list("Quality", [escape(flag.message) for flag in report.quality.flags], style="yellow")
    yield from (Line(escape(sentence), 1) for sentence in person_words(report))
    yield from (Line(text.strip(), indent_of(text)) for text in forensics_lines(forensics_dict(report)))
    yield from _list("Warning", [escape(note.message) for note in report.warnings], style="yellow")


def _track(track: TrackReport, picture: bool) -> Line:
    score = "" if track.score is None else f" {score_digits(track.score)}"
    seen = [] if picture else [_span(track.start_s, track.end_s), count(track.frames, "frame")]
    facts = ", ".join([f"{label_words(track.label)}{score}", *seen, f"{track.face_px:.0f} px"])
    return Line(f"Face {track.track_id}: {facts}", 1, _STYLES[track.label])


def _segment(segment: Segment) -> str:
    return (
        f"{_span(segment.start_s, segment.end_s)}, face {segment.track_id}, "
        f"{strongest_words(segment.peak_s, segment.score)}"
    )


def _reason(reason: Reason, picture: bool) -> str:
    where = [] if reason.track_id is None else [f"face {reason.track_id}"]
    if reason.start_s is not None and reason.end_s is not None and not picture:
        where.append(_span(reason.start_s, reason.end_s))
    return escape(reason.message) + (f" ({', '.join(where)})" if where else "")


def _list(title: str, items: list[str], style: str = "") -> Iterator[Line]:
    for item in items[:_MAX_SEGMENTS]:
        yield Line(f"{title}: {item}", 1, style)
    if len(items) > _MAX_SEGMENTS:
        yield Line(f"{title}: and {len(items) - _MAX_SEGMENTS} more (see --json)", 1, style)


def _by_time(segments: tuple[Segment, ...]) -> list[Segment]:
    """The strongest segments, in the order of the clip; weaker ones follow."""
    ranked = sorted(segments, key=lambda s: -s.score)
    shown = sorted(ranked[:_MAX_SEGMENTS], key=lambda s: (s.start_s, s.track_id))
    return shown + ranked[_MAX_SEGMENTS:]


def _span(start_s: float, end_s: float) -> str:
    return f"{timecode(start_s)} to {timecode(end_s)}"

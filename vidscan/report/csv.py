"""Reports as CSV: one row per clip, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from typing import TextIO

from vidscan.report.json import DIGITS
from vidscan.report.words import LABEL_NAMES, LIKENESS, escape, headline, label_words
from vidscan.types import Report

COLUMNS: dict[str, str] = {
    "path": "of the input",
    "label": ", ".join(f"{name} ({label_words(name)})" for name in LABEL_NAMES),
    "score": "0 genuine to 1 manipulated; kept where the flags say that it means nothing",
    "p_value": f"{LIKENESS}: their share",
    "threshold_uncertain": "score from which the label is uncertain",
    "threshold_manipulated": "score from which it is manipulated",
    "tracks": "faces judged, one person through one shot each",
    "worst_track": "number of the most suspicious",
    "start_s": "where the most suspicious stretch begins, seconds",
    "end_s": "where it ends",
    "duration_s": "of the clip, seconds",
    "width": "upright, pixels",
    "height": "upright, pixels",
    "fps": "frames per second",
    "codec": "of the video",
    "frames_analysed": "frames in which faces were looked at closely",
    "face_px": "side of the face, pixels",
    "flags": "codes of what keeps it from being judged",
    "warnings": "codes of remarks",
    "reasons": "codes of what the verdict rests on, the heaviest first",
    "error_code": "why it could not be scanned",
    "error_message": "the same in words",
    "sha256": "of the input",
    "models": "name and first digits of the sha256 of each",
    "headline": "the verdict in one sentence",
}
"""Every column with its meaning, in order. Lists are joined by spaces; what is not known is empty."""

# A spreadsheet takes a cell that starts with one of these (some also full-width) for a formula.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class CsvWriter:
    """One row per report under a header row."""

    def __init__(self, stream: TextIO, *, header: bool = True) -> None:
        self._stream = stream
        # All text is quoted: the csv module leaves a carriage return in a file name bare otherwise.
        self._rows = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        self._header = header

    def write(self, report: Report) -> None:
        """Writes the row (and before the first one the header) and flushes."""
        if self._header:
            self._rows.writerow(COLUMNS)
            self._header = False
        self._rows.writerow([_cell(value) for value in row(report)])
        self._stream.flush()


def row(report: Report) -> list[str | int | float | None]:
    """The values of one report in the order of :data:`COLUMNS`."""
    verdict, clip, error = report.verdict, report.input, report.error
    scored = [track for track in report.tracks if track.score is not None]
    worst = max(scored, key=lambda track: track.score or 0.0, default=None)
    segment = max(report.segments, key=lambda s: s.score, default=None)
    return [
        clip.path,
        verdict.label,
        verdict.score,
        verdict.p_value,
        verdict.thresholds.uncertain,
        verdict.thresholds.manipulated,
        len(report.tracks),
        worst.track_id if worst else None,
        segment.start_s if segment else None,
        segment.end_s if segment else None,
        clip.duration_s,
        clip.width,
        clip.height,
        clip.fps,
        clip.codec,
        clip.frames_analysed,
        report.quality.face_px,
        " ".join(flag.code for flag in report.quality.flags),
        " ".join(warning.code for warning in report.warnings),
        " ".join(reason.code for reason in verdict.reasons),
        error.code if error else None,
        error.message if error else None,
        clip.sha256,
        " ".join(f"{model.name}:{model.sha256[:12]}" for model in report.models),
        headline(report),
    ]


def _cell(value: str | int | float | None) -> str | int | float | None:
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, str):
        # Escaped as in the text report: CSV may be read on a terminal too. White space is no disguise.
        text = escape(value)
        return "'" + text if text.lstrip().startswith(_FORMULA) else text
    return value

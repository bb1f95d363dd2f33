"""The report of one clip as a single HTML file that a moderator reads in ten seconds.

The file needs nothing else: style, script, pictures and the JSON report are inside, and it works from a
folder, an e-mail or an archive. The same report and pictures give the same file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidscan.report.charts import score_scale
from vidscan.report.face_timelines import face_timelines
from vidscan.report.forensics import APART, provenance_rows, shown_findings, summary_words
from vidscan.report.json import dumps
from vidscan.report.meaning import (
    meaning,
    status_names,
)
from vidscan.report.movement import movements
from vidscan.report.page import json_block, picture_uri, render_page, write_page
from vidscan.report.shown import shown
from vidscan.report.telling import TellingCrop, none_telling, telling_pictures
from vidscan.report.words import (
    LABEL_NAMES,
    LOOKS,
    abstained,
    calibration_words,
    found_words,
    headline,
    is_picture,
    likeness_words,
    person_words,
    score_words,
)
from vidscan.spread import evenly
from vidscan.types import FaceSeries, Report
from vidscan.verdict.groups import GROUPS

if TYPE_CHECKING:
    from vidscan.forensics.shelf import Shelf

MAX_THUMBNAILS = 300
"""Of more frames only so many, evenly chosen, are kept in the file."""
_MAX_REASONS = 5
_MAX_CHARTS = 4
"""Timelines that are open at once; those of further faces fold away."""
_MAX_SERIES = 3
_THUMBNAIL_PX = 240
_NAME_PARTS = re.compile(r"(\([^()]*not examined\))$")


def write_html(
    report: Report,
    out: Path,
    *,
    telling: Sequence[TellingCrop] = (),
    series: Sequence[FaceSeries] = (),
    thumbnails: Mapping[int, NDArray[np.uint8]] | None = None,
    shelf: Shelf | None = None,
) -> None:
    """Write the report of one clip to ``out``, atomically; its folder is made where it is missing.

    Parameters
    ----------
    report
        Timelines come from ``report.frames``, which the scan therefore has to fill.
    telling
        The most telling crops, in the order in which they are shown; at most
        :data:`vidscan.report.telling.MAX_TELLING` are.
    series
        How the faces moved; empty where it was not measured.
    thumbnails
        (H, W, 3) RGB uint8 pictures of whole frames, of any size, by frame index; frames that the report
        does not name are left out. At most :data:`MAX_THUMBNAILS` are kept.
    shelf
        Maps and series of the instruments that ``report.forensics`` tells of.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        Where the report holds a number that is not finite.
    """
    write_page(out, "report.html.j2", "report.js", _context(report, telling, series, thumbnails or {}, shelf))


def render_html(
    report: Report,
    *,
    telling: Sequence[TellingCrop] = (),
    series: Sequence[FaceSeries] = (),
    thumbnails: Mapping[int, NDArray[np.uint8]] | None = None,
    shelf: Shelf | None = None,
) -> str:
    """The page that :func:`write_html` writes, as text."""
    return render_page(
        "report.html.j2", "report.js", _context(report, telling, series, thumbnails or {}, shelf)
    )


def file_name(report: Report) -> str:
    """The clip's name without its folders, as the report tells it."""
    return PurePath(report.input.path).name or report.input.path


def _context(
    report: Report,
    telling: Sequence[TellingCrop],
    series: Sequence[FaceSeries],
    thumbnails: Mapping[int, NDArray[np.uint8]],
    shelf: Shelf | None,
) -> dict[str, Any]:
    plain = shown(report)
    verdict, text = plain.verdict, headline(report)
    reasons = sorted(verdict.reasons, key=lambda reason: -reason.weight)
    timelines = face_timelines(plain, reasons[:_MAX_REASONS])
    ranks = {line.track.track_id: rank for rank, line in enumerate(timelines)}
    seen = sorted(series, key=lambda one: (ranks.get(one.track_id, len(ranks)), one.track_id))
    signals = [(_title(name), signal) for name, signal in plain.signals.items()]
    told = score_words(report)
    scale = None
    if verdict.score is not None and told:
        scale = score_scale(verdict.score, verdict.thresholds, told)
    return {
        "report": plain,
        "json": json_block(dumps(report)),
        "name": file_name(report),
        "label": verdict.label,
        "label_names": LABEL_NAMES,
        "headline": [part for part in _NAME_PARTS.split(text) if part],
        "scale": scale,
        "likeness": likeness_words(verdict),
        "score_words": told,
        "finds": found_words(verdict.calibration),
        "person": person_words(report),
        "is_picture": is_picture(report),
        "timelines": timelines,
        "looks": LOOKS,
        "open_charts": _MAX_CHARTS,
        "pictures": telling_pictures(telling),
        "none_telling": none_telling(plain),
        "reasons": reasons[:_MAX_REASONS],
        "more_reasons": reasons[_MAX_REASONS:],
        "meaning": meaning(plain),
        "behaviour": movements(seen[:_MAX_SERIES], report.settings["blink_rule"]),
        "more_series": len(seen[_MAX_SERIES:]),
        "signals": [(title, signal) for title, signal in signals if signal.status != "not_applicable"],
        "unused": [title for title, signal in signals if signal.status == "not_applicable"],
        "status_names": status_names(report),
        "abstained": abstained(report),
        "calibration": calibration_words(verdict.calibration),
        "thumbnails": _thumbnails(plain, thumbnails),
        "forensics": None if report.forensics is None else shown_findings(report, shelf),
        "forensics_summary": summary_words(report),
        "apart": APART,
        "provenance_rows": [] if report.provenance is None else provenance_rows(report.provenance),
    }


def _title(group: str) -> str:
    """Of a group of evidence; a report of another version may hold groups that this one does not know."""
    return GROUPS[group].title if group in GROUPS else group.replace("_", " ").capitalize()


def _thumbnails(report: Report, given: Mapping[int, NDArray[np.uint8]]) -> dict[int, str]:
    """Data URIs by frame index, of frames that the timelines can point at."""
    known = sorted({frame.index for frame in report.frames} & set(given))
    shown = [known[n] for n in evenly(len(known), MAX_THUMBNAILS)]
    return {index: picture_uri(given[index], _THUMBNAIL_PX) for index in shown}

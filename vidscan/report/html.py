"""The report of one clip as a single HTML file that a moderator reads in ten seconds.

The file needs nothing else: style, script, pictures and the JSON report are inside, and it works from a
folder, an e-mail or an archive. The same report and pictures give the same file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from vidscan.faces.units import MAX_INTENSITY, UNIT_NAMES, UNITS
from vidscan.report.charts import Domain, Line, Mark, score_scale, small_chart, timeline
from vidscan.report.drawing import draw_heat
from vidscan.report.json import dumps
from vidscan.report.meaning import (
    LABEL_NAMES,
    SIGNAL_NAMES,
    STATUS_NAMES,
    calibration_words,
    is_picture,
    meaning,
    p_value_words,
)
from vidscan.report.page import json_block, picture_uri, render_page, write_page
from vidscan.report.words import count, headline, timecode
from vidscan.types import LABEL_SEVERITY, FaceSeries, Reason, Report, TrackReport

MAX_TELLING = 5
MAX_THUMBNAILS = 300
"""Of more frames only so many, evenly chosen, are kept in the file."""
_MAX_REASONS = 5
_MAX_CHARTS = 4
"""Timelines that are open at once; those of further faces fold away."""
_MAX_SERIES = 3
_CROP_PX, _THUMBNAIL_PX = 256, 240
_SHOWN_UNITS = (1, 4, 12, 26)
"""Inner brow, brow lowerer, smile, jaw: the large movements of brows and mouth."""
_ANGLES = ("pitch", "yaw", "roll")
_NAME_PARTS = re.compile(r"(\([^()]*not examined\))$")


@dataclass(frozen=True, slots=True)
class Telling:
    """One of the crops that tell most about the verdict.

    Attributes
    ----------
    time_s
        Of its frame, in seconds.
    track_id
        Whose face it is.
    score
        0..1 of this crop alone.
    crop
        (S, S, 3) RGB uint8.
    probability
        (h, w) float 0..1 that a place is manipulated, a grid over the whole crop, row 0 at its top.
    """

    time_s: float
    track_id: int
    score: float
    crop: NDArray[np.uint8]
    probability: NDArray[np.floating]


def write_html(
    report: Report,
    out: Path,
    *,
    telling: Sequence[Telling] = (),
    series: Sequence[FaceSeries] = (),
    thumbnails: Mapping[int, NDArray[np.uint8]] | None = None,
) -> None:
    """Write the report of one clip to ``out``, atomically; its folder is made where it is missing.

    Parameters
    ----------
    report
        Timelines come from ``report.frames``, which the scan therefore has to fill.
    telling
        The most telling crops, in the order in which they are shown; at most :data:`MAX_TELLING` are.
    series
        How the faces moved; empty where it was not measured.
    thumbnails
        (H, W, 3) RGB uint8 pictures of whole frames, of any size, by frame index; frames that the report
        does not name are left out. At most :data:`MAX_THUMBNAILS` are kept.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        Where the report holds a number that is not finite.
    """
    write_page(out, "report.html.j2", "report.js", _context(report, telling, series, thumbnails or {}))


def render_html(
    report: Report,
    *,
    telling: Sequence[Telling] = (),
    series: Sequence[FaceSeries] = (),
    thumbnails: Mapping[int, NDArray[np.uint8]] | None = None,
) -> str:
    """The page that :func:`write_html` writes, as text."""
    return render_page("report.html.j2", "report.js", _context(report, telling, series, thumbnails or {}))


def file_name(report: Report) -> str:
    """The clip's name without its folders, as the report tells it."""
    return PurePath(report.input.path).name or report.input.path


# --------------------------------------------------------------------------- what the template shows


@dataclass(frozen=True, slots=True)
class _Timeline:
    track: TrackReport
    chart: Markup | None
    """None where no crop of the track was scored."""
    words: str


@dataclass(frozen=True, slots=True)
class _Picture:
    number: int
    telling: Telling
    crop: str
    heat: str
    heat_words: str


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    chart: Markup
    key: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class _Behaviour:
    track_id: int
    panels: tuple[_Panel, ...]


def _context(
    report: Report,
    telling: Sequence[Telling],
    series: Sequence[FaceSeries],
    thumbnails: Mapping[int, NDArray[np.uint8]],
) -> dict[str, Any]:
    verdict, text = report.verdict, headline(report)
    reasons = sorted(verdict.reasons, key=lambda reason: -reason.weight)
    timelines = _timelines(report, reasons[:_MAX_REASONS])
    ranks = {line.track.track_id: rank for rank, line in enumerate(timelines)}
    seen = sorted(series, key=lambda one: (ranks.get(one.track_id, len(ranks)), one.track_id))
    signals = [(name, getattr(report.signals, name)) for name in SIGNAL_NAMES]
    scale = None
    if verdict.score is not None:
        label = (
            f"Score {verdict.score:.2f} on a scale from 0, genuine, to 1, manipulated. Uncertain from "
            f"{verdict.thresholds.uncertain:g}, manipulated from {verdict.thresholds.manipulated:g}."
        )
        scale = score_scale(verdict.score, verdict.thresholds, label)
    return {
        "report": report,
        "json": json_block(dumps(report)),
        "name": file_name(report),
        "label": verdict.label,
        "label_names": LABEL_NAMES,
        "headline": [part for part in _NAME_PARTS.split(text) if part],
        "scale": scale,
        "p_value_words": p_value_words(verdict),
        "is_picture": is_picture(report),
        "timelines": timelines,
        "open_charts": _MAX_CHARTS,
        "pictures": [_picture(n, one) for n, one in enumerate(islice(telling, MAX_TELLING), 1)],
        "reasons": reasons[:_MAX_REASONS],
        "more_reasons": reasons[_MAX_REASONS:],
        "meaning": meaning(report),
        "behaviour": [_behaviour(one) for one in seen[:_MAX_SERIES] if _known(one).any()],
        "more_series": len(seen[_MAX_SERIES:]),
        "signals": [(name, signal) for name, signal in signals if signal.status != "not_applicable"],
        "unused": [SIGNAL_NAMES[name] for name, signal in signals if signal.status == "not_applicable"],
        "signal_names": SIGNAL_NAMES,
        "status_names": STATUS_NAMES,
        "calibration": calibration_words(verdict.calibration),
        "thumbnails": _thumbnails(report, thumbnails),
    }


# --------------------------------------------------------------------------- timelines


def _timelines(report: Report, reasons: Sequence[Reason]) -> list[_Timeline]:
    """One a track, the worst first."""
    scored: dict[int, list[tuple[float, float]]] = {}
    for frame in report.frames:
        if frame.score is not None:
            scored.setdefault(frame.track_id, []).append((frame.time_s, frame.score))
    domain = Domain(0.0, _end(report))
    order = sorted(report.tracks, key=lambda t: (-LABEL_SEVERITY[t.label], -(t.score or 0.0), t.track_id))
    return [_timeline(report, track, scored.get(track.track_id, []), domain, reasons) for track in order]


def _end(report: Report) -> float:
    """Where the time axis of the clip ends, in seconds."""
    ends = [report.input.duration_s or 0.0, *(track.end_s for track in report.tracks)]
    ends += [frame.time_s for frame in report.frames]
    return max(ends) or 1.0


def _timeline(
    report: Report,
    track: TrackReport,
    scored: list[tuple[float, float]],
    domain: Domain,
    reasons: Sequence[Reason],
) -> _Timeline:
    if not scored:
        return _Timeline(track, None, "")
    times, scores = np.array(sorted(scored), np.float64).T
    peak = int(scores.argmax())
    segments = [s for s in report.segments if s.track_id == track.track_id]
    marks = [
        Mark(number, reason.start_s, reason.end_s)
        for number, reason in enumerate(reasons, 1)
        if reason.track_id == track.track_id and reason.start_s is not None and reason.end_s is not None
    ]
    words = f"Highest at {timecode(times[peak])}: {scores[peak]:.2f}."
    over = float((scores >= report.verdict.thresholds.manipulated).mean())
    stretches = count(len(segments), "suspicious stretch").replace("stretchs", "stretches")
    label = (
        f"Face {track.track_id}: {count(len(scores), 'score')} from {timecode(times[0])} to "
        f"{timecode(times[-1])}. {words} {100 * over:.0f} % reach the threshold of manipulated. {stretches}."
    )
    chart = timeline(
        times,
        scores,
        domain,
        report.verdict.thresholds,
        [(s.start_s, s.end_s) for s in segments],
        marks,
        label,
    )
    return _Timeline(track, chart, words)


def _thumbnails(report: Report, given: Mapping[int, NDArray[np.uint8]]) -> dict[int, str]:
    """Data URIs by frame index, of frames that the timelines can point at."""
    known = sorted({frame.index for frame in report.frames} & set(given))
    if len(known) > MAX_THUMBNAILS:
        known = [known[n] for n in np.linspace(0, len(known) - 1, MAX_THUMBNAILS).round().astype(int)]
    return {index: picture_uri(given[index], _THUMBNAIL_PX) for index in known}


# --------------------------------------------------------------------------- crops


def _picture(number: int, telling: Telling) -> _Picture:
    import cv2

    side = min(_CROP_PX, telling.crop.shape[0])
    crop = np.asarray(cv2.resize(telling.crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    values = np.ascontiguousarray(telling.probability, np.float32)
    values = cv2.resize(values, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    # On grey, so that no colour of the face can be taken for one of the map.
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    heat = np.repeat(grey[..., None], 3, axis=2)
    draw_heat(heat, np.rint(values * 255).astype(np.uint8), side / 160)
    return _Picture(
        number, telling, picture_uri(crop, _CROP_PX), picture_uri(heat, _CROP_PX), _where(telling.probability)
    )


def _where(probability: NDArray[np.floating]) -> str:
    """Where on the crop a map is strongest, in words."""
    height, width = probability.shape
    row, column = np.unravel_index(int(np.argmax(probability)), probability.shape)
    vertical = ("upper", "middle", "lower")[min(2, int(3 * (row + 0.5) / height))]
    horizontal = ("left", "middle", "right")[min(2, int(3 * (column + 0.5) / width))]
    place = "middle" if vertical == horizontal else f"{vertical} {horizontal}"
    share = float((probability >= 0.5).mean())
    return (
        f"Strongest in the {place} ({probability.max():.2f}); {100 * share:.0f} % of the crop at 0.5 or more."
    )


# --------------------------------------------------------------------------- behaviour


def _known(series: FaceSeries) -> NDArray[np.bool_]:
    from vidscan.behavior.series import seen

    return seen(series)


def _behaviour(series: FaceSeries) -> _Behaviour:
    times = np.asarray(series.times, np.float64)
    domain = Domain(float(times[0]), max(float(times[-1]), float(times[0]) + 1e-3))
    panels = (
        _eyes(series, domain),
        _angles(
            "Head rotation",
            [Line(name, series.rotation[:, n]) for n, name in enumerate(_ANGLES)],
            times,
            domain,
        ),
        _units(series, domain),
        _angles(
            "Gaze against the head",
            # Mean of both eyes: pitch first, as in the panel above.
            [Line(name, series.gaze[:, :, 1 - n].mean(axis=1)) for n, name in enumerate(_ANGLES[:2])],
            times,
            domain,
        ),
    )
    return _Behaviour(series.track_id, panels)


def _eyes(series: FaceSeries, domain: Domain) -> _Panel:
    from vidscan.behavior.blink import find_blinks, statistics
    from vidscan.behavior.eye_closure import closure

    found = find_blinks(series.times, closure(series))
    summary = statistics(found)
    words = count(len(found.blinks), "blink")
    if summary is not None:
        words += f", {summary.rate:.0f} a minute"
    lines = [Line("left eye in the picture", series.openness[:, 0]), Line("right eye", series.openness[:, 1])]
    label = f"Eye openness from {_from_to(domain)}: {words}."
    events = [(blink.start_s, blink.end_s) for blink in found.blinks]
    chart = small_chart(series.times, lines, domain, 0.0, 1.0, "", label, events)
    return _Panel("Eye openness", chart, tuple(line.name for line in lines), f"{words} (shaded)")


def _angles(title: str, lines: list[Line], times: NDArray[np.float64], domain: Domain) -> _Panel:
    values = np.stack([line.values for line in lines])
    finite = values[np.isfinite(values)]
    reach = 10.0 * max(1, int(np.ceil(np.abs(finite).max() / 10))) if finite.size else 10.0
    spans = ", ".join(f"{line.name} {_low_to_high(line.values)}" for line in lines)
    chart = small_chart(
        times, lines, domain, -reach, reach, "°", f"{title} from {_from_to(domain)}: {spans}."
    )
    return _Panel(title, chart, tuple(line.name for line in lines), "")


def _units(series: FaceSeries, domain: Domain) -> _Panel:
    lines = [Line(UNIT_NAMES[unit], series.units[:, UNITS.index(unit)]) for unit in _SHOWN_UNITS]
    peaks = ", ".join(f"{line.name} up to {_highest(line.values)}" for line in lines)
    label = f"Intensity of facial action units from {_from_to(domain)}, 0 to {MAX_INTENSITY:g}: {peaks}."
    chart = small_chart(series.times, lines, domain, 0.0, MAX_INTENSITY, "", label)
    return _Panel("Facial action units", chart, tuple(line.name for line in lines), "")


def _from_to(domain: Domain) -> str:
    return f"{timecode(domain.start)} to {timecode(domain.end)}"


def _highest(values: NDArray[np.floating]) -> str:
    known = values[np.isfinite(values)]
    return f"{known.max():.1f}" if known.size else "unknown"


def _low_to_high(values: NDArray[np.floating]) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.0f}° to {known.max():.0f}°" if known.size else "unknown"

"""What the instruments of the shelf say, in lines, in JSON and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidscan.report.charts import Domain, Line, small_chart
from vidscan.report.drawing import draw_heat
from vidscan.report.page import picture_uri
from vidscan.report.words import count, escape, timecode
from vidscan.types import ForensicFinding, Provenance, Report, SignalStatus, TimeMark

if TYPE_CHECKING:
    from markupsafe import Markup

    from vidscan.forensics.base import Finding
    from vidscan.forensics.shelf import Shelf

APART = "None of this is part of the verdict."
STATUS_NAMES: dict[SignalStatus, str] = {
    "ok": "looked",
    "insufficient": "could not tell",
    "not_applicable": "not meant for this file",
}
_MOST_MARKS = 5
_MAP_PX = 640
_HEAT = 0.6
"""Share of the heat in the picture that is shown."""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding as the page shows it; ``picture`` is a data URI, ``""`` where there is none."""

    finding: ForensicFinding
    state: str
    marks: str
    picture: str
    picture_words: str
    chart: Markup | None
    chart_title: str


def forensics_dict(report: Report) -> dict[str, Any]:
    """``forensics`` and ``provenance`` as the JSON report has them; empty where they were not asked for."""
    from vidscan.report.json import to_dict

    found = to_dict(report)
    return {name: found[name] for name in ("forensics", "provenance") if name in found}


def forensics_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """What :func:`forensics_dict` gave, one fact a line; everything in it is safe to print."""
    if "forensics" not in data:
        return
    yield f"  Content Credentials: {escape(data['provenance']['message'])}"
    yield f"  Forensics ({APART.removesuffix('.').lower()}):"
    for finding in data["forensics"]:
        score = "" if finding["score"] is None else f" {finding['score']:.2f}."
        yield f"    {escape(finding['title'])}:{score} {escape(finding['message'])}"
        marks = tuple(TimeMark(**mark) for mark in finding["marks"])
        if marks:
            yield f"      {marks_words(marks)}"


def indent_of(line: str) -> int:
    """Levels by which a line is indented, two spaces each."""
    return (len(line) - len(line.lstrip())) // 2


def marks_words(marks: tuple[TimeMark, ...]) -> str:
    """Stretches of the clip in one line; the first few of many."""
    said = []
    for mark in marks[:_MOST_MARKS]:
        moment = mark.end_s - mark.start_s < 0.1
        span = timecode(mark.start_s) if moment else f"{timecode(mark.start_s)} to {timecode(mark.end_s)}"
        said.append(f"{span} {escape(mark.message)}")
    if len(marks) > _MOST_MARKS:
        said.append(f"and {len(marks) - _MOST_MARKS} more")
    return "; ".join(said)


def provenance_rows(provenance: Provenance) -> list[tuple[str, str]]:
    """What the page's table of Content Credentials holds, beside the message."""
    rows = [
        ("Signed by", provenance.issuer or ""),
        ("Made with", provenance.generator or ""),
        ("Actions", ", ".join(provenance.actions)),
        ("Declared as made by AI", "yes" if provenance.ai_generated else ""),
    ]
    return [(name, value) for name, value in rows if value]


def shown_findings(report: Report, shelf: Shelf | None) -> list[ShownFinding]:
    """Findings for the page, those that looked first; maps and charts where the shelf has them."""
    kept = {finding.name: finding for finding in shelf.findings} if shelf is not None else {}
    order = list(STATUS_NAMES)
    found = sorted(report.forensics or (), key=lambda finding: order.index(finding.status))
    return [_shown(finding, kept.get(finding.name), shelf) for finding in found]


def summary_words(report: Report) -> str:
    """What stands on the folded section."""
    looked = [finding for finding in report.forensics or () if finding.status == "ok"]
    return f"{count(len(looked), 'instrument')} looked"


def _shown(told: ForensicFinding, kept: Finding | None, shelf: Shelf | None) -> ShownFinding:
    picture = words = title = ""
    chart = None
    if kept is not None and shelf is not None:
        if kept.map is not None:
            picture, words = _map(kept, shelf.pictures.get(kept.map_time_s))
        if kept.series is not None and len(kept.series.times) > 1:
            chart, title = _chart(kept), kept.series.title
    return ShownFinding(
        told, STATUS_NAMES[told.status], marks_words(told.marks), picture, words, chart, title
    )


def _map(finding: Finding, frame: NDArray[np.uint8] | None) -> tuple[str, str]:
    import cv2

    assert finding.map is not None
    if not finding.over_frame or frame is None:
        levels = np.rint(finding.map * 255).astype(np.uint8)
        return picture_uri(np.repeat(levels[..., None], 3, axis=2), _MAP_PX), f"{finding.title}: picture"
    height, width = frame.shape[:2]
    values = cv2.resize(finding.map, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    grey = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    heat = np.asarray(grey, np.uint8).copy()
    draw_heat(heat, np.rint(values * 255).astype(np.uint8), 1.0)
    # A map may cover all of the frame, which has to be seen below it.
    mixed = np.asarray(cv2.addWeighted(heat, _HEAT, grey, 1 - _HEAT, 0), np.uint8)
    share = 100 * float((finding.map >= 0.5).mean())
    words = f"{finding.title}: map over the frame, {share:.0f} % of it at 0.5 or more"
    return picture_uri(mixed, _MAP_PX), words


def _chart(finding: Finding) -> Markup:
    series = finding.series
    assert series is not None
    times, values = series.times, series.values
    domain = Domain(float(times[0]), max(float(times[-1]), float(times[0]) + 1e-3))
    low, high = min(0.0, float(values.min())), float(values.max())
    label = f"{series.title} from {timecode(domain.start)} to {timecode(domain.end)}, up to {high:.3g}."
    events = [(mark.start_s, mark.end_s) for mark in finding.marks]
    return small_chart(times, [Line(series.title, values)], domain, low, high or 1.0, "", label, events)

"""Each face's scores over time, as the HTML report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from vidscan.report.charts import Domain, Mark, timeline
from vidscan.report.words import count, strongest_words, timecode
from vidscan.types import LABEL_SEVERITY, Reason, Report, TrackReport
from vidscan.verdict.aggregate import running_level


@dataclass(frozen=True, slots=True)
class FaceTimeline:
    """One track: its chart, and the chart in words."""

    track: TrackReport
    chart: Markup | None
    """None where no crop of the track was scored."""
    words: str


def face_timelines(report: Report, reasons: Sequence[Reason]) -> list[FaceTimeline]:
    """One a track, the worst first; ``reasons`` are marked by their number, from 1."""
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
) -> FaceTimeline:
    if not scored:
        return FaceTimeline(track, None, "")
    times, scores = np.array(sorted(scored), np.float64).T
    peak = int(scores.argmax())
    segments = [s for s in report.segments if s.track_id == track.track_id]
    marks = [
        Mark(number, reason.start_s, reason.end_s)
        for number, reason in enumerate(reasons, 1)
        if reason.track_id == track.track_id and reason.start_s is not None and reason.end_s is not None
    ]
    words = f"{strongest_words(times[peak], scores[peak]).capitalize()}."
    stretches = count(len(segments), "suspicious stretch", "suspicious stretches")
    label = (
        f"Face {track.track_id}: {count(len(scores), 'look')} from {timecode(times[0])} to "
        f"{timecode(times[-1])}. {words} {stretches}."
    )
    chart = timeline(
        times,
        scores,
        running_level(times, scores),
        domain,
        [(s.start_s, s.end_s) for s in segments],
        marks,
        label,
    )
    return FaceTimeline(track, chart, words)

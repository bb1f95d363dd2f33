"""What people are shown of a report: of a face that is too poor to judge, neither score nor marks.

Programs get everything (JSON, CSV), with the flags that say what is wrong. A score, a reason or a heatmap
beside "too dark to judge" would contradict it, and so would a suspicious stretch of a face in which no
manipulation was found: single looks are not calibrated, faces are.
"""

from __future__ import annotations

from dataclasses import replace

from vidscan.report.words import abstained
from vidscan.types import Report


def unjudged(report: Report) -> frozenset[int]:
    """The tracks that the quality gate stopped."""
    return frozenset(track.track_id for track in report.tracks if track.quality.flags)


def shown(report: Report) -> Report:
    """The report without the scores, reasons, stretches and frames' scores of :func:`unjudged` tracks.

    Where such a track gives the verdict, its score, p-value and signals' scores go as well. Of tracks in
    which nothing was found the stretches are left out.
    """
    poor = unjudged(report)
    marked = {t.track_id for t in report.tracks if t.label != "no_manipulation_found"} - poor
    if not poor and all(s.track_id in marked for s in report.segments):
        return report
    verdict, signals = report.verdict, report.signals
    if abstained(report):
        verdict = replace(verdict, score=None, p_value=None, reasons=())
        signals = {name: replace(signal, score=None) for name, signal in signals.items()}
    return replace(
        report,
        verdict=verdict,
        signals=signals,
        tracks=tuple(
            replace(t, score=None, p_value=None) if t.track_id in poor else t for t in report.tracks
        ),
        segments=tuple(s for s in report.segments if s.track_id in marked),
        frames=tuple(replace(f, score=None) if f.track_id in poor else f for f in report.frames),
    )

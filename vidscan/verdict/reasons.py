"""Why a track got its label: which evidence, where in time, which part of the face; computed, in words."""

from __future__ import annotations

from vidscan.patches.parts import PARTS
from vidscan.types import Reason, Segment, TrackReport
from vidscan.verdict.groups import GROUPS
from vidscan.verdict.statistic import Assessment, Telling

LEAST_SHARE = 0.1
"""Groups that carry less of the anomaly are not named."""


def quality_reasons(track: TrackReport) -> tuple[Reason, ...]:
    """One reason for each flag that kept the track from a clear verdict."""
    share = 1.0 / len(track.quality.flags)
    return tuple(
        Reason(flag.code, flag.message, track.track_id, track.start_s, track.end_s, share)
        for flag in track.quality.flags
    )


def evidence_reasons(
    track: TrackReport, assessment: Assessment, segments: tuple[Segment, ...]
) -> tuple[Reason, ...]:
    """What drove the label, heaviest group first; weights sum to 1.

    ``segments`` are the track's own. The patch group is told stretch by stretch.
    """
    shares = {g: s for g, s in assessment.shares.items() if s >= LEAST_SHARE}
    if not shares:
        shares = {"patch": 1.0}
    total = sum(shares.values())
    found: list[Reason] = []
    for group, share in sorted(shares.items(), key=lambda item: -item[1]):
        code = GROUPS[group].codes[track.label != "manipulated"]
        weight = share / total
        if group == "patch":
            found += _patch_reasons(track, assessment, segments, code, weight)
        else:
            text = f"{GROUPS[group].unusual}{_detail(group, assessment.telling.get(group))}"
            found.append(Reason(code, text, track.track_id, track.start_s, track.end_s, weight))
    return tuple(found)


def _patch_reasons(
    track: TrackReport, assessment: Assessment, segments: tuple[Segment, ...], code: str, weight: float
) -> list[Reason]:
    part = _part(assessment)
    text = f"{GROUPS['patch'].unusual}{f', most about {part}' if part else ''}"
    if not segments:
        return [Reason(code, text, track.track_id, track.start_s, track.end_s, weight)]
    total = sum(s.score * max(s.end_s - s.start_s, 1e-3) for s in segments)
    return [
        Reason(
            code,
            text,
            s.track_id,
            s.start_s,
            s.end_s,
            weight * s.score * max(s.end_s - s.start_s, 1e-3) / total,
        )
        for s in segments
    ]


def _part(assessment: Assessment) -> str:
    """The part of the face whose patches stand out most; empty where parts were not measured."""
    levels = {p: v for p in PARTS if (v := assessment.values.get("patch", {}).get(f"patch_{p}")) is not None}
    return PARTS[max(levels, key=lambda p: levels[p])] if levels else ""


def _detail(group: str, telling: Telling | None) -> str:
    if telling is None or telling.low <= telling.value <= telling.high:
        return ""
    wording = GROUPS[group].wordings.get(telling.name)
    if wording is None:
        return ""

    def told(value: float) -> float:
        return min(max(wording.number(value), wording.low), wording.high)

    value, *usual = (
        f"{v:.2g}" for v in (told(telling.value), *sorted(map(told, (telling.low, telling.high))))
    )
    return f": {wording.text.format(value)}, genuine people {wording.usual.format(*usual)}"

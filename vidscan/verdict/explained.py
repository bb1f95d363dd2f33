"""Why a track got its label: which evidence, where in time, which part of the face; computed, in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vidscan.patches.parts import PARTS
from vidscan.types import Reason, Segment, TrackReport
from vidscan.verdict.statistic import Judged, Telling

LEAST_SHARE = 0.1
"""Groups that carry less of the anomaly are not named."""

_CODES = {
    "patch": ("patches_manipulated", "patches_suspicious"),
    "temporal": ("flicker_unusual", "flicker_unusual"),
    "blink": ("blinking_unusual", "blinking_unusual"),
    "head_pose": ("head_pose_inconsistent", "head_pose_inconsistent"),
    "gaze": ("gaze_incoherent", "gaze_incoherent"),
    "action_units": ("expression_unusual", "expression_unusual"),
    "correlation": ("expression_correlation_unusual", "expression_correlation_unusual"),
}
"""Code of a group's reason where the label is ``manipulated``, and where it is not."""

_TITLES = {
    "temporal": "the face flickers unlike its surroundings",
    "blink": "blinking is unlike genuine people's",
    "head_pose": "inner face and outline of the head do not agree in pose as genuine ones do",
    "gaze": "eyes and head do not move together as genuine ones do",
    "action_units": "expression moves unlike genuine people's",
    "correlation": "facial movements go together unlike genuine people's",
}


@dataclass(frozen=True, slots=True)
class Wording:
    """How a judged feature is told to people.

    Attributes
    ----------
    text
        A sentence with ``{}`` for the number.
    usual
        After "genuine people"; ``{}`` and ``{}`` for the least and the most.
    number
        From the feature to what is told; increasing or decreasing.
    low, high
        What the number cannot exceed, however far genuine people are thought to spread.
    """

    text: str
    usual: str = "{} to {}"
    number: Callable[[float], float] = float
    low: float = 0.0
    high: float = math.inf


WORDINGS: dict[str, Wording] = {
    "flicker_blue_coarse": Wording(
        "colour trembles {} times as strongly in the face as around it", number=math.exp
    ),
    "blink_longest_pause": Wording("{} s pass without a blink", "{} to {} s"),
    "head_pose_wander_log": Wording(
        "the inner face drifts by {} degrees against the outline of the head",
        "{} to {} degrees",
        number=math.exp,
    ),
    "gaze_vergence_log": Wording(
        "the angle between the two eyes' directions varies by {} degrees", "{} to {} degrees", number=math.exp
    ),
    "expression_stillness": Wording(
        "facial muscles vary by {} on a scale from 0 to 5", number=lambda v: math.exp(-v), high=5.0
    ),
    "correlation_smile": Wording(
        "smiling and widening of the mouth correlate at {} (1: always together)", low=-1.0, high=1.0
    ),
}
"""Of every judged feature but those of the patches, of which parts and stretches are told instead."""


def quality_reasons(track: TrackReport) -> tuple[Reason, ...]:
    """One reason for each flag that kept the track from a clear verdict."""
    share = 1.0 / len(track.quality.flags)
    return tuple(
        Reason(flag.code, flag.message, track.track_id, track.start_s, track.end_s, share)
        for flag in track.quality.flags
    )


def evidence_reasons(track: TrackReport, judged: Judged, segments: tuple[Segment, ...]) -> tuple[Reason, ...]:
    """What drove the label, heaviest group first; weights sum to 1.

    ``segments`` are the track's own. The patch group is told stretch by stretch.
    """
    shares = {g: s for g, s in judged.shares.items() if s >= LEAST_SHARE}
    if not shares:
        shares = {"patch": 1.0}
    total = sum(shares.values())
    found: list[Reason] = []
    for group, share in sorted(shares.items(), key=lambda item: -item[1]):
        code = _CODES[group][track.label != "manipulated"]
        weight = share / total
        if group == "patch":
            found += _patch_reasons(track, judged, segments, code, weight)
        else:
            text = f"{_TITLES[group]}{_detail(judged.telling.get(group))}"
            found.append(Reason(code, text, track.track_id, track.start_s, track.end_s, weight))
    return tuple(found)


def _patch_reasons(
    track: TrackReport, judged: Judged, segments: tuple[Segment, ...], code: str, weight: float
) -> list[Reason]:
    part = _part(judged)
    text = f"local texture looks manipulated{f', most about {part}' if part else ''}"
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


def _part(judged: Judged) -> str:
    """The part of the face whose patches stand out most; empty where parts were not measured."""
    levels = {p: v for p in PARTS if (v := judged.values.get("patch", {}).get(f"patch_{p}")) is not None}
    return PARTS[max(levels, key=lambda p: levels[p])] if levels else ""


def _detail(telling: Telling | None) -> str:
    if telling is None or telling.low <= telling.value <= telling.high:
        return ""
    wording = WORDINGS[telling.name]

    def told(value: float) -> float:
        return min(max(wording.number(value), wording.low), wording.high)

    value, *usual = (
        f"{v:.2g}" for v in (told(telling.value), *sorted(map(told, (telling.low, telling.high))))
    )
    return f": {wording.text.format(value)}, genuine people {wording.usual.format(*usual)}"

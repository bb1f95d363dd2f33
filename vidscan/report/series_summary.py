"""What was measured of a clip over time, in numbers: for JSON, and for people in lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.series import seen, seen_seconds
from vidscan.behavior.windows import DESCRIBERS, describers
from vidscan.faces.units import UNIT_NAMES
from vidscan.report.forensics import forensics_dict, forensics_lines
from vidscan.report.words import escape, headline, label_words, timecode
from vidscan.types import EyeRule, FaceSeries, Report
from vidscan.verdict.groups import GROUPS

_MEASURES = {name.replace("_", " "): name for name in DESCRIBERS if name != "flicker"}
"""The behavior that is told, by its name in words: what the evidence vector calls it."""
_ROTATION = ("pitch", "yaw", "roll")
_GAZE = ("yaw", "pitch")
_EYES = ("left", "right")


def summarise(report: Report, series: Sequence[FaceSeries], metadata: Mapping[str, str]) -> dict[str, Any]:
    """Plain JSON of a clip: metadata, and every track's signals and behavior.

    A signal has its median and its 5th and 95th percentile over the frames in which it was seen. A
    behavior measure is null where the track has too little material for it.
    """
    by_track = {own.track_id: own for own in series}
    return {
        "path": report.input.path,
        "sha256": report.input.sha256,
        "label": report.verdict.label,
        "headline": headline(report),
        "metadata": dict(metadata),
        **forensics_dict(report),
        "tracks": [
            {
                "track_id": track.track_id,
                "label": track.label,
                "score": track.score,
                "start_s": track.start_s,
                "end_s": track.end_s,
                "frames": track.frames,
                "face_px": track.face_px,
                "sharpness": track.quality.sharpness,
                **_face(by_track.get(track.track_id), report.settings["blink_rule"]),
            }
            for track in report.tracks
        ],
    }


def summary_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """What :func:`summarise` gave, one fact a line; everything in it is safe to print."""
    yield escape(summary["path"])
    yield f"  {escape(summary['headline'])}"
    for name, value in summary["metadata"].items():
        yield f"  {escape(name)}: {escape(value)}"
    yield from forensics_lines(summary)
    for track in summary["tracks"]:
        yield (
            f"  Face {track['track_id']}: {label_words(track['label'])}, {timecode(track['start_s'])} to "
            f"{timecode(track['end_s'])}, {track['frames']} frames, {track['face_px']:.0f} px"
        )
        yield f"    landmarks seen for {track['seen_s']:.1f} s"
        for name, own in track["signals"].items():
            yield f"    {name}: {own['median']:.2f} ({own['low']:.2f} to {own['high']:.2f})"
        for name, values in track["behaviour"].items():
            if values is None:
                yield f"    {name}: too little material"
                continue
            about = GROUPS[_MEASURES[name]].features
            yield from (f"    {key}: {value:.3f} ({about[key]})" for key, value in values.items())


def _face(series: FaceSeries | None, blink_rule: EyeRule) -> dict[str, Any]:
    """What the face series of a track says."""
    if series is None or not seen(series).any():
        return {"seen_s": 0.0, "signals": {}, "behaviour": dict.fromkeys(_MEASURES)}
    columns: dict[str, NDArray[np.floating]] = {
        **{f"{side} eye openness": series.openness[:, i] for i, side in enumerate(_EYES)},
        **_shut(series),
        **{f"head {axis} degrees": series.rotation[:, i] for i, axis in enumerate(_ROTATION)},
        **{f"gaze {axis} degrees": series.gaze[:, :, i].mean(axis=1) for i, axis in enumerate(_GAZE)},
        **{f"unit {unit} {name}": series.units[:, i] for i, (unit, name) in enumerate(UNIT_NAMES.items())},
    }
    describe = describers(blink_rule)
    return {
        "seen_s": round(seen_seconds(series), 3),
        "signals": {name: own for name, values in columns.items() if (own := _spread(values)) is not None},
        "behaviour": {name: _rounded(describe[group](series)) for name, group in _MEASURES.items()},
    }


def _shut(series: FaceSeries) -> dict[str, NDArray[np.floating]]:
    if series.shut is None:
        return {}
    return {f"{side} eye shut probability": series.shut[:, i] for i, side in enumerate(_EYES)}


def _spread(values: NDArray[np.floating]) -> dict[str, float] | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, median, high = np.quantile(known, [0.05, 0.5, 0.95])
    return {"median": round(float(median), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _rounded(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else {name: round(value, 6) for name, value in values.items()}

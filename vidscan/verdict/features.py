"""The evidence vector: what a window of a track says, in named and grouped numbers.

A track is judged window by window (10 s, half overlapping; whole where it is shorter). The patch group is
measured here from the crops' scores; the others come from :mod:`vidscan.behavior.windows`. A group without
enough material is marked invalid, which is neutral and never evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.windows import GROUPS, spans
from vidscan.patches.parts import PARTS
from vidscan.types import BehaviorWindow, FaceEvidence, Track
from vidscan.verdict.aggregate import running_level, statistic
from vidscan.verdict.standardiser import Column

PATCH_FEATURES: dict[str, str] = (
    {
        "patch_statistic": "log-odds, level that the crops hold through the window or its worst fifth",
        "patch_mouth_level": "log-odds, level that the mouth's patches hold, as patch_statistic",
        "patch_upper": "log-odds, 90th percentile of the level over two seconds",
        "patch_share": "share of crops above even odds",
        "patch_run": "share of the window that its longest run of crops above even odds takes",
        "patch_flicker": "log-odds, median change from one crop to the next",
        "patch_spread": "log-odds, standard deviation over crops",
    }
    | {
        f"patch_{part}": f"log-odds, median over {what} less the median over the whole face"
        for part, what in PARTS.items()
    }
    | {"patch_contrast": "log-odds, patch_mouth less patch_brow"}
)
"""Features of the patch group: unit and meaning."""

_MIN_CROPS = 3
_LEAST = 1e-3

FEATURES: dict[str, dict[str, str]] = {
    "patch": PATCH_FEATURES,
    **{name: features for name, (_, features) in GROUPS.items()},
}
"""Every measured feature by group, with unit and meaning."""

DERIVED: dict[str, str] = {
    "expression_stillness": "minus the mean log spread of the action units' intensities over the window",
    "head_pose_wander_log": "log of head_pose_wander",
    "gaze_vergence_log": "log of gaze_vergence_spread",
}
"""Features that are made of measured ones, and how."""

COLUMNS: tuple[Column, ...] = (
    Column("patch_statistic", "patch", "one"),
    Column("patch_mouth_level", "patch", "one"),
    Column("patch_contrast", "patch", "one"),
    Column("flicker_blue_coarse", "temporal", "one"),
    Column("blink_longest_pause", "blink", "one"),
    Column("head_pose_wander_log", "head_pose", "low"),
    Column("gaze_vergence_log", "gaze", "low"),
    Column("expression_stillness", "action_units", "one"),
    Column("correlation_smile", "correlation", "low"),
)
"""What is judged, in the order of the vector: few, each with the side on which forgeries lie.

Generators draw the mouth worst and the brow best, tremble in colour, and smooth motion: the head's inner
and outer pose, the two eyes and the expression vary less than a person's. Everything else that is measured
is reported and not judged.
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One window of one track.

    Attributes
    ----------
    values
        (d,) float64 in the order of :data:`COLUMNS`; NaN where a feature is missing.
    valid
        (d,) bool.
    measured
        Everything that was measured, by group.
    """

    track_id: int
    start_s: float
    end_s: float
    values: NDArray[np.float64]
    valid: NDArray[np.bool_]
    measured: dict[str, dict[str, float]]


def evidence(track: Track) -> list[Evidence]:
    """The windows of a track that hold an analysed face, in time order; at least one where it has any."""
    windows = track.behavior or tuple(
        BehaviorWindow(start, end, {}) for start, end in spans(track.start_s, track.end_s)
    )
    found = []
    for window in windows:
        if faces := [f for f in track.faces if window.start_s <= f.time_s <= window.end_s]:
            found.append(_vector(track.track_id, window, {**window.values, "patch": patch_features(faces)}))
    if not found and track.faces:
        # Seldom classified: all crops may lie in the short rest beyond the last window.
        groups = {**windows[-1].values, "patch": patch_features(list(track.faces))}
        found.append(_vector(track.track_id, windows[-1], groups))
    return found


def _vector(track_id: int, window: BehaviorWindow, groups: dict[str, dict[str, float] | None]) -> Evidence:
    measured = {name: values for name, values in groups.items() if values is not None}
    known = {name: value for values in measured.values() for name, value in values.items()} | _derived(
        measured
    )
    values = np.array([known.get(column.name, np.nan) for column in COLUMNS])
    return Evidence(track_id, window.start_s, window.end_s, values, np.isfinite(values), measured)


def _derived(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """:data:`DERIVED`, as far as what they are made of was measured."""
    found = {}
    if units := measured.get("action_units"):
        spreads = [v for name, v in units.items() if name.endswith("_spread")]
        found["expression_stillness"] = -float(np.mean(np.log(np.array(spreads) + _LEAST)))
    if pose := measured.get("head_pose"):
        found["head_pose_wander_log"] = float(np.log(pose["head_pose_wander"] + _LEAST))
    if gaze := measured.get("gaze"):
        found["gaze_vergence_log"] = float(np.log(gaze["gaze_vergence_spread"] + _LEAST))
    return found


def patch_features(faces: list[FaceEvidence]) -> dict[str, float] | None:
    """:data:`PATCH_FEATURES` of analysed faces in time order; None without any.

    With fewer than three crops (a picture, a glimpse) only their level is told.
    """
    if not faces:
        return None
    times = np.array([f.time_s for f in faces])
    scores = np.array([f.score for f in faces])
    found = {"patch_statistic": statistic(times, scores)}
    if len(faces) >= _MIN_CROPS:
        high = scores > 0
        found |= {
            "patch_upper": float(np.quantile(running_level(times, scores), 0.9)),
            "patch_share": float(high.mean()),
            "patch_run": _longest_run(high) / len(high),
            "patch_flicker": float(np.median(np.abs(np.diff(scores)))),
            "patch_spread": float(scores.std()),
        }
    if all(len(f.parts) == len(PARTS) for f in faces):
        levels = np.array([f.parts for f in faces], np.float64)
        # A coarse grid of patches has none on some parts.
        known = {name: v[np.isfinite(v)] for name, v in zip(PARTS, levels.T, strict=True)}
        part = {name: float(np.median(v)) for name, v in known.items() if len(v)}
        if part:
            whole = float(np.median(list(part.values())))
            found |= {f"patch_{name}": v - whole for name, v in part.items()}
        if len(known["mouth"]):
            rows = np.isfinite(levels[:, list(PARTS).index("mouth")])
            found["patch_mouth_level"] = statistic(times[rows], known["mouth"])
        if {"mouth", "brow"} <= set(part):
            found["patch_contrast"] = found["patch_mouth"] - found["patch_brow"]
    return found


def _longest_run(high: NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], high, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def feature_list() -> list[dict[str, str | None]]:
    """Every feature with its group, its unit and meaning, and which values count as suspicious (or none)."""
    judged = {c.name: c.sided for c in COLUMNS}
    sides = {"one": "high", "low": "low", "both": "high or low"}
    named = [(group, name, text) for group, own in FEATURES.items() for name, text in own.items()]
    groups = {c.name: c.group for c in COLUMNS}
    named += [(groups[name], name, text) for name, text in DERIVED.items()]
    return [
        {
            "group": group,
            "name": name,
            "meaning": text,
            "suspicious": sides[judged[name]] if name in judged else None,
        }
        for group, name, text in named
    ]

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

PATCH_FEATURES: dict[str, str] = {
    "patch_statistic": "log-odds, level that the crops hold through the window or through its worst fifth",
    "patch_upper": "log-odds, 90th percentile of the level over two seconds",
    "patch_share": "share of crops above even odds",
    "patch_run": "share of the window that its longest run of crops above even odds takes",
    "patch_flicker": "log-odds, median change from one crop to the next",
    "patch_spread": "log-odds, standard deviation over crops",
} | {
    f"patch_{part}": f"log-odds, median over {what} less the median over the whole face"
    for part, what in PARTS.items()
}
"""Features of the patch group: unit and meaning."""

_ONE_SIDED = frozenset(
    {"patch_statistic", "patch_upper", "patch_share", "patch_run", "head_pose_angle", "head_pose_angle_high"}
    | {name for name in GROUPS["temporal"][1] if name.startswith("flicker")}
)
_MIN_CROPS = 3

FEATURES: dict[str, dict[str, str]] = {
    "patch": PATCH_FEATURES,
    **{name: features for name, (_, features) in GROUPS.items()},
}
"""Every feature of the evidence vector by group, with unit and meaning."""

COLUMNS: tuple[Column, ...] = tuple(
    Column(name, group, "one" if name in _ONE_SIDED else "both")
    for group, features in FEATURES.items()
    for name in features
)
"""The order of the vector."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One window of one track.

    Attributes
    ----------
    values
        (d,) float64 in the order of :data:`COLUMNS`; NaN where a feature is missing.
    valid
        (d,) bool.
    """

    track_id: int
    start_s: float
    end_s: float
    values: NDArray[np.float64]
    valid: NDArray[np.bool_]


def evidence(track: Track) -> list[Evidence]:
    """The windows of a track, in time order; at least one where it has an analysed face."""
    windows = track.behavior or tuple(
        BehaviorWindow(start, end, {}) for start, end in spans(track.start_s, track.end_s)
    )
    found = []
    for window in windows:
        faces = [f for f in track.faces if window.start_s <= f.time_s <= window.end_s]
        groups = {**window.values, "patch": patch_features(faces)}
        if groups["patch"] is None and len(windows) > 1:
            continue
        found.append(_vector(track.track_id, window, groups))
    return found


def _vector(track_id: int, window: BehaviorWindow, groups: dict[str, dict[str, float] | None]) -> Evidence:
    values = np.full(len(COLUMNS), np.nan)
    for i, column in enumerate(COLUMNS):
        group = groups.get(column.group)
        if group is not None:
            values[i] = group.get(column.name, np.nan)
    return Evidence(track_id, window.start_s, window.end_s, values, np.isfinite(values))


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
        part = np.nanmedian(levels, axis=0)
        whole = float(np.nanmedian(part))
        found |= {f"patch_{name}": float(v) - whole for name, v in zip(PARTS, part, strict=True)}
    return found


def _longest_run(high: NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], high, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))

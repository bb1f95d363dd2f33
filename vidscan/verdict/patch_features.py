"""What the crops of a window say together: the features of the patch group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidscan.patches.parts import PARTS
from vidscan.types import FaceEvidence
from vidscan.verdict.aggregate import running_level, statistic

FEATURES: dict[str, str] = (
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
"""What is measured, with unit and meaning."""

_MIN_CROPS = 3


def describe(faces: list[FaceEvidence]) -> dict[str, float] | None:
    """:data:`FEATURES` of analyzed faces in time order; None without any.

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

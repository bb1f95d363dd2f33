"""Whether a stretch of a series can say anything, and its averages over short blocks of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.series import seen
from vidscan.faces.align import apply_affine, similarity
from vidscan.faces.face_model import OUTER_EYE_CORNERS
from vidscan.types import FaceSeries

MIN_SECONDS = 4.0
"""Less than this, in seconds of seen rows, is insufficient."""
MIN_SEEN = 0.5
"""A stretch of which less than this share was seen is insufficient."""
STILL = 0.005
"""A face whose shape and pose vary less than this, in inter-ocular distances, is a still picture: a
photograph under a moving camera, recompressed, stays well below; the calmest genuine clips lie above."""
_STILL_BLOCK_S = 0.5
"""Averages over half a second: coding noise makes landmarks tremble on a still picture, but does not last."""
_ROUNDING = 1e-6


def inter_ocular(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """(T,) three-dimensional distance of the outer eye corners of (T, 68, 3) landmarks, in their unit."""
    points = np.asarray(landmarks, np.float64)
    left, right = OUTER_EYE_CORNERS
    return np.linalg.norm(points[:, left] - points[:, right], axis=-1)


def step_seconds(times: NDArray[np.floating]) -> float:
    """Median seconds between rows; 0 where there are fewer than two."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def block_means(
    times: NDArray[np.floating], values: NDArray[np.floating], seconds: float
) -> NDArray[np.float64]:
    """Means over blocks of time that follow one another, so that results do not depend on the frame rate.

    Parameters
    ----------
    times
        (T,) seconds, not decreasing.
    values
        (T, C); rows with a NaN are lost.
    seconds
        Length of a block; the first starts at the first row.

    Returns
    -------
    (B, 1 + C) mean time of the rows that were seen, and their mean values. NaN where fewer than half of a
    block's rows were seen, or it has none.
    """
    rows = np.column_stack([times, values]).astype(np.float64)
    if not len(rows):
        return rows
    block = np.floor((rows[:, 0] - rows[0, 0]) / seconds + _ROUNDING).astype(int)
    known = np.isfinite(rows).all(axis=1)
    blocks = block[-1] + 1
    present = np.bincount(block, minlength=blocks)
    counts = np.bincount(block[known], minlength=blocks)
    sums = np.zeros((blocks, rows.shape[1]))
    np.add.at(sums, block[known], rows[known])
    sums[(counts == 0) | (2 * counts < present)] = np.nan
    return sums / np.maximum(counts, 1)[:, None]


def long_enough(series: FaceSeries, seconds: float) -> bool:
    """Whether so many usable seconds of a window reach :data:`MIN_SECONDS`.

    Half a row is tolerated: times are rounded to the container's time base.
    """
    return seconds > 0 and seconds >= MIN_SECONDS - 0.5 * step_seconds(series.times)


def enough(series: FaceSeries, known: NDArray[np.bool_] | None = None) -> bool:
    """Whether a window is long enough, seen well enough, and of a face that lives.

    Parameters
    ----------
    series
        The window.
    known
        (T,) rows that can be used; by default those that were seen.

    Returns
    -------
    False under 4 s of usable rows, where more than half of the window is lost (rows without landmarks as well
    as frames without a row), or where the face is :func:`still`.
    """
    rows = seen(series) if known is None else known
    step = step_seconds(series.times)
    usable = float(rows.sum()) * step
    if not long_enough(series, usable):
        return False
    span = float(series.times[-1] - series.times[0]) + step
    return usable >= MIN_SEEN * span and not still(series)


def still(series: FaceSeries) -> bool:
    """Whether a face neither turns nor changes its shape: a photograph, or a clip that stands still.

    Landmarks are laid over those of the first row by a similarity, so that a picture that is moved, turned or
    enlarged stays still, and measured in inter-ocular distances. The standard deviation over time of
    half-second averages must reach
    :data:`STILL` in the middle one of the 68 points; without two such averages there is no movement.
    """
    points = np.asarray(series.landmarks, np.float64)
    known = np.isfinite(points).all(axis=(1, 2))
    if known.sum() < 2:
        return True
    shape = np.full((len(points), points.shape[1] * 2), np.nan)
    first = points[known][0, :, :2] / inter_ocular(points[known][:1])[0]
    # A picture that is moved, turned or enlarged as a whole stays a picture.
    moves = similarity(points[known][..., :2], first)
    shape[known] = apply_affine(moves, points[known][..., :2]).reshape(int(known.sum()), -1)
    means = block_means(series.times, shape, _STILL_BLOCK_S)[:, 1:]
    means = means[np.isfinite(means).all(axis=1)]
    if len(means) < 2:
        return True
    variance = means.var(axis=0).reshape(-1, 2).sum(axis=1)
    return bool(np.median(np.sqrt(variance)) < STILL)

"""Gaze against head pose: do the eyes hold still in the world while the head turns?

People's do. The vestibulo-ocular reflex turns the eyes against the head with a gain close to -1, but for
the moments in which they jump to another target (Leigh & Zee, *The Neurology of Eye Movements*), and both
eyes turn together. A face that is generated frame by frame need keep neither.

Velocities are those between averages over a fifth of a second: from frame to frame the noise of gaze would
drown them, and they would depend on the frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.material import block_means, enough
from vidscan.faces.rotation import rotation_matrix
from vidscan.types import FaceSeries

_BLOCK_S = 0.2
_OPEN = 0.3
"""Eyes that are closed further than this openness do not show where they look."""
TURNING = 5.0
"""Degrees a second from which the head counts as turning."""
MIN_TURNING_S = 1.0
"""Seconds of turning without which gaze says nothing."""
FIXATING = 30.0
"""Degrees a second in the world below which the eyes rest on something: the usual limit of a saccade by
velocity (Salvucci & Goldberg 2000; Olsen 2012)."""

FEATURES: dict[str, str] = {
    "gaze_gain": "turn of the eyes per turn of the head, weighted median; -1 holds still in the world",
    "gaze_correlation": "correlation of the two angular velocities while the head turns, -1..1",
    "gaze_fixating": "share of time in which gaze turns by less than 30 degrees a second in the world",
    "gaze_eyes_correlation": "correlation of the two eyes' directions, -1..1",
    "gaze_vergence_spread": "degrees, standard deviation of the difference between the eyes' yaw",
    "gaze_height_spread": "degrees, standard deviation of the difference between the eyes' pitch",
    "gaze_head_speed": "degrees a second, median of the head while it turns",
}
"""Unit and meaning of what :func:`describe` gives."""


@dataclass(frozen=True, slots=True)
class GazeSteps:
    """Angular velocities between neighboring fifths of a second that were both seen: N steps."""

    times: NDArray[np.float64]
    """(N,) seconds, middle of the step."""
    head: NDArray[np.float64]
    """(N, 2) degrees a second, yaw and pitch of the head about the eyes' own axes: of a gaze that is fixed in
    the head."""
    eyes: NDArray[np.float64]
    """(N, 2) degrees a second, yaw and pitch of gaze against the head, mean of both eyes. Eyes that hold
    still in the world have those of the head with the other sign."""
    world: NDArray[np.float64]
    """(N,) degrees a second of gaze in the world."""


def steps(series: FaceSeries) -> GazeSteps:
    """How head and gaze turn. Rows in which the face is lost or an eye closed are left out."""
    gaze = np.asarray(series.gaze, np.float64).mean(axis=1)
    values = np.column_stack([np.asarray(series.rotation, np.float64), gaze])
    values[~_visible(series)] = np.nan
    blocks = block_means(series.times, values, _BLOCK_S)
    before, after = blocks[:-1], blocks[1:]
    both = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
    before, after = before[both], after[both]
    seconds = after[:, 0] - before[:, 0]
    turn_before, turn_after = rotation_matrix(before[:, 1:4]), rotation_matrix(after[:, 1:4])
    look_before, look_after = _direction(before[:, 4:]), _direction(after[:, 4:])
    world_before = (turn_before @ look_before[..., None])[..., 0]
    world_after = (turn_after @ look_after[..., None])[..., 0]
    # Where the eyes would have to look in the turned head to look at the same place as before.
    held = _angles((np.swapaxes(turn_after, -1, -2) @ world_before[..., None])[..., 0])
    chord = np.minimum(np.linalg.norm(world_after - world_before, axis=-1) / 2, 1)
    return GazeSteps(
        (before[:, 0] + after[:, 0]) / 2,
        (before[:, 4:] - held) / seconds[:, None],
        (after[:, 4:] - before[:, 4:]) / seconds[:, None],
        np.degrees(2 * np.arcsin(chord)) / seconds,
    )


def describe(series: FaceSeries) -> dict[str, float] | None:
    """:data:`FEATURES` of a series that is already cut to a window.

    Returns
    -------
    Finite values; None where the window is insufficient (:func:`vidscan.behavior.material.enough`: under 4 s
    with open eyes, more than half lost, or a still picture), where the head turns (by :data:`TURNING` or
    faster) for less than a second, or where the eyes do not move in it at all.
    """
    visible = _visible(series)
    if not enough(series, visible):
        return None
    moved = steps(series)
    speed = np.linalg.norm(moved.head, axis=1)
    turning = speed >= TURNING
    if turning.sum() * _BLOCK_S < MIN_TURNING_S:
        return None
    head, eyes = moved.head[turning], moved.eyes[turning]
    if not eyes.any():
        return None
    together = (head * eyes).sum(axis=1)
    weight = (head**2).sum(axis=1)
    left, right = np.moveaxis(np.asarray(series.gaze, np.float64)[visible], 1, 0)
    apart = (left - right).std(axis=0)
    return {
        "gaze_gain": _weighted_median(together / weight, weight),
        "gaze_correlation": float(together.sum() / np.sqrt(weight.sum() * (eyes**2).sum())),
        "gaze_fixating": float((moved.world < FIXATING).mean()),
        "gaze_eyes_correlation": _agreement(left, right),
        "gaze_vergence_spread": float(apart[0]),
        "gaze_height_spread": float(apart[1]),
        "gaze_head_speed": float(np.median(speed[turning])),
    }


def _visible(series: FaceSeries) -> NDArray[np.bool_]:
    """(T,) rows in which head and gaze are known and both eyes open."""
    known = np.isfinite(series.rotation).all(axis=1) & np.isfinite(series.gaze).all(axis=(1, 2))
    return np.asarray(known & (np.nan_to_num(series.openness).min(axis=1) >= _OPEN), bool)


def _direction(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit vectors of yaw and pitch (N, 2) in degrees."""
    yaw, pitch = np.radians(degrees).T
    return np.stack([-np.cos(pitch) * np.sin(yaw), np.sin(pitch), -np.cos(pitch) * np.cos(yaw)], axis=-1)


def _angles(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) yaw and pitch in degrees of unit vectors (N, 3)."""
    x, y, z = direction.T
    return np.degrees(np.stack([np.arctan2(-x, -z), np.arcsin(np.clip(y, -1, 1))], axis=-1))


def _agreement(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Correlation of two directions (T, 2) over yaw and pitch together; 0 where one does not vary."""
    a, b = left - left.mean(axis=0), right - right.mean(axis=0)
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float(np.clip((a * b).sum() / scale, -1, 1)) if scale > 0 else 0.0


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value below which half of the weight lies: eyes that jump now and then do not shift it."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(below, below[-1] / 2)]])

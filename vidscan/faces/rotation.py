"""Rotations as matrices and as the three angles of :attr:`vidscan.types.FaceSeries.rotation`.

The axes are the camera's, right-handed: x to the right, y down, z away. Angles are degrees: pitch about x
(positive looks down), yaw about y (positive turns the nose to the image's left), roll about z (positive tilts
clockwise in the image); R = Rz Ry Rx.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GIMBAL = 1e-9


def rotation_matrix(degrees: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) of angles (..., 3): pitch, yaw and roll in degrees."""
    angles = np.radians(np.asarray(degrees, np.float64))
    sx, sy, sz = np.moveaxis(np.sin(angles), -1, 0)
    cx, cy, cz = np.moveaxis(np.cos(angles), -1, 0)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def euler_degrees(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pitch, yaw and roll (..., 3) in degrees of rotation matrices (..., 3, 3).

    Yaw lies in -90..90, pitch and roll in -180..180. At a yaw of 90 degrees either way pitch and roll turn
    about the same axis; roll is then given as 0. NaN matrices give NaN.
    """
    r = np.asarray(rotation, np.float64)
    level = np.hypot(r[..., 0, 0], r[..., 1, 0])
    locked = level < _GIMBAL
    pitch = np.where(locked, np.arctan2(-r[..., 1, 2], r[..., 1, 1]), np.arctan2(r[..., 2, 1], r[..., 2, 2]))
    yaw = np.arctan2(-r[..., 2, 0], level)
    roll = np.where(locked, 0.0, np.arctan2(r[..., 1, 0], r[..., 0, 0]))
    return np.degrees(np.stack([pitch, yaw, roll], axis=-1))


def angle_between(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Degrees (...), 0..180, of the one turn that leads from rotations (..., 3, 3) to others."""
    # From the chord between the matrices: the trace's arc cosine loses all digits of small angles.
    chord = np.linalg.norm(np.asarray(first, np.float64) - np.asarray(second, np.float64), axis=(-2, -1))
    return np.degrees(2 * np.arcsin(np.minimum(chord / np.sqrt(8), 1)))

"""From the teacher's face to what the landmark network learns: 68 points, action units, eyes, gaze.

Where the teacher's blendshape hardly varies between people and moments (standard deviation below .02:
``cheekSquint``, ``noseSneer``, ``mouthFrown``) the unit is measured on the landmarks instead; "lips part"
is geometry too, for no blendshape says it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.face_model import OUTER_EYE_CORNERS
from vidscan.faces.units import MAX_INTENSITY, UNITS
from vidscan.training.teacher import BLENDSHAPES

IBUG = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
"""Index in the teacher's mesh of each of the 68 points of the iBUG scheme (Sagonas et al. 2013)."""

BLENDSHAPES_OF: dict[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    14: ("mouthDimpleLeft", "mouthDimpleRight"),
    17: ("mouthShrugLower",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    23: ("mouthPressLeft", "mouthPressRight"),
    26: ("jawOpen",),
    45: ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""Blendshapes whose mean is the intensity of a unit."""

GEOMETRIC: tuple[int, ...] = (6, 9, 15, 25)
"""Units measured on the landmarks, not on blendshapes."""

_FULL = {1: 0.8, 2: 0.6, 4: 0.6, 5: 0.25, 7: 0.75, 10: 0.5, 12: 0.9, 14: 0.25}
_FULL |= {17: 0.5, 20: 0.5, 23: 0.4, 26: 0.5, 45: 0.8}
"""Blendshape value that counts as full intensity: about the highest that genuine faces reach."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Targets of N faces.

    Attributes
    ----------
    landmarks
        (N, 68, 3) float32 pixels of the labeled picture.
    units
        (N, 17) float32 intensities 0..5.
    openness
        (N, 2) float32 0..1, left and right eye as seen in the image.
    gaze
        (N, 2, 2) float32 yaw and pitch in units of 30 degrees, left and right eye as seen in the image.
    """

    landmarks: NDArray[np.float32]
    units: NDArray[np.float32]
    openness: NDArray[np.float32]
    gaze: NDArray[np.float32]


def expression(meshes: NDArray[np.floating], blendshapes: NDArray[np.floating]) -> Expression:
    """Targets from meshes (N, 478, 3) or their 68 points (N, 68, 3), and blendshapes (N, 52)."""
    points = np.asarray(meshes, np.float32)
    if points.shape[1] != len(IBUG):
        points = points[:, list(IBUG)]
    shape = {name: np.asarray(blendshapes, np.float32)[:, i] for i, name in enumerate(BLENDSHAPES)}
    geometric = geometric_units(points)
    units = np.empty((len(points), len(UNITS)), np.float32)
    for column, unit in enumerate(UNITS):
        if unit in GEOMETRIC:
            units[:, column] = geometric[unit]
        else:
            value = np.mean([shape[name] for name in BLENDSHAPES_OF[unit]], axis=0)
            units[:, column] = np.clip(MAX_INTENSITY * value / _FULL[unit], 0, MAX_INTENSITY)
    # The person's right eye is on the image's left.
    openness = np.stack([1 - shape["eyeBlinkRight"], 1 - shape["eyeBlinkLeft"]], axis=1)
    # Yaw is positive towards the image's left: the right eye looks there outwards, the left one inwards.
    gaze = np.stack(
        [
            np.stack(
                [
                    shape["eyeLookOutRight"] - shape["eyeLookInRight"],
                    shape["eyeLookDownRight"] - shape["eyeLookUpRight"],
                ],
                axis=1,
            ),
            np.stack(
                [
                    shape["eyeLookInLeft"] - shape["eyeLookOutLeft"],
                    shape["eyeLookDownLeft"] - shape["eyeLookUpLeft"],
                ],
                axis=1,
            ),
        ],
        axis=1,
    )
    return Expression(points, units, openness, gaze)


def geometric_units(points: NDArray[np.floating]) -> dict[int, NDArray[np.float32]]:
    """Intensities 0..5 of the units in :data:`GEOMETRIC` from 68 points (N, 68, 3).

    Three-dimensional distances over the distance between the outer eye corners, brought to 0..5 between
    the levels of a face at rest and of a strong expression (quantiles of genuine training faces).
    """
    p = np.asarray(points, np.float64)

    def distance(a: int, b: int) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(p[:, a] - p[:, b], axis=1), np.float64)

    ocular = distance(*OUTER_EYE_CORNERS)
    # Raised cheeks narrow the eye from below and shorten the way from lid to mouth corner.
    cheek = (distance(40, 48) + distance(47, 54)) / 2 / ocular
    # A wrinkled nose draws its wings towards the inner eye corners.
    nose = (distance(39, 31) + distance(42, 35)) / 2 / ocular
    # Drawn-down corners lie below the middle of the lips, along the line from nose bridge to chin.
    down = p[:, 8] - p[:, 27]
    down = down / np.linalg.norm(down, axis=1, keepdims=True)
    corners = ((p[:, 48] + p[:, 54] - p[:, 62] - p[:, 66]) / 2 * down).sum(1) / ocular
    lips = distance(62, 66) / ocular
    found = {
        6: _ramp(-cheek, *_CHEEK),
        9: _ramp(-nose, *_NOSE),
        15: _ramp(corners, *_CORNERS),
        25: _ramp(lips, *_LIPS),
    }
    return {unit: value.astype(np.float32) for unit, value in found.items()}


_CHEEK = (-0.72, -0.50)
_NOSE = (-0.50, -0.42)
_CORNERS = (0.0, 0.07)
_LIPS = (0.02, 0.32)


def _ramp(values: NDArray[np.float64], rest: float, full: float) -> NDArray[np.float64]:
    return np.clip((values - rest) / (full - rest), 0, 1) * MAX_INTENSITY

"""Where a head points and its eyes look, drawn onto the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.face_model import EYES
from vidscan.faces.rotation import rotation_matrix
from vidscan.report.drawing import INK, Colour, Image, draw_dot, draw_lines
from vidscan.types import FaceSeries

POSE_COLOUR: Colour = (120, 220, 255)
GAZE_COLOUR: Colour = (255, 226, 92)

_DISTANCE = 6.0
"""Of the camera, in halves of the head's box: a gentle perspective."""
_CORNERS = np.array([(x, y, z) for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], float)
"""The box's front (towards the camera) and its back."""


def project_box(
    rotation: NDArray[np.floating], centre: NDArray[np.floating], side: float
) -> NDArray[np.float64]:
    """(8, 2) corners of a head's box in pixels, those of its front first.

    ``rotation`` (3,) degrees, ``centre`` (2,) and ``side`` in pixels.
    """
    turned = _CORNERS @ rotation_matrix(rotation).T
    nearer = _DISTANCE / (_DISTANCE + turned[:, 2:])
    return np.asarray(centre) + side / 2 * turned[:, :2] * nearer


def gaze_direction(rotation: NDArray[np.floating], gaze: NDArray[np.floating]) -> NDArray[np.float64]:
    """(3,) unit vector in the camera's axes: where an eye looks.

    ``rotation`` (3,) of the head; ``gaze`` (2,) yaw and pitch against the head; degrees.
    """
    eye = rotation_matrix(np.array([gaze[1], gaze[0], 0.0]))
    return rotation_matrix(rotation) @ eye @ np.array([0.0, 0.0, -1.0])


def row_of(series: FaceSeries | None, frame_index: int) -> int | None:
    """The row of a frame in a series; None where it has none, or the landmarks were lost.

    Where only every N-th frame was read, the frames up to the next one share its row.
    """
    if series is None or not len(series.frames):
        return None
    row = int(np.searchsorted(series.frames, frame_index, "right")) - 1
    step = np.median(np.diff(series.frames)) if len(series.frames) > 1 else 1
    if row < 0 or frame_index - series.frames[row] >= step:
        return None
    known = np.isfinite(series.rotation[row]).all() and np.isfinite(series.landmarks[row, :, :2]).all()
    return row if known else None


def draw_pose(
    image: Image, series: FaceSeries, row: int, scale: NDArray[np.float64], thickness: float
) -> None:
    """Draw the head's box; its front is drawn strongly. ``scale`` (2,) is image pixels per frame pixel."""
    points = (series.landmarks[row, :, :2] + 0.5) * scale - 0.5
    low, high = points.min(axis=0), points.max(axis=0)
    corners = project_box(series.rotation[row], (low + high) / 2, 1.15 * float((high - low).max()))
    front, back = corners[:4], corners[4:]
    draw_lines(image, back, POSE_COLOUR, thickness / 2, closed=True)
    for near, far in zip(front, back, strict=True):
        draw_lines(image, np.stack([near, far]), POSE_COLOUR, thickness / 2)
    draw_lines(image, front, INK, thickness + 2, closed=True)
    draw_lines(image, front, POSE_COLOUR, thickness, closed=True)


def draw_gaze(
    image: Image, series: FaceSeries, row: int, scale: NDArray[np.float64], thickness: float
) -> None:
    """Draw a line from either eye to where it looks; towards the camera it shrinks to its dot."""
    points = (series.landmarks[row, :, :2] + 0.5) * scale - 0.5
    eyes = [points[part].mean(axis=0) for part in EYES]
    length = 1.1 * float(np.linalg.norm(eyes[1] - eyes[0]))
    for eye, angles in zip(eyes, series.gaze[row], strict=True):
        if np.isfinite(angles).all():
            end = eye + length * gaze_direction(series.rotation[row], angles)[:2]
            for colour, width in ((INK, thickness + 2), (GAZE_COLOUR, thickness)):
                draw_lines(image, np.stack([eye, end]), colour, width)
            draw_dot(image, end[0], end[1], 1.6 * thickness, GAZE_COLOUR)
            draw_dot(image, eye[0], eye[1], thickness, GAZE_COLOUR)

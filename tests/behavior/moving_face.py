"""Series of the average face in a known pose, for tests of what is measured on landmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.series import make_series
from vidscan.behavior.head_pose import CENTRAL
from vidscan.faces.face_model import FACE_MODEL
from vidscan.faces.rotation import rotation_matrix
from vidscan.types import FaceSeries

FOCAL, CENTRE, DISTANCE = 1200.0, (640.0, 360.0), 10.0
PIXELS = FOCAL / DISTANCE
"""Pixels of an inter-ocular distance at the distance of the face."""


def project(degrees: np.ndarray, place: tuple[float, float, float] = (0.4, -0.2, DISTANCE)) -> np.ndarray:
    """(T, 68, 3) landmarks of the average face turned by (T, 3) degrees; depth in pixels about the mean."""
    points = np.einsum("tij,kj->tki", rotation_matrix(degrees), FACE_MODEL) + place
    flat = points[..., :2] / points[..., 2:] * FOCAL + CENTRE
    return np.concatenate([flat, (points[..., 2:] - place[2]) * PIXELS], axis=-1)


def splice(degrees: np.ndarray, central_degrees: np.ndarray) -> np.ndarray:
    """(T, 68, 3) landmarks of one pose, in whose middle sits the central face of another."""
    landmarks = project(degrees)
    landmarks[:, list(CENTRAL)] = project(central_degrees)[:, list(CENTRAL)]
    return landmarks


def nodding(
    seconds: float = 6.0, fps: float = 25.0, noise_px: float = 0.2, seed: int = 0, **overrides: Any
) -> FaceSeries:
    """A series whose landmarks are those of the average face, turned as its rotation says."""
    series = make_series(seconds, fps, seed)
    landmarks = project(np.asarray(series.rotation, float))
    landmarks += np.random.default_rng(seed).normal(0, noise_px, landmarks.shape)
    values = {"landmarks": landmarks.astype(np.float32)} | overrides
    return make_series(seconds, fps, seed, **values)


def photograph(seconds: float = 6.0, fps: float = 25.0, noise_px: float = 0.2) -> FaceSeries:
    """A portrait that is panned and slowly enlarged; the landmarks tremble a little."""
    series = make_series(seconds, fps)
    count = len(series.times)
    still = project(np.tile([5.0, -10.0, 3.0], (count, 1)))
    move = np.linspace(0, 1, count)[:, None, None]
    landmarks = still * (1 + 0.2 * move) + move * [50.0, 20.0, 0.0]
    landmarks += np.random.default_rng(1).normal(0, noise_px, landmarks.shape)
    return make_series(seconds, fps, landmarks=landmarks.astype(np.float32))


def lose(series: FaceSeries, rows: np.ndarray | slice) -> FaceSeries:
    """A copy of the series in which the landmarks of some rows were lost."""
    lost = {}
    for name in ("landmarks", "units", "openness", "rotation", "gaze", "shut"):
        lost[name] = getattr(series, name).copy()
        lost[name][rows] = np.nan
    return replace(series, **lost)

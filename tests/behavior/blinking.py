"""Series of faces that blink at known times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.behavior.drawn_eyes import blinks_at, eye_landmarks
from tests.series import make_series
from vidscan.types import FaceSeries


def series_with(shut: np.ndarray, fps: float = 25.0, noise: float = 0.0) -> FaceSeries:
    """A series whose eyes are closed by ``shut`` (T, 2), in every measure of them."""
    rng = np.random.default_rng(0)
    openness = 0.85 * (1 - 0.7 * shut) + rng.normal(0, noise, shut.shape)
    landmarks = eye_landmarks(shut)
    landmarks[..., :2] += rng.normal(0, 12 * noise, landmarks[..., :2].shape)
    # The jaw works slowly: a face of which nothing but the lids moves counts as a picture.
    jaw = np.sin(2 * np.pi * 0.15 * np.arange(len(shut)) / fps)
    landmarks[:, :17, 1] += 4 * jaw[:, None]
    return make_series(
        len(shut) / fps,
        fps,
        openness=np.clip(openness, 0, 1).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
    )


def both(signal: np.ndarray) -> np.ndarray:
    """(T, 2) of a (T,) signal: either eye alike."""
    return np.repeat(signal[:, None], 2, 1)


def disagreeing(rows: int, fps: float = 25.0) -> FaceSeries:
    """Within 5 s one blink by the landmarks, two by the openness and three by the eye-state network."""
    times = np.arange(rows) / fps

    def seen(*starts: float) -> FaceSeries:
        return series_with(both(blinks_at(times, list(starts))), fps)

    return replace(seen(3.0), openness=seen(1.2, 3.5).openness, shut=seen(0.6, 2.0, 4.0).shut)

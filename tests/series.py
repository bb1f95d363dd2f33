"""Synthetic face series: a face that talks, turns, blinks and looks about, with known ground truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from vidscan.types import FaceSeries


def make_series(seconds: float = 12.0, fps: float = 25.0, seed: int = 0, **overrides: Any) -> FaceSeries:
    """A smooth, plausible series; ``overrides`` replace whole fields."""
    rng = np.random.default_rng(seed)
    count = round(seconds * fps)
    times = np.arange(count) / fps

    def wander(columns: int, scale: float) -> np.ndarray:
        """(T, columns) sums of slow sines."""
        phases, speeds = rng.uniform(0, 2 * np.pi, (3, columns)), rng.uniform(0.1, 1.0, (3, columns))
        waves = np.sin(2 * np.pi * speeds[None] * times[:, None, None] + phases[None])
        return scale * waves.mean(1)

    rotation = wander(3, 12.0)
    flat = rng.normal(0, 40, (68, 3)) * [1, 1, 0.5]
    landmarks = flat[None] + np.concatenate([wander(2, 30.0) + 200, np.zeros((count, 1))], 1)[:, None]
    values: dict[str, Any] = {
        "track_id": 0,
        "frames": np.arange(count),
        "times": times,
        "landmarks": (landmarks + rng.normal(0, 0.3, landmarks.shape)).astype(np.float32),
        "confidence": np.ones(count, np.float32),
        "units": np.clip(1 + wander(17, 2.0) + rng.normal(0, 0.05, (count, 17)), 0, 5).astype(np.float32),
        "openness": np.clip(0.85 + rng.normal(0, 0.02, (count, 2)), 0, 1).astype(np.float32),
        "rotation": rotation.astype(np.float32),
        "texture": rng.normal(0, 0.05, (count, 2, 3, 2)).astype(np.float32),
        "gaze": (-0.8 * rotation[:, None, [1, 0]] + rng.normal(0, 0.5, (count, 2, 2))).astype(np.float32),
    }
    values |= overrides
    # What the eye-state network saw agrees, unless a test says otherwise.
    return FaceSeries(**({"shut": (1 - values["openness"]).astype(np.float32)} | values))

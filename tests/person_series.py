"""Synthetic people: each lets the twenty signals of the face move together in their own way."""

from __future__ import annotations

import numpy as np

from tests.series import make_series
from vidscan.types import FaceSeries

SOURCES = 5


def person_series(
    person: int,
    seconds: float = 30.0,
    *,
    clip: int = 0,
    fps: float = 10.0,
    track_id: int = 0,
    steadiness: float = 0.95,
) -> FaceSeries:
    """A track of ``person``: the same mixing of random sources in every clip, other sources each time.

    ``steadiness`` is the share of the movement that follows the person's own mixing.
    """
    mixing = np.random.default_rng(1000 + person).normal(size=(SOURCES, 20))
    mixing /= np.linalg.norm(mixing, axis=0)
    rng = np.random.default_rng((person, clip, 7))
    count = round(seconds * fps)
    smooth = np.ones(5) / 5

    def wander(columns: int) -> np.ndarray:
        noise = rng.normal(size=(count + 4, columns))
        return np.stack([np.convolve(column, smooth, "valid") for column in noise.T], 1) * np.sqrt(5)

    moves = steadiness * wander(SOURCES) @ mixing + (1 - steadiness) * wander(20)
    units = np.clip(2.5 + 0.5 * moves[:, :16], 0, 5)
    flat = np.random.default_rng(0).normal(0, 25, (68, 3)) * [1, 1, 0.3]
    flat[36], flat[45] = (-45, -20, 0), (45, -20, 0)
    flat[48], flat[54] = (-25, 40, 0), (25, 40, 0)
    flat[62], flat[66] = (0, 38, 0), (0, 46, 0)
    landmarks = np.repeat(flat[None], count, 0)
    landmarks[:, 54, 0] += 3 * moves[:, 18]
    landmarks[:, 66, 1] += 3 * moves[:, 19]
    # The rest of the face moves too, or it would pass for a still picture.
    rest = [i for i in range(68) if i not in (36, 45, 48, 54, 62, 66)]
    landmarks[:, rest, 1] += 2 * np.sin(np.arange(count)[:, None] / fps + np.arange(len(rest)))
    rotation = np.zeros((count, 3))
    rotation[:, [0, 2]] = 4 * moves[:, 16:18]
    return make_series(
        seconds,
        fps,
        seed=clip,
        track_id=track_id,
        units=np.concatenate([units, np.zeros((count, 1))], 1).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        rotation=rotation.astype(np.float32),
    )

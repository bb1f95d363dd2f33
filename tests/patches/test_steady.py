"""Running means of patch maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.patches.steady import HISTORY_S, SteadyMaps


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 4)), min_size=1, max_size=40),
    st.floats(0.5, 12),
    st.integers(0, 9),
)
def test_a_mean_is_that_of_the_track_s_own_last_seconds(
    steps: list[tuple[int, float]], history: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    steady, now, given_so_far = SteadyMaps(history), 0.0, []
    for track, step in steps:
        now += step
        logits = rng.normal(0, 3, (3, 4)).astype(np.float32)
        given_so_far.append((track, now, logits))
        recent = [m for t, when, m in given_so_far if t == track and when >= now - history]
        np.testing.assert_allclose(steady.add(track, now, logits), np.mean(recent, axis=0), atol=1e-5)


def test_tracks_that_ended_are_forgotten() -> None:
    steady = SteadyMaps()
    for track in range(50):
        steady.add(track, track * 3.0, np.zeros((2, 2), np.float32))
    assert len(steady) == int(HISTORY_S / 3.0) + 1


def test_noise_sinks_and_what_stays_stays() -> None:
    rng = np.random.default_rng(0)
    trace = np.zeros((28, 28))
    trace[10:14, 10:14] = 2.0
    steady = SteadyMaps()
    for i in range(40):
        mean = steady.add(0, i / 4, (trace + rng.normal(0, 2, trace.shape)).astype(np.float32))
    assert mean[10:14, 10:14].mean() == pytest.approx(2, abs=0.3)
    assert mean[16:].std() < 0.5

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behavior.moving_face import lose, nodding, photograph
from tests.series import make_series
from vidscan.behavior import action_units, correlation, gaze, head_pose
from vidscan.behavior.material import block_means, enough, still


def test_a_living_face_is_enough_from_four_seconds_on() -> None:
    assert enough(nodding(4.0))
    assert not enough(nodding(3.8))


@pytest.mark.parametrize("group", [action_units, correlation, gaze, head_pose])
def test_what_is_not_enough_is_not_described(group: ModuleType) -> None:
    for series in (nodding(3.0), photograph(), lose(nodding(8.0), slice(0, 101)), make_series(0)):
        assert group.describe(series) is None


def test_half_of_the_window_must_be_seen() -> None:
    series = nodding(10.0)
    assert enough(lose(series, slice(0, 120)))
    assert not enough(lose(series, slice(0, 130)))


def test_frames_without_a_row_count_as_lost() -> None:
    parts = nodding(10.0)
    times = parts.times + np.where(parts.times >= 5.0, 15.0, 0.0)
    assert not enough(nodding(10.0, times=times))


@pytest.mark.parametrize("noise_px", [0.0, 0.3])
def test_a_panned_photograph_is_still(noise_px: float) -> None:
    picture = photograph(noise_px=noise_px)
    assert still(picture)
    assert not enough(picture)


def test_one_row_and_none_say_nothing() -> None:
    for count in (0, 1):
        assert not enough(nodding(count / 25))


@given(rate=st.floats(-5, 5), seconds=st.floats(0.1, 1.0), fps=st.sampled_from([8, 24, 30000 / 1001, 50, 60]))
def test_block_means_tell_the_rate_of_a_ramp_at_any_frame_rate(
    rate: float, seconds: float, fps: float
) -> None:
    times = np.arange(0, 5, 1 / fps)
    blocks = block_means(times, rate * times[:, None] + 3, seconds)
    seen = blocks[np.isfinite(blocks).all(axis=1)]
    steps = np.diff(seen, axis=0)
    assert steps[:, 1] == pytest.approx(rate * steps[:, 0], abs=1e-9)


def test_a_block_of_which_most_was_lost_is_lost() -> None:
    times = np.arange(20) / 10
    values = np.ones((20, 2))
    values[0:3, 1] = np.nan
    blocks = block_means(times, values, 0.5)
    assert np.isnan(blocks[0]).all()
    assert (blocks[1:, 1:] == 1).all()
    assert block_means(times[:0], values[:0], 0.5).shape == (0, 3)

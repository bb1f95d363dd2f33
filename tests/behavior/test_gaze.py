import numpy as np
import pytest

from tests.behavior.moving_face import lose, nodding
from vidscan.behavior.gaze import FEATURES, describe, steps
from vidscan.faces.rotation import rotation_matrix
from vidscan.types import FaceSeries


def looking_at(rotation: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(T, 2, 2) gaze of both eyes in heads turned by (T, 3) degrees, at unit vectors (T, 3) in the world."""
    x, y, z = np.einsum("tji,tj->ti", rotation_matrix(rotation), target).T
    angles = np.degrees(np.stack([np.arctan2(-x, -z), np.arcsin(y)], axis=1))
    return np.repeat(angles[:, None], 2, axis=1)


def fixating(seconds: float = 10.0, noise: float = 0.0, seed: int = 0, **overrides: object) -> FaceSeries:
    """Somebody who looks at the camera all the time, whatever the head does."""
    series = nodding(seconds, seed=seed)
    gaze = looking_at(series.rotation, np.tile([0.0, 0.0, -1.0], (len(series.times), 1)))
    gaze += np.random.default_rng(seed).normal(0, noise, gaze.shape)
    return nodding(seconds, seed=seed, **({"gaze": gaze} | overrides))


@pytest.mark.parametrize("seed", range(3))
def test_eyes_that_hold_still_in_the_world(seed: int) -> None:
    found = describe(fixating(seed=seed))
    assert found is not None and set(found) == set(FEATURES)
    assert found["gaze_gain"] == pytest.approx(-1, abs=0.02)
    assert found["gaze_correlation"] < -0.99
    assert found["gaze_fixating"] == 1
    assert found["gaze_eyes_correlation"] == pytest.approx(1)
    assert found["gaze_vergence_spread"] == pytest.approx(0, abs=1e-4)


def test_they_do_so_in_a_tilted_head() -> None:
    """The eyes' own axes are turned with the head: yaw of the head is no yaw of the eyes."""
    times = np.arange(250) / 25
    rotation = np.stack([0 * times, 15 * np.sin(2 * np.pi * 0.5 * times), 0 * times + 60], axis=1)
    found = describe(
        nodding(10.0, rotation=rotation, gaze=looking_at(rotation, np.tile([0.0, 0.0, -1.0], (250, 1))))
    )
    assert found is not None
    assert found["gaze_gain"] == pytest.approx(-1, abs=0.03)
    assert found["gaze_correlation"] < -0.98


@pytest.mark.parametrize("gain", [-0.6, -0.3, 0.4])
def test_a_known_gain_is_found(gain: float) -> None:
    times = np.arange(250) / 25
    rotation = np.stack([0 * times, 12 * np.sin(2 * np.pi * 0.6 * times), 0 * times], axis=1)
    gaze = np.repeat(gain * rotation[:, None, [1, 0]], 2, axis=1)
    found = describe(nodding(10.0, rotation=rotation, gaze=gaze))
    assert found is not None
    assert found["gaze_gain"] == pytest.approx(gain, abs=0.02)
    assert np.sign(found["gaze_correlation"]) == np.sign(gain)


def test_jumps_to_other_targets_do_not_shift_the_gain() -> None:
    series = nodding(10.0)
    targets = np.tile([0.0, 0.0, -1.0], (250, 1))
    for place, start in enumerate(range(0, 250, 40)):
        targets[start : start + 40] = rotation_matrix(np.array([0, 12.0 * (-1) ** place, 0])) @ [0, 0, -1]
    found = describe(nodding(10.0, gaze=looking_at(series.rotation, targets)))
    assert found is not None
    assert found["gaze_gain"] == pytest.approx(-1, abs=0.05)
    assert 0.8 < found["gaze_fixating"] < 1


def test_eyes_that_ignore_the_head() -> None:
    """Gaze of another person's film on this head."""
    other = fixating(seed=9)
    found, held = describe(fixating(gaze=other.gaze)), describe(fixating())
    assert found is not None and held is not None
    assert found["gaze_correlation"] > -0.5 > held["gaze_correlation"]
    assert abs(found["gaze_gain"] + 1) > 0.3


def test_eyes_that_go_separate_ways() -> None:
    series = fixating()
    gaze = series.gaze.copy()
    gaze[:, 1] += np.random.default_rng(3).normal(0, 6, gaze[:, 1].shape)
    apart = describe(fixating(gaze=gaze))
    assert apart is not None
    assert apart["gaze_vergence_spread"] == pytest.approx(6, rel=0.15)
    assert apart["gaze_height_spread"] == pytest.approx(6, rel=0.15)
    assert apart["gaze_eyes_correlation"] < 0.9


def test_steps_measure_the_head_and_skip_what_was_lost() -> None:
    times = np.arange(150) / 25
    rotation = np.stack([0 * times, 10 * times - 30, 0 * times], axis=1)
    gaze = looking_at(rotation, np.tile([0.0, 0.0, -1.0], (150, 1)))
    series = nodding(6.0, rotation=rotation, gaze=gaze)
    whole = steps(series)
    assert whole.head[:, 0] == pytest.approx(10, abs=0.05)
    assert whole.head[:, 1] == pytest.approx(0, abs=0.05)
    assert whole.eyes == pytest.approx(-whole.head, abs=0.1)
    assert whole.world == pytest.approx(0, abs=0.1)
    holed = steps(lose(series, slice(50, 75)))
    assert len(holed.times) < len(whole.times) - 4
    assert not ((holed.times > 2.1) & (holed.times < 2.9)).any()


def test_closed_eyes_look_nowhere() -> None:
    series = fixating()
    openness, gaze = series.openness.copy(), series.gaze.copy()
    openness[50:55], gaze[50:55] = 0.1, 40.0
    openness[150:153, 1], gaze[150:153] = 0.1, -40.0
    found = describe(fixating(openness=openness, gaze=gaze))
    assert found is not None
    assert found["gaze_gain"] == pytest.approx(-1, abs=0.02)
    assert found["gaze_fixating"] == 1
    openness[:160] = 0.1
    assert describe(fixating(openness=openness)) is None


def test_a_head_that_hardly_turns_says_nothing() -> None:
    series = fixating()
    assert describe(fixating(rotation=0.05 * series.rotation)) is None


def test_eyes_that_are_fixed_in_the_head_are_not_described() -> None:
    assert describe(fixating(gaze=np.zeros((250, 2, 2)))) is None

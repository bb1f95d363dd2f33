import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.behavior.moving_face import lose, nodding
from tests.series import make_series
from vidscan.behavior.action_units import FEATURES, GROUPS, MOVEMENTS, SIGNAL_UNITS, describe, signals
from vidscan.faces.units import UNITS


def test_the_signals_are_those_of_the_paper() -> None:
    assert len(MOVEMENTS) == len(set(MOVEMENTS)) == 20
    assert tuple(unit for unit in UNITS if unit != 45) == SIGNAL_UNITS
    series = nodding()
    values = signals(series)
    assert values.shape == (len(series.times), 20)
    assert (values[:, MOVEMENTS.index("AU26")] == series.units[:, UNITS.index(26)]).all()
    assert (values[:, MOVEMENTS.index("head_pitch")] == series.rotation[:, 0]).all()
    assert (values[:, MOVEMENTS.index("head_roll")] == series.rotation[:, 2]).all()


@given(scale=st.floats(0.2, 10), x=st.floats(-500, 500), width=st.floats(0.1, 2), height=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_lengths_do_not_depend_on_the_size_and_place_of_the_face(
    scale: float, x: float, width: float, height: float
) -> None:
    face = np.zeros((1, 68, 3))
    face[0, 45] = [0.6, 0.0, 0.8]
    face[0, 54] = [0.0, width, 0.0]
    face[0, 66] = [0.0, 0.0, height]
    series = make_series(0.04, 25, landmarks=face * scale * 100 + x)
    values = signals(series)[0]
    assert values[MOVEMENTS.index("mouth_width")] == pytest.approx(width, abs=1e-9)
    assert values[MOVEMENTS.index("lip_height")] == pytest.approx(height, abs=1e-9)


def test_lost_rows_stay_gaps() -> None:
    series = nodding()
    values = signals(lose(series, slice(10, 20)))
    assert np.isnan(values[10:20]).all()
    rest = np.r_[0:10, 20 : len(values)]
    assert (values[rest] == signals(series)[rest]).all()


def test_coinciding_eyes_give_no_lengths() -> None:
    flat = signals(make_series(1.0, landmarks=np.zeros((25, 68, 3))))
    assert np.isnan(flat[:, -2:]).all()


def test_describes_known_movement() -> None:
    series = nodding(10.0)
    units = np.full(series.units.shape, 2.0)
    units[:, UNITS.index(1)] = 2 + np.sin(2 * np.pi * 0.5 * series.times)
    found = describe(nodding(10.0, units=units))
    assert found is not None and set(found) == set(FEATURES)
    assert found["units_brow_mean"] == pytest.approx(2, abs=1e-3)
    assert found["units_brow_spread"] == pytest.approx(np.sqrt(0.5) / 3, rel=1e-2)
    # A sine of amplitude 1 and half a hertz runs through 4 units in 2 seconds.
    assert found["units_brow_activity"] == pytest.approx(2 / len(GROUPS["brow"]), rel=0.05)
    assert found["units_lids_spread"] == found["units_nose_activity"] == 0


def test_activity_does_not_depend_on_the_frame_rate() -> None:
    found = []
    for fps in (15, 60):
        times = np.arange(10 * fps) / fps
        units = 2 + np.sin(2 * np.pi * 0.7 * times[:, None] + np.arange(17))
        noise = np.random.default_rng(0).normal(0, 0.05, units.shape)
        found.append(describe(nodding(10.0, fps, units=units + noise)))
    slow, fast = found
    assert slow is not None and fast is not None
    for group in GROUPS:
        name = f"units_{group}_activity"
        assert slow[name] == pytest.approx(fast[name], rel=0.05)


def test_gaps_hardly_change_the_description() -> None:
    whole, holed = describe(nodding(10.0)), describe(lose(nodding(10.0), slice(100, 110)))
    assert whole is not None and holed is not None
    for name in FEATURES:
        assert holed[name] == pytest.approx(whole[name], rel=0.1, abs=0.01)

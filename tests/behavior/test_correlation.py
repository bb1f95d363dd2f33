import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr

from tests.behavior.moving_face import nodding
from vidscan.behavior.action_units import MOVEMENTS, signals
from vidscan.behavior.correlation import FEATURES, PAIRS, correlations, describe, neutral
from vidscan.faces.units import UNITS


def reference(values: np.ndarray) -> np.ndarray:
    """(190,) scipy's coefficients of the rows (T, 20) that are complete."""
    rows = values[np.isfinite(values).all(axis=1)]
    return np.array([pearsonr(rows[:, MOVEMENTS.index(a)], rows[:, MOVEMENTS.index(b)])[0] for a, b in PAIRS])


def random_signals(seconds: float, fps: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * fps)) / fps
    mixed = rng.normal(size=(len(times), 6)) @ rng.normal(size=(6, 20))
    return times, mixed + rng.normal(size=mixed.shape)


def test_there_are_190_pairs() -> None:
    assert len(set(PAIRS)) == 190
    assert PAIRS[0] == ("AU01", "AU02") and PAIRS[-1] == ("mouth_width", "lip_height")


@given(
    seed=st.integers(0, 1000),
    offset=st.floats(-1e5, 1e5),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    lost=st.integers(0, 40),
)
@settings(max_examples=6, deadline=None)
def test_equals_scipy_with_and_without_gaps(seed: int, offset: float, scale: float, lost: int) -> None:
    times, values = random_signals(12, seed=seed)
    values = scale * values + offset
    rng = np.random.default_rng(seed)
    values[rng.choice(len(times), lost, replace=False), rng.integers(0, 20)] = np.nan
    found = correlations(times, values, window_s=10, hop_s=1)
    assert found.start_s == pytest.approx([0, 1, 2])
    assert found.valid.all()
    for start, row, mean in zip((0, 10, 20), found.coefficients, found.means, strict=True):
        window = values[start : start + 100]
        assert row == pytest.approx(reference(window), abs=1e-9)
        complete = window[np.isfinite(window).all(axis=1)]
        assert mean == pytest.approx(complete.mean(axis=0), rel=1e-9, abs=1e-9)


def test_known_relations() -> None:
    times, values = random_signals(10)
    values[:, 1], values[:, 2] = 3 - 2 * values[:, 0], 0.5 * values[:, 0] + 7
    row = correlations(times, values).coefficients[0]
    assert row[PAIRS.index(("AU01", "AU02"))] == pytest.approx(-1)
    assert row[PAIRS.index(("AU01", "AU04"))] == pytest.approx(1)


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [(3.9, []), (4.0, [0]), (9.9, [0]), (10.0, [0]), (14.9, [0]), (15.0, [0, 5]), (21.0, [0, 5, 10])],
)
def test_windows_of_a_clip(seconds: float, starts: list[float]) -> None:
    times, values = random_signals(seconds)
    found = correlations(times + 100, values)
    assert found.start_s == pytest.approx(np.array(starts) + 100)
    assert found.end_s == pytest.approx(found.start_s + min(seconds, 10))
    assert found.valid.all()
    assert found.coefficients.shape == (len(starts), 190) and found.means.shape == (len(starts), 20)


def test_the_papers_hop_of_five_frames() -> None:
    times, values = random_signals(20, fps=30)
    found = correlations(times, values, hop_s=5 / 30)
    assert len(found.start_s) == 61
    for window in (0, 17, 60):
        rows = values[5 * window : 5 * window + 300]
        assert found.coefficients[window] == pytest.approx(reference(rows), abs=1e-9)


def test_many_windows_are_the_same_as_each_alone() -> None:
    times, values = random_signals(70, fps=10)
    together = correlations(times, values, hop_s=0.2)
    assert len(together.start_s) > 256
    for window in (0, 255, 256, 300):
        rows = slice(2 * window, 2 * window + 100)
        alone = correlations(times[rows], values[rows])
        assert together.coefficients[window] == pytest.approx(alone.coefficients[0], abs=1e-12)


def test_a_window_of_which_more_than_half_was_lost_is_not_valid() -> None:
    times, values = random_signals(20)
    values[:51, 4] = np.nan
    found = correlations(times, values)
    assert found.valid.tolist() == [False, True, True]
    assert np.isnan(found.coefficients[0]).all() and np.isnan(found.means[0]).all()
    assert np.isfinite(found.coefficients[1:]).all()


def test_missing_rows_count_as_lost() -> None:
    times, values = random_signals(20)
    keep = (times < 1) | (times >= 7)
    found = correlations(times[keep], values[keep])
    assert found.valid.tolist() == [False, True, True]


@pytest.mark.parametrize("constant", [0.0, 0.1, -123.456])
def test_a_constant_signal_is_not_known_and_neutral_is_none(constant: float) -> None:
    times, values = random_signals(10)
    values[:, 3] = constant
    row = correlations(times, values).coefficients[0]
    unknown = [MOVEMENTS[3] in pair for pair in PAIRS]
    assert np.isnan(row[unknown]).all() and np.isfinite(row[np.logical_not(unknown)]).all()
    filled = neutral(row)
    assert (filled[unknown] == 0).all() and np.isfinite(filled).all()
    assert np.isnan(row).any(), "the given coefficients are left as they are"


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_scale_and_order_of_rows_do_not_matter(seed: int) -> None:
    times, values = random_signals(6, seed=seed)
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.1, 10, 20)
    first = correlations(times, values).coefficients
    second = correlations(times, (values * scale + 1)[rng.permutation(len(times))]).coefficients
    assert second == pytest.approx(first, abs=1e-9)
    assert (np.abs(first) <= 1).all()


def test_wrong_shapes_and_lengths_are_refused() -> None:
    times, values = random_signals(10)
    with pytest.raises(ValueError, match="20"):
        correlations(times, values[:, :19])
    with pytest.raises(ValueError, match="positive"):
        correlations(times, values, hop_s=0)


def test_describes_a_mouth_that_moves_with_its_units() -> None:
    series = nodding(10.0)
    opening = 1 + np.sin(2 * np.pi * series.times)
    landmarks, units = series.landmarks.copy(), series.units.copy()
    landmarks[:, 66, 1] += 20 * opening.astype(np.float32)
    units[:, UNITS.index(26)] = 2 * opening
    units[:, UNITS.index(25)] = 4 - 2 * opening
    found = describe(nodding(10.0, landmarks=landmarks, units=units))
    assert found is not None and set(found) == set(FEATURES)
    assert found["correlation_jaw_drop"] > 0.95
    assert found["correlation_lips_part"] < -0.95
    values = signals(nodding(10.0, landmarks=landmarks, units=units))
    expected = reference(values)
    assert found["correlation_mean"] == pytest.approx(np.abs(expected).mean())
    assert found["correlation_strong"] == pytest.approx((np.abs(expected) > 0.5).mean())


def test_one_movement_in_all_signals_has_one_eigenvalue() -> None:
    series = nodding(10.0)
    wave = np.sin(2 * np.pi * 0.4 * series.times)
    units = np.tile(2 + wave[:, None], (1, 17))
    together = describe(nodding(10.0, units=units))
    apart = describe(series)
    assert together is not None and apart is not None
    assert together["correlation_first"] > 0.75 > 0.4 > apart["correlation_first"]


def test_units_that_stand_still_leave_too_few_signals() -> None:
    assert describe(nodding(10.0, units=np.full((250, 17), 1.5))) is None

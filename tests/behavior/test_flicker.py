"""Trembling of the face against its surroundings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.behavior.moving_face import nodding
from vidscan.behavior.flicker import FEATURES, describe
from vidscan.types import FaceSeries

FACE, RING = 0, 1
SHAPE = (250, 2, 3, 2)


def trembling(face: float, ring: float, *, fps: float = 25.0, level: float = -1.0) -> FaceSeries:
    """Ten seconds whose texture trembles by so much in the face, and around it."""
    rng = np.random.default_rng(0)
    texture = rng.normal(0, 1, (round(10 * fps), *SHAPE[1:])) * [face, ring]
    texture[..., FACE] += level
    return nodding(10.0, fps, seed=1, texture=texture.astype(np.float32))


def of(series: FaceSeries) -> dict[str, float]:
    found = describe(series)
    assert found is not None
    assert set(found) == set(FEATURES)
    assert np.isfinite(list(found.values())).all()
    return found


def flicker(values: dict[str, float]) -> np.ndarray:
    return np.array([v for name, v in values.items() if name.startswith("flicker_")])


def test_trembling_in_the_face_alone_raises_flicker_and_nothing_else() -> None:
    calm, restless = of(trembling(0.05, 0.05)), of(trembling(0.2, 0.05))
    assert np.abs(flicker(calm)).max() < 0.4
    assert (flicker(restless) - flicker(calm)) == pytest.approx(np.full(6, np.log(4)), abs=0.1)
    levels = [name for name in FEATURES if name.startswith("level_")]
    assert [restless[n] for n in levels] == pytest.approx([calm[n] for n in levels], abs=0.1)


def test_what_changes_face_and_surroundings_alike_is_no_flicker() -> None:
    assert np.abs(flicker(of(trembling(0.2, 0.2)))).max() < 0.4


def test_slow_changes_of_the_face_are_no_flicker() -> None:
    series = trembling(0.05, 0.05)
    before = flicker(of(series))
    series.texture[..., FACE] += np.linspace(0, 2, len(series.times), dtype=np.float32)[:, None, None]
    assert flicker(of(series)) == pytest.approx(before, abs=0.05)


def test_a_blue_channel_that_trembles_raises_its_own_feature_only() -> None:
    series = trembling(0.05, 0.05)
    before = of(series)
    rng = np.random.default_rng(1)
    series.texture[:, 1, 2, FACE] += rng.normal(0, 0.3, len(series.times)).astype(np.float32)
    after = of(series)
    changed = {n for n in FEATURES if n.startswith("flicker_") and abs(after[n] - before[n]) > 0.3}
    assert changed == {"flicker_blue_coarse"}


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_frame_rate_matters_little(fps: float) -> None:
    assert np.median(flicker(of(trembling(0.2, 0.05, fps=fps)))) == pytest.approx(np.log(4), abs=0.2)


def test_lost_rows_are_left_out() -> None:
    series = trembling(0.2, 0.05)
    before = flicker(of(series))
    for name in ("landmarks", "texture"):
        getattr(series, name)[40:70] = np.nan
    assert flicker(of(series)) == pytest.approx(before, abs=0.2)


def test_too_little_material_says_nothing() -> None:
    assert describe(nodding(2.0, 25.0)) is None
    nothing = np.full(SHAPE, np.nan, np.float32)
    assert describe(nodding(10.0, 25.0, texture=nothing)) is None

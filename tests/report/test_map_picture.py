"""Crops beside maps."""

from __future__ import annotations

import numpy as np
import pytest

from vidscan.report.map_picture import Panel, compose


def panel(value: float, title: str = "face 0") -> Panel:
    crop = np.zeros((3, 96, 96), np.float32)
    crop[0] = 200
    return Panel(crop, np.full((24, 24), value, np.float32), (title, "score 0.5"))


@pytest.mark.parametrize("count", [1, 4])
def test_a_light_picture_that_holds_crops_and_maps(count: int) -> None:
    drawn = compose([panel(n / 4) for n in range(1, count + 1)], "clip.mp4", "Probability")
    assert drawn.dtype == np.uint8 and (drawn[:4] == 255).all()
    red = (drawn == (200, 0, 0)).all(axis=2).sum()
    assert red == pytest.approx(count * 240 * 240, rel=0.01)
    wide = drawn.shape[1] > drawn.shape[0]
    assert wide


def test_a_brighter_map_is_drawn_brighter() -> None:
    dark, bright = (compose([panel(v)], "clip", "p").astype(int) for v in (0.0, 1.0))
    where = np.abs(dark - bright).sum(axis=2) > 30
    assert where.sum() == pytest.approx(2 * 240 * 240, rel=0.01)  # the map, and the map over the crop
    assert bright[where].mean() > dark[where].mean() + 60


def test_long_names_stay_in_the_picture() -> None:
    short = compose([panel(0.5)], "a", "b")
    long = compose([panel(0.5, "x" * 400)], "clip" * 200, "c" * 400)
    assert short.shape == long.shape
    assert (long[:, -8:] == 255).all()

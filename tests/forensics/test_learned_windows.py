"""Windows about faces, and off them."""

from __future__ import annotations

import numpy as np
import pytest

from vidscan.forensics.windows import face_window, grey, scene_window


def test_a_face_window_is_the_middle_of_the_box_and_stays_in_the_picture() -> None:
    rows, columns = np.mgrid[:200, :300]
    image = np.stack([columns % 256, rows, columns // 256], 2).astype(np.uint8)

    def corner(box: list[float]) -> tuple[int, int]:
        window = face_window(image, box)
        assert window is not None and window.shape == (128, 128, 3)
        return int(window[0, 0, 0]) + 256 * int(window[0, 0, 2]), int(window[0, 0, 1])

    assert corner([100, 60, 200, 140]) == (86, 36)
    assert corner([-40, -40, 30, 30]) == (0, 0)
    assert corner([280, 180, 330, 230]) == (172, 72)
    assert face_window(image[:127], [0, 0, 50, 50]) is None


def test_a_scene_window_touches_no_face_and_shows_texture() -> None:
    rng = np.random.default_rng(0)
    image = np.full((128, 512, 3), 90, np.uint8)
    image[:, 384:] = rng.integers(0, 255, (128, 128, 3))
    image[:, :128] = rng.integers(60, 120, (128, 128, 3))
    free = scene_window(image, [])
    assert free is not None and (free == image[:, 384:]).all()
    beside = scene_window(image, [np.array([390.0, 0, 500, 100])])
    assert beside is not None and (beside == image[:, :128]).all()
    assert scene_window(image, [np.array([0.0, 0, 512, 128])]) is None


def test_grey_is_not_rounded() -> None:
    picture = np.zeros((1, 1, 3), np.uint8)
    picture[..., 1] = 1
    assert float(grey(picture)[0, 0]) == pytest.approx(0.587, abs=1e-3)

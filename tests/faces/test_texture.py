"""Band levels: flat pictures lie on the floor, and face and ring are told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vidscan.faces.texture import BANDS, SCALES, SHAPE, _blur, band_levels

SIZE = 112
FACE_SIDE = SIZE / 1.45
FLOOR = np.log(0.02)


def grey_noise(inner: float, outer: float, amplitude: float) -> torch.Tensor:
    """(1, 3, S, S) mid gray, with noise where the distance to the center is within ``inner``..``outer``."""
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None, :])
    noise = amplitude * torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return (128 + noise * ((radius >= inner) & (radius < outer))).expand(1, 3, -1, -1)


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (250, 20, 90)])
def test_a_flat_picture_lies_on_the_floor(colour: tuple[int, int, int]) -> None:
    crops = torch.tensor(colour).view(1, 3, 1, 1).expand(2, 3, SIZE, SIZE)
    levels = band_levels(crops, FACE_SIDE)
    assert levels.shape == (2, *SHAPE) and levels.dtype == np.float32
    assert levels == pytest.approx(FLOOR, abs=0.02)


def test_noise_in_the_face_raises_the_face_alone_and_fine_bands_most() -> None:
    levels = band_levels(grey_noise(0, 20, 10), FACE_SIDE)[0]
    luminance, blue = levels
    assert luminance[0, 0] > FLOOR + 3
    assert (np.diff(luminance[:, 0]) < -0.3).all()
    assert luminance[:, 1] == pytest.approx(FLOOR, abs=0.02)
    assert blue == pytest.approx(FLOOR, abs=0.02)


def test_noise_about_the_face_raises_the_ring_alone() -> None:
    luminance = band_levels(grey_noise(42, 46, 10), FACE_SIDE)[0, 0]
    assert luminance[0, 1] > FLOOR + 3
    assert luminance[:, 0] == pytest.approx(FLOOR, abs=0.02)


def test_blue_noise_is_colour() -> None:
    noisy = grey_noise(0, SIZE, 10).clone()
    noisy[:, :2] = 128
    luminance, blue = band_levels(noisy, FACE_SIDE)[0]
    assert (blue > luminance + 1).all()


def test_levels_count_structure_not_brightness() -> None:
    weak, strong = grey_noise(0, SIZE, 5), grey_noise(0, SIZE, 10)
    base = band_levels(strong, FACE_SIDE)[0, 0]
    assert band_levels(strong + 60, FACE_SIDE)[0, 0] == pytest.approx(base, abs=1e-3)
    assert base - band_levels(weak, FACE_SIDE)[0, 0] == pytest.approx(np.log(2), abs=0.08)


def test_faces_do_not_touch_each_other() -> None:
    both = torch.cat([grey_noise(0, SIZE, 10), torch.full((1, 3, SIZE, SIZE), 90.0)])
    levels = band_levels(both, FACE_SIDE)
    assert levels[0] == pytest.approx(band_levels(both[:1], FACE_SIDE)[0], abs=1e-4)
    assert levels[1] == pytest.approx(FLOOR, abs=0.02)


@pytest.mark.parametrize("sigma", SCALES)
def test_the_blur_is_a_gaussian_mirrored_at_the_border(sigma: float) -> None:
    planes = np.random.default_rng(1).uniform(0, 255, (2, 1, 40, 40)).astype(np.float32)
    wanted = gaussian_filter(planes, (0, 0, sigma, sigma), mode="mirror", truncate=3.0)
    assert _blur(torch.from_numpy(planes), sigma).numpy() == pytest.approx(wanted, abs=1e-3)
    assert len(SCALES) == BANDS + 1

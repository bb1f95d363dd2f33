"""Fine-detail energy: what it measures, and that it finds a forgery that gives itself away by blur."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from vidscan.training.energy import energy_auc, high_band_energy


def test_only_fine_detail_counts() -> None:
    y, x = np.mgrid[0:40, 0:44].astype(np.float32)
    coarse = 128 + 100 * np.sin(x / 12)
    fine = 128 + 100 * np.where((x + y) % 2 == 0, 1, -1)
    crops = torch.from_numpy(np.stack([np.full_like(x, 77), coarse, fine]))[:, None].repeat(1, 3, 1, 1)
    flat, slow, fast = high_band_energy(crops)
    assert flat == pytest.approx(0, abs=1e-3)
    assert slow < 1.0
    # all the energy of the checkerboard lies in the upper bands: 100^2 x 64 coefficients, 28 of them high
    assert 0.5 * 100**2 < np.exp(fast) < 64 / 28 * 100**2
    brighter = high_band_energy((crops - 128) * 0.5 + 150)
    assert brighter[2] == pytest.approx(fast - np.log(4), abs=1e-2)


def test_energy_auc_by_hand() -> None:
    assert energy_auc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert energy_auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0.0
    assert energy_auc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5


@pytest.mark.parametrize(("blurs", "least", "most"), [(True, 0.0, 0.05), (False, 0.47, 0.53)])
def test_a_forgery_that_blurs_is_found_out(blurs: bool, least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    genuine = np.clip(128 + rng.uniform(10, 60, (16, 1, 1, 1)) * rng.normal(0, 1, (16, 32, 32, 3)), 0, 255)
    forged = np.stack([cv2.GaussianBlur(g, (0, 0), 2) if blurs else g[:, ::-1] for g in genuine])
    sides = [
        torch.from_numpy(side.astype(np.uint8)).permute(0, 3, 1, 2).float() for side in (genuine, forged)
    ]
    assert least <= energy_auc(*(high_band_energy(side) for side in sides)) <= most

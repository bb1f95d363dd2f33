"""Brightness of RGB images."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vidscan.color import BLUE_DIFFERENCE, LUMINANCE, RED_DIFFERENCE, luminance


def test_luminance_is_opencvs_grey() -> None:
    image = np.random.default_rng(0).random((9, 7, 3), np.float32) * 255
    ours = luminance(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert ours.shape == (1, 1, 9, 7)
    np.testing.assert_allclose(ours[0, 0].numpy(), cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), rtol=1e-5)


def test_weights_sum_up() -> None:
    assert abs(sum(LUMINANCE) - 1) < 1e-6
    assert abs(sum(BLUE_DIFFERENCE)) < 1e-6 and abs(sum(RED_DIFFERENCE)) < 1e-6

"""How much real detail a crop holds, however many pixels it was enlarged to.

An enlarged picture has no power beyond half the rate at which it was once sampled. The power of natural
pictures falls with the square of the frequency (Field, Journal of the Optical Society of America A 1987), so
power times frequency squared stays level up to there and then breaks off.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.color import luminance
from vidscan.faces.geometry import CropSpec

_SHARE = 4 / 7
"""Of the crop's side: brows to mouth, without the outline and what lies behind it."""
_STEP = 2
"""Width of a band, in periods over that part."""
_COARSE = (3.0, 10.0)
"""Periods over the face that every picture of one holds: what finer bands are measured against."""
_FINE = 8.0
_LEAST = 0.01
"""Detail ends where a band has less than this share of the coarse level."""
_BEYOND = 1.5
"""Enlarging lets some power through: so many times beyond the old limit that share is reached."""


def detail_px(crops: Tensor, spec: CropSpec) -> NDArray[np.float32]:
    """(N,) side in pixels of the smallest face that could hold the detail of each of ``crops``.

    ``crops`` (N, 3, S, S) RGB 0..255, cut by ``spec``. At most two thirds of the face's side in the crop.
    """
    side = crops.shape[-1]
    part = 2 * round(_SHARE * side / 2)
    start = (side - part) // 2
    grey = luminance(crops)[:, 0, start : start + part, start : start + part]
    grey = (grey - grey.mean((1, 2), keepdim=True)) * _window(part).to(grey.device)
    power = torch.fft.rfft2(grey).abs().square().flatten(1) @ _bands(part).to(grey.device).T
    periods = _STEP * (np.arange(power.shape[1]) + 0.5) * side / (part * spec.margin)
    level = np.maximum(power.double().cpu().numpy() * periods**2, 1e-30)
    coarse = (periods >= _COARSE[0]) & (periods < _COARSE[1])
    level /= level[:, coarse].mean(1, keepdims=True)
    return np.array([2 * _end(np.log(row), periods) / _BEYOND for row in level], np.float32)


def _end(level: NDArray[np.float64], periods: NDArray[np.float64]) -> float:
    """Where (b,) log levels over (b,) periods fall below the least, between two bands by interpolation."""
    below = np.flatnonzero((level < np.log(_LEAST)) & (periods > _FINE))
    if not len(below):
        return float(periods[-1])
    last = below[0] - 1
    fall = np.clip((level[last] - np.log(_LEAST)) / max(level[last] - level[last + 1], 1e-9), 0, 1)
    return float(periods[last] + fall * (periods[last + 1] - periods[last]))


@lru_cache
def _window(part: int) -> Tensor:
    window = torch.hann_window(part, periodic=False)
    return window[:, None] * window


@lru_cache
def _bands(part: int) -> Tensor:
    """(b, part * (part // 2 + 1)) weights that average the power of a half-plane spectrum over rings."""
    rows, columns = np.fft.fftfreq(part) * part, np.arange(part // 2 + 1)
    ring = (np.hypot(rows[:, None], columns) // _STEP).astype(int).ravel()
    rings = np.arange(part // (2 * _STEP))[:, None] == ring
    return torch.from_numpy((rings / rings.sum(1, keepdims=True)).astype(np.float32))

"""Pooling of patch log-odds: values worked out by hand, and what holds for any grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vidscan.patches.pooling import POOLINGS, pool

GRIDS = arrays(np.float64, (2, 3, 4), elements=st.floats(-8, 8))
HAND = torch.tensor([[[0.0, math.log(3.0)], [-2.0, 4.0]]])


def test_values_by_hand() -> None:
    assert pool(HAND, "mean_logit").item() == pytest.approx((math.log(3) + 2) / 4)
    mean = (0.5 + 0.75 + 1 / (1 + math.exp(2)) + 1 / (1 + math.exp(-4))) / 4
    assert pool(HAND, "mean_probability").item() == pytest.approx(math.log(mean / (1 - mean)), rel=1e-5)
    # two of four above even odds: (2 + .5) / 5 = 1/2
    assert pool(HAND, "votes").item() == pytest.approx(0.0, abs=1e-6)
    assert pool(HAND, "top_k", 0.5).item() == pytest.approx((4 + math.log(3)) / 2)
    assert pool(HAND, "top_k", 0.01).item() == pytest.approx(4.0)
    assert pool(HAND, "top_k", 1.0).item() == pytest.approx(pool(HAND, "mean_logit").item())


def test_unanimous_votes_stay_finite() -> None:
    for sign in (-1.0, 1.0):
        value = pool(torch.full((1, 5, 5), 30.0 * sign), "votes").item()
        assert value == pytest.approx(sign * math.log(25.5 / 0.5), rel=1e-4)
        assert math.isfinite(pool(torch.full((1, 5, 5), 200.0 * sign), "mean_probability").item())


@pytest.mark.parametrize("how", POOLINGS)
@settings(max_examples=40, deadline=None)
@given(grid=GRIDS, raised=arrays(np.float64, (2, 3, 4), elements=st.floats(0, 4)))
def test_more_suspicious_patches_never_lower_the_score(
    how: str, grid: np.ndarray, raised: np.ndarray
) -> None:
    low, high = pool(torch.from_numpy(grid), how), pool(torch.from_numpy(grid + raised), how)
    assert (high >= low - 1e-9).all()


@pytest.mark.parametrize("how", ["mean_logit", "top_k"])
@settings(max_examples=40, deadline=None)
@given(grid=GRIDS, shift=st.floats(-5, 5))
def test_linear_poolings_shift_with_their_patches(how: str, grid: np.ndarray, shift: float) -> None:
    x = torch.from_numpy(grid)
    torch.testing.assert_close(pool(x + shift, how), pool(x, how) + shift)


@pytest.mark.parametrize("how", POOLINGS)
@settings(max_examples=40, deadline=None)
@given(grid=GRIDS, seed=st.integers(0, 1000))
def test_where_a_patch_lies_does_not_matter(how: str, grid: np.ndarray, seed: int) -> None:
    x = torch.from_numpy(grid)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    mixed = x.flatten(1)[:, order].reshape(x.shape)
    torch.testing.assert_close(pool(mixed, how), pool(x, how))


@settings(max_examples=40, deadline=None)
@given(grid=GRIDS, share=st.floats(0.01, 1.0))
def test_top_k_lies_between_mean_and_maximum(grid: np.ndarray, share: float) -> None:
    x = torch.from_numpy(grid)
    value = pool(x, "top_k", share)
    assert (value >= pool(x, "mean_logit") - 1e-9).all()
    assert (value <= x.flatten(1).amax(1) + 1e-9).all()


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_top_k_needs_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        pool(HAND, "top_k", share)


def test_unknown_pooling() -> None:
    with pytest.raises(ValueError, match="unknown pooling 'max'"):
        pool(HAND, "max")

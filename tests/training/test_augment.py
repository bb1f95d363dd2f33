"""Blur and JPEG at training time: both crops of a pair alike, no other pair, and only now and then."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.forge.mesh import astronaut_crop
from vidscan.training.augment import augment

PAIRS = 40


@pytest.fixture(scope="module")
def same() -> torch.Tensor:
    """Pairs whose two sides are the same picture."""
    picture = torch.from_numpy(astronaut_crop(48)).permute(2, 0, 1).float()
    return picture[None].repeat(2 * PAIRS, 1, 1, 1)


@pytest.mark.parametrize(("option", "treated"), [("blur_jpeg", 0.75), ("dct", 0.5)])
def test_pairs_are_treated_alike_and_differently_from_one_another(
    same: torch.Tensor, option: str, treated: float
) -> None:
    given = same.clone()
    chances = {"blur_jpeg": 0.0, "dct": 0.0} | {option: 0.5}
    out = augment(same, np.random.default_rng(0), **chances)
    assert torch.equal(same, given)  # the caller's batch is left alone
    assert out.shape == same.shape
    torch.testing.assert_close(out[:PAIRS], out[PAIRS:], atol=0.01 if option == "blur_jpeg" else 1.01, rtol=0)
    changed = (out[:PAIRS] != same[:PAIRS]).flatten(1).any(1)
    # each of blur and JPEG has a chance of one half, so three quarters of the pairs get either
    assert abs(float(changed.float().mean()) - treated) < 0.15
    assert len({o.numpy().tobytes() for o in out[:PAIRS][changed]}) > 5
    again = augment(same, np.random.default_rng(0), **chances)
    assert torch.equal(out, again)


def test_no_chance_means_no_change(same: torch.Tensor) -> None:
    assert torch.equal(augment(same, np.random.default_rng(0), blur_jpeg=0.0, dct=0.0), same)


def test_certain_means_always(same: torch.Tensor) -> None:
    out = augment(same, np.random.default_rng(1), blur_jpeg=0.0, dct=1.0)
    assert bool((out != same).flatten(1).any(1).all())

"""Batched JPEG quantization: what a real coder would have given, whatever the size and the quality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.forge.mesh import astronaut_crop
from vidscan.training.dct import block_dct, dct_jpeg, dct_matrix, some_through_jpeg
from vidscan.training.degrade import jpeg


def tensor(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return astronaut_crop(160)


def test_blocks_keep_their_place_and_their_energy() -> None:
    matrix = dct_matrix(torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8), atol=1e-6, rtol=0)
    planes = torch.zeros(1, 16, 24)
    planes[0, 8:, 16:] = 5.0
    coefficients = block_dct(planes)
    assert coefficients.shape == (1, 2, 3, 8, 8)
    assert float(coefficients[0, 1, 2, 0, 0]) == pytest.approx(40.0)  # eight times the mean
    assert float(coefficients.abs().sum()) == pytest.approx(40.0, abs=1e-3)


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 98])
def test_it_is_what_opencv_gives(picture: np.ndarray, quality: int) -> None:
    expected = tensor(jpeg(picture, quality, "opencv"))
    found = dct_jpeg(tensor(picture), torch.tensor([quality]))
    difference = (found - expected).abs()
    assert float(difference.mean()) < 0.8  # a color conversion in whole numbers costs about half a level
    lost = float((tensor(picture) - expected).abs().mean())
    assert float(difference.mean()) < 0.5 * lost  # nearer to it than to the original


def test_each_picture_has_its_own_quality(picture: np.ndarray) -> None:
    both = dct_jpeg(tensor(picture, picture[::-1].copy()), torch.tensor([30, 95]))
    for one, image, quality in zip(both, (picture, picture[::-1].copy()), (30, 95), strict=True):
        torch.testing.assert_close(
            one, dct_jpeg(tensor(image), torch.tensor([quality]))[0], atol=1.01, rtol=0
        )
    assert float((both[0] - tensor(picture)[0]).abs().mean()) > float(
        (both[1] - tensor(picture[::-1].copy())[0]).abs().mean()
    )


def test_odd_sizes_and_ranges(picture: np.ndarray) -> None:
    odd = tensor(picture[:51, :37])
    given = odd.clone()
    out = dct_jpeg(odd, torch.tensor([40]))
    assert out.shape == odd.shape
    assert torch.equal(odd, given)
    assert torch.equal(out, out.round())
    assert float(out.min()) >= 0 and float(out.max()) <= 255
    expected = tensor(jpeg(np.ascontiguousarray(picture[:51, :37]), 40, "opencv"))
    assert float((out - expected).abs().mean()) < 1.0
    flat = torch.full((1, 3, 32, 32), 255.0)
    assert torch.equal(dct_jpeg(flat, torch.tensor([30])), flat)


PAIRS = 40


@pytest.fixture(scope="module")
def same() -> torch.Tensor:
    """Pairs whose two sides are the same picture."""
    return tensor(astronaut_crop(48)).repeat(2 * PAIRS, 1, 1, 1)


def test_pairs_are_treated_alike_and_differently_from_one_another(same: torch.Tensor) -> None:
    given = same.clone()
    out = some_through_jpeg(same, np.random.default_rng(0), 0.5)
    assert torch.equal(same, given)  # the caller's batch is left alone
    assert out.shape == same.shape
    torch.testing.assert_close(out[:PAIRS], out[PAIRS:], atol=1.01, rtol=0)
    changed = (out[:PAIRS] != same[:PAIRS]).flatten(1).any(1)
    assert abs(float(changed.float().mean()) - 0.5) < 0.15
    assert len({o.numpy().tobytes() for o in out[:PAIRS][changed]}) > 5
    assert torch.equal(out, some_through_jpeg(same, np.random.default_rng(0), 0.5))


def test_no_chance_means_no_change_and_certain_means_always(same: torch.Tensor) -> None:
    assert torch.equal(some_through_jpeg(same, np.random.default_rng(0), 0.0), same)
    out = some_through_jpeg(same, np.random.default_rng(1), 1.0)
    assert bool((out != same).flatten(1).any(1).all())

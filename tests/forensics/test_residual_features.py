"""The five extractors on windows whose residuals are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidscan.forensics import cooccurrence, pixel_pairs, srm, upsampling
from vidscan.forensics.networks import NETWORKS, ConstrainedConv2d
from vidscan.forge.autogan import simulate


def windows(count: int, deviation: float, seed: int = 0) -> np.ndarray:
    """Grey noise of a known deviation on a slope, which every predictor of second order predicts."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(60, 180, 128)[None, None, :, None]
    noise = rng.normal(0, deviation, (count, 128, 128, 1))
    return np.clip(np.rint(slope + noise), 0, 255).repeat(3, 3).astype(np.uint8)


def test_neighbours_are_counted_in_order() -> None:
    values = np.array([[-1, 0, 1, 1]])
    counts = srm.neighbours(values, 1, 2)
    assert counts.sum() == 3
    assert [int(i) for i in np.flatnonzero(counts)] == [0 * 3 + 1, 1 * 3 + 2, 2 * 3 + 2]
    assert srm.quantised(np.array([-9.0, -0.4, 0.6, 2.6]), 2).tolist() == [-2, 0, 1, 2]


@pytest.mark.parametrize("name", list(srm.KERNELS))
def test_predictors_predict_flat_pictures(name: str) -> None:
    assert srm.KERNELS[name].sum() == pytest.approx(0)


def test_noise_spreads_what_stillness_gathers() -> None:
    flat = np.full((1, 128, 128, 3), 77, np.uint8)
    for features, kernels, cells in ((srm.features, 5, 125), (cooccurrence.features, 2, 81)):
        quiet = features(flat).reshape(kernels, cells)
        # All neighbors are 0: the middle cell of every kernel.
        assert quiet[:, cells // 2] == pytest.approx(1)
        loud = features(windows(1, 6.0)).reshape(kernels, cells)
        assert loud[:, cells // 2].max() < 0.5
        total = loud.sum(1) if features is srm.features else np.square(loud).sum(1)
        assert total == pytest.approx(1, abs=1e-5)


def test_residuals_do_not_depend_on_which_way_the_picture_lies() -> None:
    picture = windows(1, 4.0)
    turned = np.ascontiguousarray(picture.transpose(0, 2, 1, 3))
    for features in (srm.features, cooccurrence.features):
        assert features(turned) == pytest.approx(features(picture), abs=1e-6)


def test_pixel_pairs_are_counted_by_channel() -> None:
    flat = np.zeros((1, 128, 128, 3), np.uint8)
    flat[..., 1] = 255
    found = pixel_pairs.features(flat).reshape(3, 32, 32)
    assert found[0, 0, 0] == 1 and found[1, 31, 31] == 1 and found[2, 0, 0] == 1
    assert np.count_nonzero(found) == 3


def test_enlarging_shows_in_the_spectrum() -> None:
    genuine = windows(6, 8.0)
    pictures = torch.from_numpy(genuine).permute(0, 3, 1, 2).float()
    generator = torch.Generator().manual_seed(0)
    made = [simulate(picture[None], generator)[0].round().permute(1, 2, 0) for picture in pictures]
    before = upsampling.features(genuine).reshape(6, 16, 32)
    after = upsampling.features(torch.stack(made).to(torch.uint8).numpy()).reshape(6, 16, 32)
    # The first cell holds the frequency of a checkerboard.
    assert after[:, 0, 0].mean() > before[:, 0, 0].max() + 0.5
    assert before.mean() == pytest.approx(0, abs=1e-5)


def test_constrained_filters_stay_predictors_while_they_learn() -> None:
    torch.manual_seed(0)
    layer = ConstrainedConv2d(1, 3, 5, bias=False)
    solver = torch.optim.SGD(layer.parameters(), 0.1)
    picture = torch.rand(1, 1, 16, 16)
    for _ in range(3):
        solver.zero_grad()
        layer(picture).square().mean().backward()
        solver.step()
        filters = layer.constrained()
        assert filters[..., 2, 2].flatten().tolist() == [-1, -1, -1]
        assert filters.sum((2, 3)).detach().numpy() == pytest.approx(0, abs=1e-5)
    assert layer(torch.full((1, 1, 8, 8), 9.0)).abs().max() < 1e-4


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_take_windows_of_any_size(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    pictures = torch.from_numpy(windows(2, 3.0)).permute(0, 3, 1, 2).float()
    assert network(pictures).shape == (2,)
    assert network(pictures[..., :64, :64]).shape == (2,)

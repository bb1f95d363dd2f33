"""The split-latent auto-encoder answers with the half that belongs to the class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidscan.training.forensic_transfer import SplitAutoencoder, TransferRecipe, scores, train, tune
from vidscan.training.transfer import auc


def test_only_the_half_of_the_class_is_decoded() -> None:
    network = SplitAutoencoder(6, hidden=8, latent=4).eval()
    inputs = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    forged = torch.ones(5)

    def loss() -> torch.Tensor:
        return network.loss(inputs, forged, 1.0) - network.loss(inputs, forged, 0.0)

    # What the decoder makes of the genuine half must not matter to a forged input.
    before = loss()
    with torch.no_grad():
        network.decoder[0].weight[:, :2] += 10
    assert torch.allclose(loss(), before, atol=1e-5)
    with torch.no_grad():
        network.decoder[0].weight[:, 2:] += 10
    assert not torch.allclose(loss(), before, atol=1e-2)


@pytest.fixture(scope="module")
def trained() -> tuple[SplitAutoencoder, torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 20, generator=generator)
    inputs[200:, 0] += 3
    forged = np.arange(400) >= 200
    torch.manual_seed(0)
    network = SplitAutoencoder(20)
    train(network, inputs, forged, np.ones(400), TransferRecipe(steps=200))
    return network, inputs, forged


def test_tuning_learns_the_new_and_keeps_the_old(
    trained: tuple[SplitAutoencoder, torch.Tensor, np.ndarray],
) -> None:
    network, inputs, forged = trained
    generator = torch.Generator().manual_seed(9)
    genuine, old, new = (torch.randn(200, 20, generator=generator) for _ in range(3))
    old[:, 0] += 3
    new[:, 1] += 3
    before = [auc(scores(network, genuine), scores(network, fakes)) for fakes in (old, new)]
    assert before[0] > 0.93
    tune(network, inputs, forged, np.ones(400), new[:10], TransferRecipe())
    after = [auc(scores(network, genuine), scores(network, fakes)) for fakes in (old, new[10:])]
    assert after[1] > before[1] + 0.1
    assert after[0] > before[0] - 0.05

"""ForensicTransfer: an auto-encoder whose latent is split between genuine and forged.

Cozzolino et al., *ForensicTransfer: Weakly-supervised Domain Adaptation for Forgery Detection* (arXiv
1812.02510). Half of the latent answers to genuine inputs, half to forged ones; only the half of the true
class is decoded, so each has to hold all that its class is made of, and little is free to be forgotten when
the network is tuned to a few fakes of a new generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TransferRecipe:
    """Everything that decides a network.

    Attributes
    ----------
    reconstruction
        Weight of the L1 error of the reconstruction beside the activations' error.
    steps, batch, rate
        Of the first training.
    tuning_steps, tuning_rate
        Of an adaptation.
    share
        Of an adaptation's batches: new fakes; the rest is drawn from what was learned before.
    seed
        Of every draw.
    """

    reconstruction: float = 0.1
    steps: int = 600
    batch: int = 64
    rate: float = 2e-3
    tuning_steps: int = 60
    tuning_rate: float = 4e-4
    share: float = 0.25
    seed: int = 0


class SplitAutoencoder(nn.Module):
    """An auto-encoder of vectors (N, size); the first half of its latent is genuine, the second forged.

    Vectors have deviation about 1, such as coordinates of descriptions; the paper's network is one for the
    noise residual of pictures.
    """

    def __init__(self, size: int, hidden: int = 96, latent: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(size, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, latent),
        )
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size))

    def activations(self, inputs: Tensor) -> Tensor:
        """(N, 2) mean magnitude of either half."""
        return _activations(self.encoder(inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N,) forged less genuine activation: above 0 is forged."""
        found = self.activations(inputs)
        return found[:, 1] - found[:, 0]

    def loss(self, inputs: Tensor, forged: Tensor, reconstruction: float) -> Tensor:
        """(N,) of inputs that are ``forged`` (N,), 0 or 1."""
        latent = self.encoder(inputs)
        found = _activations(latent)
        activation = (found[:, 1] - forged).abs() + (found[:, 0] - (1 - forged)).abs()
        of_genuine, of_forged = latent.chunk(2, 1)
        chosen = torch.cat([of_genuine * (1 - forged)[:, None], of_forged * forged[:, None]], 1)
        return activation + reconstruction * (self.decoder(chosen) - inputs).abs().mean(1)


def _activations(latent: Tensor) -> Tensor:
    return torch.stack([part.abs().mean(1) for part in latent.chunk(2, 1)], 1)


def train(
    network: SplitAutoencoder,
    inputs: Tensor,
    forged: NDArray[np.bool_],
    weights: NDArray[np.float64],
    recipe: TransferRecipe,
) -> None:
    """Train on ``inputs`` (n, size), drawn as their ``weights`` (n,) say, in place."""
    rng = np.random.default_rng(recipe.seed)
    chances = weights / weights.sum()
    labels = torch.from_numpy(forged.astype(np.float32))
    rows = [rng.choice(len(inputs), recipe.batch, p=chances) for _ in range(recipe.steps)]
    _descend(network, inputs, labels, rows, recipe.rate, recipe.reconstruction)


def tune(
    network: SplitAutoencoder,
    inputs: Tensor,
    forged: NDArray[np.bool_],
    weights: NDArray[np.float64],
    fakes: Tensor,
    recipe: TransferRecipe,
) -> None:
    """Adapt a trained network to ``fakes`` (m, size) in place, beside what :func:`train` learned from."""
    rng = np.random.default_rng(recipe.seed)
    chances = weights / weights.sum()
    new = max(1, round(recipe.share * recipe.batch))
    everything = torch.cat([inputs, fakes])
    labels = torch.from_numpy(np.append(forged, np.full(len(fakes), True)).astype(np.float32))
    rows = [
        np.append(
            rng.choice(len(inputs), recipe.batch - new, p=chances),
            len(inputs) + rng.integers(len(fakes), size=new),
        )
        for _ in range(recipe.tuning_steps)
    ]
    _descend(network, everything, labels, rows, recipe.tuning_rate, recipe.reconstruction)


def _descend(
    network: SplitAutoencoder,
    inputs: Tensor,
    labels: Tensor,
    batches: list[NDArray[np.int64]],
    rate: float,
    reconstruction: float,
) -> None:
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    for rows in batches:
        loss = network.loss(inputs[rows].float(), labels[rows], reconstruction).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    network.eval()


@torch.inference_mode()
def scores(network: SplitAutoencoder, inputs: Tensor) -> NDArray[np.float64]:
    """(n,) forged less genuine activation of inputs (n, size)."""
    network.eval()
    return torch.cat([network(part.float()) for part in inputs.split(64)]).double().numpy()

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
from torch.nn import functional

from vidscan.color import luminance


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
        Of an adaptation's batches: new fakes; the rest is drawn from what was learnt before.
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
    """An auto-encoder of which the first half of the latent is genuine, the second forged.

    Parameters
    ----------
    prepare
        From inputs to what is encoded and reconstructed.
    encoder, decoder
        To the latent (N, 2 k, ...) and back.
    """

    def __init__(self, prepare: nn.Module, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.prepare, self.encoder, self.decoder = prepare, encoder, decoder

    def activations(self, inputs: Tensor) -> Tensor:
        """(N, 2) mean magnitude of either half."""
        return _activations(self.encoder(self.prepare(inputs)))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N,) forged less genuine activation: above 0 is forged."""
        found = self.activations(inputs)
        return found[:, 1] - found[:, 0]

    def loss(self, inputs: Tensor, forged: Tensor, reconstruction: float) -> Tensor:
        """(N,) of inputs that are ``forged`` (N,), 0 or 1."""
        wanted = self.prepare(inputs)
        latent = self.encoder(wanted)
        found = _activations(latent)
        activation = (found[:, 1] - forged).abs() + (found[:, 0] - (1 - forged)).abs()
        half = latent.shape[1] // 2
        shape = (-1, *[1] * (latent.ndim - 1))
        chosen = torch.cat(
            [latent[:, :half] * (1 - forged).view(shape), latent[:, half:] * forged.view(shape)], 1
        )
        return activation + reconstruction * (self.decoder(chosen) - wanted).abs().flatten(1).mean(1)


def _activations(latent: Tensor) -> Tensor:
    return torch.stack([part.abs().flatten(1).mean(1) for part in latent.chunk(2, 1)], 1)


class Residual(nn.Module):
    """(N, 3, S, S) RGB 0..255 to its third-order derivatives along rows and columns (N, 2, S - 3, S - 3)."""

    def forward(self, windows: Tensor) -> Tensor:
        grey = luminance(windows)
        line = grey.new_tensor([1.0, -3, 3, -1]).view(1, 1, 1, 4)
        along = functional.conv2d(grey, line)[..., 3:, :]
        down = functional.conv2d(grey, line.transpose(2, 3))[..., 3:]
        return torch.cat([along, down], 1).clamp(-40, 40) / 8


def picture_network(width: int = 12) -> SplitAutoencoder:
    """As in the paper, on the noise residual of windows (N, 3, 67, 67) RGB 0..255, with fewer channels."""
    w = width
    encoder, decoder = nn.Sequential(), nn.Sequential()
    for inputs, outputs in ((2, w), (w, 2 * w), (2 * w, 4 * w)):
        encoder.extend([nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()])
    encoder.append(nn.Conv2d(4 * w, 4 * w, 3, 1, 1))
    for inputs, outputs in ((4 * w, 2 * w), (2 * w, w)):
        decoder.extend([nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU()])
    decoder.extend([nn.Upsample(scale_factor=2), nn.Conv2d(w, 2, 3, 1, 1)])
    return SplitAutoencoder(Residual(), encoder, decoder)


def vector_network(size: int, hidden: int = 96, latent: int = 64) -> SplitAutoencoder:
    """The same on vectors (N, size) of deviation about 1, such as coordinates of descriptions."""
    encoder = nn.Sequential(
        nn.Linear(size, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, latent)
    )
    decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size))
    return SplitAutoencoder(nn.Identity(), encoder, decoder)


def train(
    network: SplitAutoencoder,
    inputs: Tensor,
    forged: NDArray[np.bool_],
    weights: NDArray[np.float64],
    recipe: TransferRecipe,
) -> None:
    """Train on ``inputs`` (n, ...), drawn as their ``weights`` (n,) say, in place."""
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
    """Adapt a trained network to ``fakes`` (m, ...) in place, beside what :func:`train` learnt from."""
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
    """(n,) forged less genuine activation of inputs (n, ...)."""
    network.eval()
    return torch.cat([network(part.float()) for part in inputs.split(64)]).double().numpy()

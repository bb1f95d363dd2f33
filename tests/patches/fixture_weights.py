"""Untrained weights in the registry's format: everything but the answer is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vidscan.behavior.eye_state import EyeNetwork
from vidscan.faces.landmark_network import MARGIN, SIZE, LandmarkNetwork
from vidscan.faces.units import UNITS
from vidscan.models import ModelRecord, load_registry, register
from vidscan.patches.networks import PatchNetwork

SETTINGS: dict[str, Any] = {
    "kind": "patches",
    "architecture": "efficientnet_lite0",
    "depth": 1,
    "crop": {"size": 96, "margin": 1.2},
    "mean": [127.0, 127.0, 127.0],
    "std": [128.0, 128.0, 128.0],
    "colour": "RGB",
    "pooling": "top_k",
    "top_k": 0.25,
    "verdict": "verdict-test",
}

EYE_SETTINGS: dict[str, Any] = {
    "kind": "blink",
    "channels": [4, 8],
    "features": 8,
    "hidden": 8,
    "crop": {"height": 24, "width": 40, "span": 2.0},
}

THRESHOLDS = (0.0, 2.0)
"""Log-odds at which the fixture's verdict turns to uncertain and to manipulated."""


def random_network(seed: int = 0, architecture: str = "efficientnet_lite0", depth: int = 1) -> PatchNetwork:
    """An evaluation-mode network whose weights, batch norms and head are all drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = PatchNetwork(architecture, depth)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            count = module.num_features
            module.running_mean = torch.randn(count, generator=generator) * 0.1
            module.running_var = torch.rand(count, generator=generator) + 0.5
            module.weight.data = torch.rand(count, generator=generator) + 0.5
            module.bias.data = torch.randn(count, generator=generator) * 0.2
    network.head.weight.data = torch.randn(network.head.weight.shape, generator=generator) * 0.5
    network.head.bias.data = torch.randn(1, generator=generator) * 0.1
    return network.eval()


def register_patches(folder: Path, *, constant: float | None = None, **changes: Any) -> ModelRecord:
    """A patch model; with ``constant`` every patch of every crop gets this log-odds."""
    settings = SETTINGS | changes
    network = random_network(1, settings["architecture"], settings["depth"])
    if constant is not None:
        network.head.weight.data.zero_()
        network.head.bias.data.fill_(constant)
    return register(folder, "patches-test", network.state_dict(), settings)


def register_verdict(folder: Path, limits: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> ModelRecord:
    """A verdict model with 199 genuine people between -3 and 1 and :data:`THRESHOLDS`."""
    tensors = {
        "statistics": torch.linspace(-3, 1, 199, dtype=torch.float64),
        "thresholds": torch.tensor(THRESHOLDS, dtype=torch.float64),
        "limits": torch.tensor(limits, dtype=torch.float64),
    }
    return register(
        folder, "verdict-test", tensors, {"kind": "verdict", "target_fpr": 0.01, "bin": "test people"}
    )


def register_landmarks(folder: Path, *, sure: float = 5.0) -> ModelRecord:
    """An untrained landmark model that says of every crop with log-odds ``sure`` that it shows a face."""
    torch.manual_seed(2)
    network = LandmarkNetwork()
    network.state[-1].weight.data[-1].zero_()
    network.state[-1].bias.data[-1] = sure
    settings = {"kind": "landmarks", "crop": {"size": SIZE, "margin": MARGIN}, "units": list(UNITS)}
    return register(folder, "landmarks-test", network.state_dict(), settings)


def register_eyes(folder: Path, **changes: Any) -> ModelRecord:
    """An untrained eye-state model whose answers vary; ``changes`` are made to its record."""
    torch.manual_seed(0)
    network = EyeNetwork((4, 8), 8, 8)
    for name, value in network.named_parameters():
        if name.startswith("head"):
            value.data *= 5
    return register(folder, "blink-test", network.state_dict(), EYE_SETTINGS | changes)


def register_detector(folder: Path) -> ModelRecord:
    """The shipped detector: an untrained one would find no face to go on with."""
    shipped = load_registry(Path(__file__).parents[2] / "weights").get("detector")
    return register(folder, shipped.name, shipped.load(), shipped.settings)


def make_weights(
    folder: Path, *, constant: float | None = None, limits: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Path:
    """A whole weights folder, for ``VIDSCAN_WEIGHTS``."""
    register_detector(folder)
    register_patches(folder, constant=constant)
    register_verdict(folder, limits)
    register_landmarks(folder)
    register_eyes(folder)
    return folder

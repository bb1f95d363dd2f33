"""Where a training run goes on from: weights, Adam's moments and how far it has come, as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from vidscan.errors import SetupError


def save_checkpoint(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    """Writes atomically; ``progress`` is plain JSON."""
    tensors = {f"net.{k}": v for k, v in network.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in tensors.items()}, part, {"progress": json.dumps(progress)})
    part.replace(path)


def load_checkpoint(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, wanted: dict[str, Any]
) -> dict[str, Any]:
    """Puts back what :func:`save_checkpoint` wrote; returns its ``progress``.

    Raises
    ------
    SetupError
        Where the file cannot be read, or its progress disagrees with ``wanted``: it is another run's.
    """
    try:
        with safe_open(path, "pt") as handle:
            progress: dict[str, Any] = json.loads(handle.metadata()["progress"])
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"cannot go on from {path}: {error}") from error
    # By way of JSON, as the file's: tuples are lists there.
    for name, value in json.loads(json.dumps(wanted)).items():
        if progress.get(name) != value:
            raise SetupError(
                f"{path} is of another run ({name} differs): choose another folder, or remove it"
            )
    network.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("net.")})
    state = optimiser.state_dict()
    state["state"] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            state["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(state)
    return progress

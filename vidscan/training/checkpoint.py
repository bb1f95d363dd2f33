"""Where a training run goes on from: weights, Adam's moments and how far it has come, as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidscan.errors import SetupError
from vidscan.outputs import Replacement

CHECKPOINT = "checkpoint.safetensors"
"""Name of the file in a run's folder that the run goes on from."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file atomically; its folder is made where there is none."""
    with Replacement(path, parents=True) as part:
        save_file({k: v.contiguous() for k, v in tensors.items()}, part.path, dict(metadata))


def save_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    progress: Mapping[str, Any],
) -> None:
    """Writes atomically; ``networks`` by names without a dot, ``progress`` plain JSON."""
    tensors = {f"{name}.{k}": v for name, net in networks.items() for k, v in net.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    write_tensors(path, tensors, {"progress": json.dumps(progress)})


def load_checkpoint(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    wanted: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Puts back what :func:`save_checkpoint` wrote; returns its ``progress``.

    Raises
    ------
    SetupError
        Where the file cannot be read, its progress disagrees with ``wanted``, or it holds other networks:
        it is another run's.
    """
    try:
        with safe_open(path, "pt") as handle:
            progress = _progress(dict(handle.metadata()))
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"cannot go on from {path}: {error}") from error
    # By way of JSON, as the file's: tuples are lists there.
    for name, value in json.loads(json.dumps(wanted or {})).items():
        if progress.get(name) != value:
            raise _another_run(path, name)
    for name, network in networks.items():
        own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            raise _another_run(path, "network") from error
    state = optimiser.state_dict()
    state["state"] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            state["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(state)
    return progress


def _progress(metadata: dict[str, str]) -> dict[str, Any]:
    # Older runs kept each value under its own name.
    values = {name: json.loads(text) for name, text in metadata.items()}
    return dict(values.get("progress", values))


def _another_run(path: Path, what: str) -> SetupError:
    return SetupError(f"{path} is of another run ({what} differs): choose another folder, or remove it")

"""Training the eye-state network on genuine clips that the teacher has labeled.

Material is drawn by :mod:`vidscan.training.eye_material`. People are set aside to judge by: none of theirs
is trained on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from vidscan.behavior.blink import f1, find_blinks, match_events
from vidscan.behavior.eye_closure import closure_of_openness
from vidscan.behavior.eye_state import EYE_SPEC, EyeNetwork, eye_crops
from vidscan.errors import SetupError
from vidscan.models import ModelRecord, register
from vidscan.training.average import half_precision
from vidscan.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from vidscan.training.curves import update_dashboard
from vidscan.training.eye_material import BLINK, EyeRecipe, EyeSource, sequences, set_aside
from vidscan.training.labels import Labels
from vidscan.training.log import log_line

NAME = "blink-cnn-lstm"
_CHUNK = 128


# --------------------------------------------------------------------------- judging


@torch.no_grad()
def probabilities(network: EyeNetwork, labels: Labels, run: NDArray[np.int64]) -> NDArray[np.float32]:
    """(T, 2) probabilities of closed eyes over a run's rows, in evaluation mode."""
    device = next(network.parameters()).device
    network.eval()
    state, parts = None, []
    for rows in np.array_split(run, math.ceil(len(run) / _CHUNK)):
        pictures = np.ascontiguousarray(labels.crops[rows])
        crops = eye_crops(pictures, np.arange(len(rows)), labels.landmarks[rows])
        logits, state = network(crops.transpose(0, 1)[:, :, None].to(device), state)
        parts.append(logits.sigmoid().T.cpu().numpy())
    return np.concatenate(parts)


def judge(network: EyeNetwork, labels: Labels, runs: list[NDArray[np.int64]]) -> dict[str, float]:
    """Against the teacher over whole runs: correlation over all eyes and frames, F1 of blinks, and how many.

    Empty without runs; the correlation is 0 where the teacher saw nothing change.
    """
    if not runs:
        return {}
    found = [probabilities(network, labels, run) for run in runs]
    truth = [labels.blendshapes[run][:, BLINK] for run in runs]
    counts = np.zeros(3, int)
    for run, mine, theirs in zip(runs, found, truth, strict=True):
        times = np.array([labels.rows[i].time_s for i in run])
        seen, known = (find_blinks(times, closure_of_openness(1 - p)).blinks for p in (mine, theirs))
        counts += np.array(match_events(seen, known))
    mine, theirs = (np.concatenate(part).ravel() for part in (found, truth))
    varying = min(mine.std(), theirs.std()) > 0
    return {
        "correlation": float(np.corrcoef(mine, theirs)[0, 1]) if varying else 0.0,
        "f1": f1(*counts.tolist()),
        "blinks": int(counts[0] + counts[2]),
    }


# --------------------------------------------------------------------------- training


class EyeTrainer:
    """AdamW with the learning rate along half a cosine; every step draws from its own number."""

    def __init__(self, recipe: EyeRecipe, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.steps = recipe, device, 0
        self.network = EyeNetwork(recipe.channels, recipe.features, recipe.hidden).to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), recipe.rate, weight_decay=recipe.weight_decay
        )

    def step(self, source: EyeSource) -> float:
        """One step; its loss (binary cross-entropy with the teacher's values)."""
        recipe = self.recipe
        crops, targets = source.batch(np.random.default_rng((recipe.seed, self.steps)))
        ramp = min(1.0, (self.steps + 1) / 50)
        share = min(1.0, self.steps / recipe.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate * ramp * (0.5 + 0.5 * math.cos(math.pi * share)) + 1e-6
        self.network.train()
        logits, _ = self.network(crops.to(self.device))
        loss = F.binary_cross_entropy_with_logits(logits, targets.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Everything a resumed run needs."""
        progress = {"steps": self.steps, "recipe": asdict(self.recipe)}
        save_checkpoint(path, {"net": self.network}, self.optimiser, progress)

    def resume(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote; SetupError where that was another recipe."""
        wanted = {"recipe": asdict(self.recipe)}
        self.steps = load_checkpoint(path, {"net": self.network}, self.optimiser, wanted)["steps"]


def train(
    trainer: EyeTrainer, source: EyeSource, folder: Path, *, seconds: float = math.inf, every: int = 100
) -> Iterator[dict[str, Any]]:
    """Train until the recipe's steps or the time are used up; a log line every ``every`` steps.

    Each line is also appended to the run's log, and its checkpoint renewed
    (:mod:`vidscan.training.checkpoint`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    losses: list[float] = []
    while trainer.steps < trainer.recipe.steps and time.monotonic() - start < seconds:
        losses.append(trainer.step(source))
        if trainer.steps % every == 0 or trainer.steps == trainer.recipe.steps:
            trainer.save(folder / CHECKPOINT)
            line = {
                "steps": trainer.steps,
                "loss": round(float(np.mean(losses)), 5),
                "seconds": round(time.monotonic() - start, 1),
            }
            log_line(folder, line)
            update_dashboard(folder)
            losses = []
            yield line
    trainer.save(folder / CHECKPOINT)


def train_blink(
    store: Path,
    work: Path,
    weights: Path,
    recipe: EyeRecipe | None = None,
    *,
    seconds: float = math.inf,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> ModelRecord:
    """Train on a label store, judge on the people set aside, and register the model.

    Parameters
    ----------
    store
        Label store (:mod:`vidscan.training.labels`).
    work
        Keeps the checkpoint and the log; a stopped run goes on from there.
    weights
        Folder of the registry.
    seconds
        Stop after so long, before the learning rate has come down.

    Raises
    ------
    SetupError
        Where the store cannot be read or holds no usable clip, or ``work`` is another recipe's.
    """
    recipe = recipe or EyeRecipe()
    try:
        labels = Labels.open(store)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"no label store at {store} (vidscan train landmarks makes one): {error}") from error
    train_runs, judged_runs = set_aside(labels, sequences(labels), recipe)
    source = EyeSource(labels, train_runs, recipe)
    trainer = EyeTrainer(recipe, device)
    if (work / CHECKPOINT).exists():
        trainer.resume(work / CHECKPOINT)
        say(f"resumed at {trainer.steps} steps")
    for line in train(trainer, source, work, seconds=seconds):
        say(" ".join(f"{key} {value}" for key, value in line.items()))
    judged = {key: round(value, 4) for key, value in judge(trainer.network, labels, judged_runs).items()}
    say("people never trained on: " + (", ".join(f"{k} {v}" for k, v in judged.items()) or "none"))
    record = {
        "kind": "blink",
        "channels": list(recipe.channels),
        "features": recipe.features,
        "hidden": recipe.hidden,
        "crop": asdict(EYE_SPEC),
        "colour": "grey",
        "range": [0, 255],
        "steps": trainer.steps,
        "judged": judged,
        "recipe": asdict(recipe),
    }
    return register(weights, NAME, half_precision(trainer.network), record)

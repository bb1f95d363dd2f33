"""Training the eye-state network on genuine clips that the teacher has labelled.

The target is the teacher's ``eyeBlink`` blendshape of either eye, as it is (0..1); above one half an eye
counts as closed. People are set aside to judge by: none of theirs is trained on.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vidscan.behavior.blink import f1, find_blinks, match_events
from vidscan.behavior.eye_closure import closure_of_openness
from vidscan.behavior.eye_state import CORNERS, EYE_SPEC, EyeNetwork, eye_crops
from vidscan.errors import SetupError
from vidscan.models import ModelRecord, register
from vidscan.training.checkpoint import load_checkpoint, save_checkpoint
from vidscan.training.labels import Labels
from vidscan.training.teacher import BLENDSHAPES

NAME = "blink-cnn-lstm"
CHECKPOINT = "checkpoint.safetensors"
_BLINK = [BLENDSHAPES.index("eyeBlinkRight"), BLENDSHAPES.index("eyeBlinkLeft")]
"""The person's right eye is the left one in the image."""
_MAX_STEP_S = 0.2
"""Rows of a clip further apart than this are no sequence."""
_CHUNK = 128


@dataclass(frozen=True, slots=True)
class EyeRecipe:
    """How the eye-state network is trained; written into its registry record."""

    channels: tuple[int, ...] = (16, 32, 48)
    features: int = 48
    hidden: int = 48
    frames: int = 48
    """Frames of a sequence."""
    faces: int = 8
    """Sequences a step; each holds two eyes."""
    steps: int = 800
    """Until the learning rate has come down to nothing."""
    rate: float = 2e-3
    weight_decay: float = 0.02
    blinking: float = 0.6
    """Share of sequences drawn about a closed eye; the others are drawn anywhere."""
    coded: float = 0.5
    """Chance that a sequence is taken from the crops that a video encoder has been over."""
    drop: float = 0.3
    """Chance that a sequence skips frames: every second one, or some at random."""
    jitter: float = 0.05
    """Standard deviation of an eye corner's place over a sequence, as a share of the eye's width; from frame
    to frame it moves by a third of that."""
    soften: float = 0.4
    """Chance of blur or low resolution."""
    light: float = 0.3
    """Largest change of contrast, and of the exponent that bends the grey scale."""
    noise: float = 4.0
    """Largest standard deviation of noise, in grey levels."""
    judged: float = 0.1
    """Share of the people who are set aside to judge by."""
    seed: int = 0


# --------------------------------------------------------------------------- material


def sequences(labels: Labels) -> list[NDArray[np.int64]]:
    """Row numbers of unbroken stretches of clips in a label store, each in time order."""
    rows = labels.rows
    known = np.isfinite(labels.landmarks).all((1, 2)) & np.isfinite(labels.blendshapes).all(1)
    usable = np.asarray(known, bool)
    found: list[list[int]] = []
    for i, row in enumerate(rows):
        if row.kind != "video" or not usable[i]:
            continue
        before = found[-1][-1] if found else -2
        joined = before == i - 1 and rows[before].file == row.file
        if joined and 0 <= row.time_s - rows[before].time_s <= _MAX_STEP_S:
            found[-1].append(i)
        else:
            found.append([i])
    return [np.array(run) for run in found]


def set_aside(
    labels: Labels, runs: list[NDArray[np.int64]], recipe: EyeRecipe
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Runs to train on and runs to judge by, of different people.

    Whoever the store holds out is judged by; where it holds out nobody, a share of its people, drawn by the
    recipe's seed.
    """
    rows = labels.rows
    judged = {rows[run[0]].identity for run in runs if rows[run[0]].held_out}
    if not judged:
        people = sorted({rows[run[0]].identity for run in runs})
        count = min(max(1, round(recipe.judged * len(people))), len(people) - 1) if recipe.judged else 0
        judged = set(np.random.default_rng(recipe.seed).permutation(people)[:count].tolist())
    train = [run for run in runs if rows[run[0]].identity not in judged]
    return train, [run for run in runs if rows[run[0]].identity in judged]


class EyeSource:
    """Random augmented sequences of eyes from runs of a label store.

    Raises
    ------
    SetupError
        Where no run is as long as a sequence.
    """

    def __init__(self, labels: Labels, runs: list[NDArray[np.int64]], recipe: EyeRecipe) -> None:
        self.labels, self.recipe = labels, recipe
        self.runs = [run for run in runs if len(run) >= recipe.frames]
        if not self.runs:
            raise SetupError(f"no clip of the label store has {recipe.frames} labelled frames in a row")
        self.targets = labels.blendshapes[:, _BLINK]
        closed = [np.flatnonzero(self.targets[run].max(1) > 0.5) for run in self.runs]
        self.closed = [(n, int(i)) for n, places in enumerate(closed) for i in places]
        # A long clip is worth more draws than a short one, but not in proportion: people should count alike.
        weights = np.sqrt([len(run) for run in self.runs])
        self.weights = weights / weights.sum()

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(2 * faces, frames, 1, 24, 40) crops in 0..255 and their (2 * faces, frames) targets."""
        drawn = [self._draw(rng) for _ in range(self.recipe.faces)]
        crops = torch.cat([augment_eyes(self._cut(rows, rng), self.recipe, rng) for rows in drawn])
        targets = torch.from_numpy(np.concatenate([self.targets[rows].T for rows in drawn]))
        return crops[:, :, None], targets.float()

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows of one sequence."""
        recipe = self.recipe
        if self.closed and rng.random() < recipe.blinking:
            number, about = self.closed[int(rng.integers(len(self.closed)))]
        else:
            number = int(rng.choice(len(self.runs), p=self.weights))
            about = int(rng.integers(len(self.runs[number])))
        run = self.runs[number]
        steps = np.ones(recipe.frames, np.int64)
        if rng.random() < recipe.drop:
            steps = np.full_like(steps, 2) if rng.random() < 0.5 else 1 + (rng.random(len(steps)) < 0.1)
        places = np.cumsum(steps) - steps[0]
        if places[-1] >= len(run):
            places = np.arange(recipe.frames)
        # The wanted row may lie anywhere in the sequence.
        last = len(run) - 1 - int(places[-1])
        start = np.clip(about - int(rng.integers(places[-1] + 1)), 0, last)
        return run[start + places]

    def _cut(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """(2, T, 24, 40) crops of both eyes, the corners a little off."""
        pictures = self.labels.coded if rng.random() < self.recipe.coded else self.labels.crops
        points = self.labels.landmarks[rows, :, :2].copy()
        outer, inner = (points[:, CORNERS[:, i]] for i in range(2))
        width = np.linalg.norm(outer - inner, axis=-1).mean(0)[:, None, None]
        spread = self.recipe.jitter * width
        moved = rng.normal(0, 1, (1, 2, 2, 2)) + rng.normal(0, 1 / 3, (len(rows), 2, 2, 2))
        points[:, CORNERS] += (spread * moved).astype(np.float32)
        crops = eye_crops(np.ascontiguousarray(pictures[rows]), np.arange(len(rows)), points)
        return crops.transpose(0, 1)


def augment_eyes(crops: Tensor, recipe: EyeRecipe, rng: np.random.Generator) -> Tensor:
    """(2, T, 24, 40) eyes of one face in 0..255, all frames treated alike but for the noise."""
    height, width = crops.shape[-2:]
    if rng.random() < recipe.soften:
        factor = float(rng.uniform(0.3, 1.0))
        small = (max(4, round(height * factor)), max(6, round(width * factor)))
        crops = F.interpolate(crops, small, mode="bilinear", antialias=True, align_corners=False)
        crops = F.interpolate(crops, (height, width), mode="bicubic", align_corners=False)
    contrast, bend = np.exp(rng.uniform(-recipe.light, recipe.light, 2))
    crops = 255 * (crops / 255).clamp(0, 1) ** float(bend)
    crops = (crops - 128) * float(contrast) + 128 + float(rng.uniform(-20, 20))
    noise = rng.standard_normal(tuple(crops.shape), np.float32) * rng.uniform(0, recipe.noise)
    return (crops + torch.from_numpy(noise.astype(np.float32))).clamp(0, 255)


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
    truth = [labels.blendshapes[run][:, _BLINK] for run in runs]
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
        save_checkpoint(
            path, self.network, self.optimiser, {"steps": self.steps, "recipe": asdict(self.recipe)}
        )

    def resume(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote; SetupError where that was another recipe."""
        wanted = {"recipe": asdict(self.recipe)}
        self.steps = load_checkpoint(path, self.network, self.optimiser, wanted)["steps"]


def train(
    trainer: EyeTrainer, source: EyeSource, folder: Path, *, seconds: float = math.inf, every: int = 100
) -> Iterator[dict[str, Any]]:
    """Train until the recipe's steps or the time are used up; a log line every ``every`` steps.

    Each line is also appended to ``folder/log.jsonl``, and the :data:`CHECKPOINT` renewed.
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
            with (folder / "log.jsonl").open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line) + "\n")
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
    state = trainer.network.state_dict()
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    return register(weights, NAME, tensors, record)

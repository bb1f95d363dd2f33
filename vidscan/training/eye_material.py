"""What the eye-state network is trained on: augmented sequences of eyes from genuine, labeled clips.

The target is the teacher's ``eyeBlink`` blendshape of either eye, as it is (0..1); above one half an eye
counts as closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vidscan.behavior.eye_state import CORNERS, eye_crops
from vidscan.errors import SetupError
from vidscan.training.labels import Labels
from vidscan.training.teacher import BLENDSHAPES

BLINK = [BLENDSHAPES.index("eyeBlinkRight"), BLENDSHAPES.index("eyeBlinkLeft")]
"""Blendshapes of the eyes as seen in the image: the person's right eye is the left one there."""
_MAX_STEP_S = 0.2
"""Rows of a clip further apart than this are no sequence."""


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
    """Largest change of contrast, and of the exponent that bends the gray scale."""
    noise: float = 4.0
    """Largest standard deviation of noise, in gray levels."""
    judged: float = 0.1
    """Share of the people who are set aside to judge by."""
    seed: int = 0


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
            raise SetupError(f"no clip of the label store has {recipe.frames} labeled frames in a row")
        self.targets = labels.blendshapes[:, BLINK]
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

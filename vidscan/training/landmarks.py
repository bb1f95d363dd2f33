"""Distilling the landmark teacher into :class:`vidscan.faces.landmark_network.LandmarkNetwork`.

Genuine training people only. A fifth of them is held out and tells how well new faces are read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vidscan.errors import SetupError
from vidscan.faces.face_model import OUTER_EYE_CORNERS
from vidscan.faces.landmark_network import MARGIN, SIZE, LandmarkNetwork, NetworkOutput
from vidscan.faces.units import UNITS
from vidscan.models import ModelRecord, register
from vidscan.training.average import follow, half_precision, start_average
from vidscan.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from vidscan.training.curves import update_dashboard
from vidscan.training.expression import GEOMETRIC, Expression, expression
from vidscan.training.labels import Labels
from vidscan.training.landmark_augment import Batch, augment_faces, centre_cut
from vidscan.training.log import log_line

_VALIDATION = 1500
_CODED = 0.4


@dataclass(frozen=True, slots=True)
class LandmarkRecipe:
    """How the landmark network is trained."""

    name: str = "landmarks-residual112"
    faces: int = 620_000
    """Augmented faces in all."""
    batch: int = 64
    rate: float = 1.5e-3
    head_rate: float = 4e-4
    """Lower: the heads sum over thousands of features."""
    weight_decay: float = 0.02
    warmup: int = 10_000
    ema: float = 0.998
    pictures: float = 0.55
    """Share of faces drawn from pictures; the rest from clips, person by person."""
    seed: int = 0


class LabelledFaces:
    """Draws batches from label stores, and holds the validation set.

    Parameters
    ----------
    stores
        Stores of pictures, of clips, or of both.
    pictures
        Share of the faces that is drawn from pictures, where there are clips as well.

    Raises
    ------
    SetupError
        Where the stores hold nobody to train on.
    """

    def __init__(self, stores: list[Labels], pictures: float) -> None:
        self._stores = stores
        self._targets: list[Expression] = [expression(s.landmarks, s.blendshapes) for s in stores]
        self._pictures = pictures
        rows = [(s, i, row) for s, store in enumerate(stores) for i, row in enumerate(store.rows)]
        self._stills = [(s, i) for s, i, row in rows if row.kind != "video" and not row.held_out]
        self._clips: dict[str, list[tuple[int, int]]] = {}
        for s, i, row in rows:
            if row.kind == "video" and not row.held_out:
                self._clips.setdefault(row.identity, []).append((s, i))
        if not self._stills and not self._clips:
            raise SetupError("the label stores hold nobody to train on")
        self._weights = {who: self._telling(places) for who, places in self._clips.items()}
        self._still_weights = self._telling(self._stills)
        held = [(s, i) for s, i, row in rows if row.held_out]
        rng = np.random.default_rng(0)
        kept = rng.permutation(len(held))[:_VALIDATION]
        self.validation = [held[k] for k in sorted(kept)]
        units = np.concatenate([t.units for t in self._targets])
        self.spread = np.maximum(units.std(0), 0.15).astype(np.float32)

    def _telling(self, places: list[tuple[int, int]]) -> NDArray[np.float64]:
        """Drawing odds: shut eyes, turned heads and strong expressions are rare and come more often."""
        weights = np.ones(len(places))
        for k, (s, i) in enumerate(places):
            target, rotation = self._targets[s], self._stores[s].rotation[i]
            weights[k] += 3.0 * (target.openness[i].min() < 0.6)
            weights[k] += min(4.0, 8.0 * abs(float(rotation[0, 2])))
            weights[k] += 0.4 * float((target.units[i] > 2).sum())
        return weights / weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """``count`` labeled crops: a picture, or a person and then a frame."""
        people = list(self._clips)
        places = []
        for _ in range(count):
            if not people or (self._stills and rng.random() < self._pictures):
                places.append(self._stills[rng.choice(len(self._stills), p=self._still_weights)])
            else:
                who = people[rng.integers(len(people))]
                places.append(self._clips[who][rng.choice(len(self._clips[who]), p=self._weights[who])])
        return self.batch(places, rng.random(count) < _CODED)

    def batch(self, places: list[tuple[int, int]], coded: NDArray[np.bool_]) -> Batch:
        """The crops at ``places`` (store, row), before or after the codec, with their labels."""

        def gather(pick: Any) -> Tensor:
            return torch.from_numpy(np.stack([pick(s, i) for s, i in places]))

        pixels = np.stack(
            [
                (self._stores[s].coded if late else self._stores[s].crops)[i]
                for (s, i), late in zip(places, coded, strict=True)
            ]
        )
        return Batch(
            crops=torch.from_numpy(pixels).permute(0, 3, 1, 2).float(),
            landmarks=gather(lambda s, i: self._targets[s].landmarks[i]),
            units=gather(lambda s, i: self._targets[s].units[i]),
            openness=gather(lambda s, i: self._targets[s].openness[i]),
            gaze=gather(lambda s, i: self._targets[s].gaze[i]),
            rotation=gather(lambda s, i: self._stores[s].rotation[i]),
            face=torch.ones(len(places)),
        )


def landmark_loss(output: NetworkOutput, batch: Batch, spread: Tensor) -> Tensor:
    """One number: every task on the scale of its own spread, over the crops that show a face."""
    face = batch.face > 0.5
    confidence = F.binary_cross_entropy_with_logits(output.confidence, batch.face)
    truth = batch.landmarks[face]
    corners = truth[:, OUTER_EYE_CORNERS[1]] - truth[:, OUTER_EYE_CORNERS[0]]
    ocular = corners.norm(dim=1).clamp_min(1.0)[:, None, None]
    error = (to_pixels(output.landmarks[face]) - truth) / ocular
    # Linear near nought too: landmarks are to be exact, not merely near.
    places = (error.abs() * error.new_tensor([1.0, 1.0, 0.3])).mean()
    # Squares: most units rest most of the time, and the absolute error's answer to that is the median, rest.
    units = ((output.units[face] - batch.units[face]) / spread).square().mean()
    lids = output.openness[face] - batch.openness[face]
    openness = lids.abs().mean() + 5 * lids.square().mean()
    gaze = (output.gaze[face] - batch.gaze[face]).abs().mean()
    rotation = (output.rotation[face] - batch.rotation[face]).abs().mean()
    return 15 * places + 0.8 * units + 4 * openness + 2 * gaze + 4 * rotation + 0.3 * confidence


def to_pixels(landmarks: Tensor) -> Tensor:
    """Network output (N, 68, 3) to pixels of its crop."""
    return landmarks * SIZE + landmarks.new_tensor([(SIZE - 1) / 2, (SIZE - 1) / 2, 0.0])


class LandmarkTrainer:
    """AdamW with a moving average of the weights; resumable."""

    def __init__(self, recipe: LandmarkRecipe, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.seen = recipe, device, 0
        self.net = LandmarkNetwork().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = start_average(LandmarkNetwork().to(device), self.net)
        self._networks = {"net": self.net, "average": self.average}
        heads = [*self.net.places.parameters(), *self.net.state.parameters()]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": list(self.net.body.parameters()), "base": recipe.rate},
                {"params": heads, "base": recipe.head_rate},
            ],
            weight_decay=recipe.weight_decay,
        )

    def step(self, batch: Batch, spread: Tensor) -> float:
        """One step on an augmented batch; its loss."""
        recipe = self.recipe
        ramp = min(1.0, (self.seen + 1) / recipe.warmup)
        progress = min(1.0, self.seen / recipe.faces)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * ramp * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6
        self.net.train()
        crops = batch.crops.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16):
            features = self.net.body((crops - 127.5) / 64.0)
        output = self.net.heads(features.float())
        loss = landmark_loss(output, batch, spread)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.seen += len(crops)
        follow(self.average, self.net, recipe.ema, self.seen / len(crops))
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Everything a resumed run needs, as safetensors, written atomically."""
        save_checkpoint(path, self._networks, self.optimiser, {"seen": self.seen})

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of :meth:`save`; SetupError where it cannot be read."""
        self.seen = load_checkpoint(path, self._networks, self.optimiser)["seen"]


def train_landmarks(
    trainer: LandmarkTrainer,
    faces: LabelledFaces,
    folder: Path,
    *,
    seconds: float = math.inf,
    every: int = 25_000,
) -> Iterator[dict[str, Any]]:
    """Train until the recipe's faces or the time are used up; a log line every ``every`` faces.

    Lines are appended to the run's log, and its checkpoint renewed (:mod:`vidscan.training.checkpoint`).
    """
    recipe, start, losses = trainer.recipe, time.monotonic(), []
    spread = torch.from_numpy(faces.spread)
    mark = trainer.seen + every
    while trainer.seen < recipe.faces and time.monotonic() - start < seconds:
        # Drawn from the place in the run, so that a resumed run draws on.
        rng = np.random.default_rng((recipe.seed, trainer.seen))
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        batch = augment_faces(faces.draw(recipe.batch, rng), generator)
        torch.manual_seed(int(rng.integers(2**31)))  # dropout knows no other generator
        losses.append(trainer.step(batch, spread))
        if trainer.seen >= mark or trainer.seen >= recipe.faces:
            mark += every
            trainer.save(folder / CHECKPOINT)
            line = {"faces": trainer.seen, "loss": round(float(np.mean(losses)), 4)}
            line |= {"seconds": round(time.monotonic() - start, 1)}
            line |= {k: round(v, 4) for k, v in validate(trainer.average, faces).items()}
            log_line(folder, line)
            update_dashboard(folder)
            losses = []
            yield line
    trainer.save(folder / CHECKPOINT)


@torch.no_grad()
def validate(network: LandmarkNetwork, faces: LabelledFaces) -> dict[str, float]:
    """On held-out people: normalized mean error, worst and mean unit correlation, eyes, degrees.

    A correlation is 0 where the network's answer never changes; where the truth never changes there is
    none, and a figure that is left with none is left out. Without people held out there are no figures.
    """
    if not faces.validation:
        return {}
    errors, columns = [], []
    for start in range(0, len(faces.validation), 64):
        places = faces.validation[start : start + 64]
        batch = centre_cut(faces.batch(places, np.zeros(len(places), bool)))
        out = network(batch.crops.contiguous(memory_format=torch.channels_last))
        truth = batch.landmarks
        ocular = (truth[:, OUTER_EYE_CORNERS[1]] - truth[:, OUTER_EYE_CORNERS[0]]).norm(dim=1)
        error = (to_pixels(out.landmarks) - truth)[..., :2].norm(dim=2).mean(1) / ocular
        trace = torch.einsum("nij,nij->n", out.rotation, batch.rotation)
        angle = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
        errors.append(torch.stack([error, angle], 1))
        found = torch.cat([out.units, out.openness, out.gaze.flatten(1)], 1)
        wanted = torch.cat([batch.units, batch.openness, batch.gaze.flatten(1)], 1)
        columns.append(torch.stack([found, wanted]))
    error, angle = torch.cat(errors).T.numpy()
    found, wanted = torch.cat(columns, 1).numpy()
    r = np.array([_correlation(found[:, k], wanted[:, k]) for k in range(found.shape[1])])
    figures = {"nme": float(error.mean()), "angle": float(angle.mean())}
    units, openness, gaze = np.split(r, [len(UNITS), len(UNITS) + 2])
    if np.isfinite(units).any():
        worst = int(np.nanargmin(units))
        figures |= {"units": float(np.nanmean(units)), "worst_unit": float(units[worst])}
        figures["worst_is"] = float(UNITS[worst])
    for name, values in (("openness", openness), ("gaze", gaze)):
        if np.isfinite(values).any():
            figures[name] = float(np.nanmean(values))
    return figures


def _correlation(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    if np.ptp(wanted) == 0:
        return math.nan
    return float(np.corrcoef(found, wanted)[0, 1]) if np.ptp(found) > 0 else 0.0


def export_landmarks(trainer: LandmarkTrainer, faces: LabelledFaces, weights: Path) -> ModelRecord:
    """Register the averaged weights in half precision, with their preprocessing and recipe."""
    record = {
        "kind": "landmarks",
        "crop": {"size": SIZE, "margin": MARGIN},
        "colour": "RGB",
        "range": [0, 255],
        "units": list(UNITS),
        "geometric_units": list(GEOMETRIC),
        "faces_seen": trainer.seen,
        "held_out": {k: round(v, 4) for k, v in validate(trainer.average, faces).items()},
        "recipe": asdict(trainer.recipe),
    }
    return register(weights, trainer.recipe.name, half_precision(trainer.average), record)

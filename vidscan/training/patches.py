"""Training the patch classifier on pairs, judged by transfer to generators it never saw."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from vidscan.patches.classifier import normalise
from vidscan.patches.networks import PatchNetwork
from vidscan.patches.pooling import pool
from vidscan.training.average import follow, half_precision, start_average
from vidscan.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint, write_tensors
from vidscan.training.curves import update_dashboard
from vidscan.training.dct import some_through_jpeg
from vidscan.training.energy import energy_auc, high_band_energy
from vidscan.training.log import log_line


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """The recipe file's ``[train]`` table."""

    architecture: str = "efficientnet_lite0"
    depth: int = 2
    hidden: tuple[int, ...] = ()
    """Channels of the head's inner 1x1 convolutions."""
    window: int = 128
    """Side of the random window of the crop that a step sees."""
    pairs: int = 24
    """Genuine-forged pairs a step."""
    crops: int = 200_000
    """Crops (two a pair) until the learning rate has come down to nothing."""
    stop: int = 0
    """Stop after so many crops, before the rate has come down; 0 goes to the end."""
    warmup_crops: int = 6_000
    """Crops for which only the head learns."""
    head_rate: float = 2e-3
    rate: float = 6e-4
    weight_decay: float = 0.02
    pooled_weight: float = 0.5
    top_k: float = 0.25
    ema: float = 0.998
    dropout: float = 0.1
    dct: float = 0.0
    """Chance of JPEG's quantization on the device, for pairs that saw no real codec."""
    compiled: bool = False
    """Compile the network first: a minute once, then half as many crops again a second (needs a C
    compiler)."""
    seed: int = 0


MEAN = [127.0, 127.0, 127.0]
STD = [128.0, 128.0, 128.0]
"""The ImageNet start was trained with these."""


class Shards:
    """Random batches from the pair shards of a folder, newly finished ones included.

    Pairs of the forgeries ``without`` are never drawn, nor those of the shards ``set_aside`` (by stem).
    """

    def __init__(
        self, folder: Path, seed: int, *, without: Collection[str] = (), set_aside: Collection[str] = ()
    ) -> None:
        self.folder, self.without, self.set_aside = folder, without, set_aside
        self.rng = np.random.default_rng(seed)
        self.open: dict[str, dict[str, NDArray[np.uint8]]] = {}
        self.uses: dict[str, int] = {}
        self.wanted: dict[str, NDArray[np.int64]] = {}

    def refresh(self) -> None:
        for done in sorted(self.folder.glob("*.json")):
            if done.stem not in self.wanted and done.stem not in self.set_aside:
                shard = open_shard(done)
                names = json.loads(done.read_text(encoding="utf-8"))["kinds"]
                banned = [i for i, name in enumerate(names) if name in self.without]
                self.wanted[done.stem] = np.flatnonzero(~np.isin(shard["kind"], banned))
                if len(self.wanted[done.stem]):
                    self.open[done.stem] = shard
                    self.uses[done.stem] = min(self.uses.values(), default=0)

    def batch(self, pairs: int, window: int) -> tuple[Tensor, Tensor]:
        """(2 * pairs, 3, w, w) float crops, genuine first, and their (2 * pairs, m, m) masks.

        A mask is the share of forged pixels, -1 where unknown. Least used shards come first.
        """
        if not self.open:
            raise ValueError(f"no finished pair shard in {self.folder}")
        parts: list[list[NDArray]] = [[], [], []]
        drawn = self.rng.permutation(sorted(self.open))[:12].tolist()
        chosen = sorted(drawn, key=lambda stem: self.uses[stem])[:6]
        for stem in chosen:
            shard = self.open[stem]
            self.uses[stem] += 1
            size = shard["genuine"].shape[1]
            cell = size // shard["mask"].shape[1]
            for _ in range(-(-pairs // len(chosen))):
                i = int(self.rng.choice(self.wanted[stem]))
                y, x = self.rng.integers(0, (size - window) // cell + 1, 2) * cell
                view = (slice(y, y + window), slice(x, x + window))
                mask = shard["mask"][i][y // cell : (y + window) // cell, x // cell : (x + window) // cell]
                step = -1 if self.rng.random() < 0.5 else 1
                parts[0].append(shard["genuine"][i][view][:, ::step])
                parts[1].append(shard["forged"][i][view][:, ::step])
                parts[2].append(mask[:, ::step])
        genuine, forged, mask = (np.stack(p[:pairs]) for p in parts)
        crops = torch.from_numpy(np.concatenate([genuine, forged])).permute(0, 3, 1, 2).float()
        share = torch.from_numpy(mask.astype(np.float32)) / 254
        share[share > 1] = -1
        return crops, torch.cat([torch.zeros_like(share), share])


def open_shard(done: Path) -> dict[str, NDArray[np.uint8]]:
    """The arrays of the finished shard whose ``.json`` is ``done``, left on disk."""
    names = ("genuine", "forged", "mask", "kind")
    return {n: np.load(done.with_name(f"{done.stem}.{n}.npy"), mmap_mode="r") for n in names}


def patch_loss(logits: Tensor, masks: Tensor, recipe: TrainRecipe) -> tuple[Tensor, Tensor]:
    """Cross-entropy of patches with their masked share, and of pooled crops with their label.

    ``logits`` (N, h, w), ``masks`` (N, H, W) share of forged pixels or -1 where unknown. Returns the
    loss and the pooled log-odds.
    """
    unknown = masks.flatten(1).amin(1) < 0
    known = ~unknown
    target = F.adaptive_avg_pool2d(masks.clamp_min(0)[:, None], (logits.shape[1], logits.shape[2]))[:, 0]
    patches = logits.sum() * 0
    if known.any():
        # A patch that is half forged by area is a blend border: as telling as one wholly forged.
        cells = F.binary_cross_entropy_with_logits(logits, target.clamp(0, 1), reduction="none")
        patches = cells.flatten(1).mean(1)[known].mean()
    scores = pool(logits, "top_k", recipe.top_k)
    forged = (target.flatten(1).amax(1) > 0.2).float()
    forged[unknown] = 1.0
    seen = known & ((forged == 1) | (target.flatten(1).amax(1) < 0.02)) | unknown
    pooled = F.binary_cross_entropy_with_logits(scores[seen], forged[seen])
    return patches + recipe.pooled_weight * pooled, scores


class Trainer:
    """Adam with an exponential moving average of weights *and* batch-norm statistics; resumable."""

    def __init__(self, recipe: TrainRecipe, start: Path | None, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.net = PatchNetwork(recipe.architecture, recipe.depth, recipe.dropout, recipe.hidden)
        if start is not None:
            weights = load_file(start)
            own = self.net.features.state_dict()
            kept = {k: v.to(own[k].dtype) for k, v in weights.items() if k in own}
            missing = self.net.features.load_state_dict(kept, strict=False).missing_keys
            if missing:
                raise ValueError(f"{start} lacks {', '.join(missing[:3])} ...")
        self.net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward = torch.compile(self.net) if recipe.compiled else self.net
        average = PatchNetwork(recipe.architecture, recipe.depth, hidden=recipe.hidden).to(device)
        self.average = start_average(average, self.net)
        self._networks = {"net": self.net, "average": self.average}
        decayed = [p for p in self.net.features.parameters() if p.ndim > 1]
        plain = [p for p in self.net.features.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay, "base": recipe.rate},
                {"params": plain, "weight_decay": 0.0, "base": recipe.rate},
                {"params": self.net.head.parameters(), "weight_decay": 0.0, "base": recipe.head_rate},
            ],
            lr=recipe.rate,
        )
        self.crops = 0

    def step(self, crops: Tensor, masks: Tensor) -> tuple[float, float]:
        """One step; loss and share of pooled crops on the right side."""
        recipe = self.recipe
        frozen = self.crops < recipe.warmup_crops
        progress = min(1.0, self.crops / recipe.crops)
        ramp = min(1.0, (self.crops + 1) / max(1, recipe.warmup_crops))
        for i, group in enumerate(self.optimiser.param_groups):
            base = 0.0 if frozen and i < 2 else group["base"]
            group["lr"] = base * ramp * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-6
        self.net.train()
        if frozen:
            self.net.features.eval()
        # Drawn from the place in the run, so that a resumed run draws on.
        rng = np.random.default_rng((recipe.seed, self.crops))
        crops = some_through_jpeg(crops.to(self.device), rng, recipe.dct)
        logits = self.forward(normalise(crops, MEAN, STD))[:, 0]
        loss, scores = patch_loss(logits, masks.to(self.device), recipe)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.crops += len(crops)
        follow(self.average, self.net, recipe.ema, self.crops / len(crops))
        half = len(crops) // 2
        right = torch.cat([scores[:half] < 0, scores[half:] > 0]).float().mean()
        return float(loss.detach()), float(right)

    def save(self, path: Path) -> None:
        """Everything a resumed run needs, as safetensors, written atomically."""
        save_checkpoint(path, self._networks, self.optimiser, {"crops": self.crops})

    def keep(self, path: Path) -> None:
        """The averaged weights alone, in half precision, written atomically."""
        write_tensors(path, self.averaged(), {"crops": str(self.crops)})

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights in half precision: what is shipped."""
        return half_precision(self.average)

    def take(self, path: Path) -> None:
        """Put what :meth:`keep` wrote in the place of the average."""
        with safe_open(path, "pt") as handle:
            self.crops = int(handle.metadata()["crops"])
        self.average.load_state_dict(load_file(path))

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of :meth:`save`; SetupError where it cannot be read."""
        self.crops = load_checkpoint(path, self._networks, self.optimiser)["crops"]


def average_path(folder: Path, crops: int) -> Path:
    """Where :func:`train` keeps the averaged weights that it had after ``crops`` crops."""
    return folder / f"average-{crops:09d}.safetensors"


def train(
    trainer: Trainer,
    shards: Shards,
    folder: Path,
    *,
    seconds: float = math.inf,
    every: int = 10_000,
    judge: Callable[[PatchNetwork], dict[str, float]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Train until the recipe's crops or the time are used up; a log line every ``every`` crops.

    Each line is also appended to the run's log, its checkpoint renewed
    (:mod:`vidscan.training.checkpoint`), and the averaged weights of every line are kept
    (:func:`average_path`). ``high_band_auc`` is how well
    fine-detail energy alone tells the sides apart (:mod:`vidscan.training.energy`); ``transfer`` what
    ``judge`` says of the averaged network.
    """
    recipe = trainer.recipe
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    losses: list[float] = []
    rights: list[float] = []
    energies: list[NDArray[np.float32]] = []
    mark = trainer.crops + every
    limit = recipe.stop or recipe.crops
    while trainer.crops < limit and time.monotonic() - start < seconds:
        if not losses:
            shards.refresh()
        crops, masks = shards.batch(recipe.pairs, recipe.window)
        energies.append(high_band_energy(crops).reshape(2, -1))
        loss, right = trainer.step(crops, masks)
        losses.append(loss)
        rights.append(right)
        if trainer.crops >= mark or trainer.crops >= limit:
            mark += every
            trainer.save(folder / CHECKPOINT)
            trainer.keep(average_path(folder, trainer.crops))
            line: dict[str, Any] = {
                "crops": trainer.crops,
                "loss": round(float(np.mean(losses)), 5),
                "accuracy": round(float(np.mean(rights)), 4),
                "high_band_auc": round(energy_auc(*np.concatenate(energies, 1)), 4),
                "seconds": round(time.monotonic() - start, 1),
            }
            if judge is not None:
                line["transfer"] = {k: round(v, 4) for k, v in judge(trainer.average).items()}
            log_line(folder, line)
            update_dashboard(folder)
            losses, rights, energies = [], [], []
            yield line
    trainer.save(folder / CHECKPOINT)

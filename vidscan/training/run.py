"""The whole training of a patch model, from a corpus folder to a registry record; resumable.

Every stage keeps what it made in the work folder and does not make it again: crops with landmarks,
renderers, pair shards, the trainer's checkpoint.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from vidscan.models import ModelRecord, register
from vidscan.patches.pooling import pool
from vidscan.training.calibrate import calibrate
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.pairs import PairSource, write_shard
from vidscan.training.patches import MEAN, STD, Shards, Trainer, train
from vidscan.training.recipe import Recipe
from vidscan.training.renderers import load_renderers, train_renderers
from vidscan.training.store import Store, build_store
from vidscan.training.teacher import Teacher
from vidscan.training.transfer import clip_scores, patch_logits, transfer_table

_TRAIN_FRAMES = 14
_DEV_FRAMES = 6
_FIRST_SHARDS = 8
"""Training starts when so many shards are there."""


@dataclass(frozen=True, slots=True)
class TrainPaths:
    corpus: Path
    teacher: Path
    start: Path | None
    """ImageNet weights to start from."""
    work: Path
    weights: Path


def train_patches(
    recipe: Recipe,
    paths: TrainPaths,
    *,
    seconds: float = math.inf,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> tuple[ModelRecord, ModelRecord]:
    """Train, judge by transfer on the way, export the averaged weights, calibrate.

    Parameters
    ----------
    seconds
        Stop the optimiser after so long; the checkpoint stays and a further call goes on.
    say
        Gets a line of progress now and then.

    Returns
    -------
    tuple
        The registered patch and verdict models.
    """
    entries = read_manifest(paths.corpus)
    own = [e for e in entries if e.split == "train"]
    dev = [e for e in entries if e.split == "dev"]
    store = _labelled_store(paths, own)
    judge = build_store(paths.corpus, dev, paths.work / "dev", frames_per_clip=_DEV_FRAMES, teacher=None)
    train_renderers(
        store,
        paths.work / "renderers",
        steps=recipe.renderers.steps,
        seconds=recipe.renderers.seconds,
    )
    shards = paths.work / "pairs"
    producer = multiprocessing.get_context("spawn").Process(
        target=produce_shards, args=(recipe, paths.work), daemon=True
    )
    producer.start()
    while len(list(shards.glob("*.json"))) < min(_FIRST_SHARDS, recipe.shards.count):
        if not producer.is_alive():
            raise RuntimeError("the process that renders training pairs has died")
        time.sleep(1)
    trainer = Trainer(recipe.train, paths.start, device)
    run = paths.work / "runs" / recipe.name
    if (run / "checkpoint.safetensors").exists():
        trainer.resume(run / "checkpoint.safetensors")
        say(f"resumed at {trainer.crops} crops")
    rows = list(range(len(judge.rows)))
    for line in train(trainer, Shards(shards, recipe.train.seed), run, seconds=seconds):
        say(" ".join(f"{key} {value}" for key, value in line.items()))
        if judge.rows:
            logits = torch.from_numpy(patch_logits(trainer.average, judge, recipe.crop, MEAN, STD, rows))
            pooled = pool(logits, recipe.pooling.how, recipe.pooling.top_k, recipe.pooling.radius)
            scores = clip_scores(judge, rows, pooled.numpy())
            table = transfer_table(dev, scores)
            say("  transfer: " + ", ".join(f"{k} {v:.3f}" for k, v in table.items() if "method " not in k))
    producer.terminate()
    patches = export(recipe, trainer, paths.weights)
    return patches, calibrate(store, patches, paths.weights, f"verdict-{recipe.name}")


def _labelled_store(paths: TrainPaths, entries: list[Entry]) -> Store:
    """The train split's crops; the teacher is only needed where they are not there yet."""
    folder = paths.work / "train"
    if (folder / "rows.jsonl").exists():
        return Store.open(folder)
    with closing(Teacher(paths.teacher)) as teacher:
        return build_store(paths.corpus, entries, folder, frames_per_clip=_TRAIN_FRAMES, teacher=teacher)


def produce_shards(recipe: Recipe, work: Path) -> None:
    """Render the recipe's pair shards one after the other; run in a process of its own."""
    torch.set_num_threads(1)
    source = PairSource(
        Store.open(work / "train"), recipe.pairs, recipe.degrade, load_renderers(work / "renderers")
    )
    for index in range(recipe.shards.count):
        write_shard(source, work / "pairs", index, recipe.shards.pairs)


def export(recipe: Recipe, trainer: Trainer, weights: Path) -> ModelRecord:
    """Register the averaged weights, in half precision, with their preprocessing and recipe."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in trainer.average.state_dict().items()}
    record = {
        "kind": "patches",
        "architecture": recipe.train.architecture,
        "depth": recipe.train.depth,
        "crop": {"size": recipe.crop.size, "margin": recipe.crop.margin},
        "colour": "RGB",
        "range": [0, 255],
        "mean": MEAN,
        "std": STD,
        "pooling": recipe.pooling.how,
        "top_k": recipe.pooling.top_k,
        "radius": recipe.pooling.radius,
        "verdict": f"verdict-{recipe.name}",
        "crops_seen": trainer.crops,
        "recipe": recipe.to_record(),
    }
    return register(weights, recipe.name, tensors, record)

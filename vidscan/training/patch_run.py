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
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vidscan.errors import SetupError
from vidscan.models import ModelRecord, register
from vidscan.patches.networks import PatchNetwork, receptive_grid
from vidscan.patches.pooling import pool
from vidscan.training.autoencoders import load_renderers, train_renderers
from vidscan.training.calibrate import calibrate
from vidscan.training.checkpoint import CHECKPOINT
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.log import LOG
from vidscan.training.pairs import PairSource, write_shard
from vidscan.training.patches import MEAN, STD, Shards, Trainer, average_path, train
from vidscan.training.recipe import Recipe
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
    at: int | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> tuple[ModelRecord, ModelRecord]:
    """Train, judge by transfer on the way, export the averaged weights, calibrate.

    Parameters
    ----------
    seconds
        Stop the optimizer after so long; the checkpoint stays and a further call goes on.
    at
        Train no further, but export the averaged weights that the run had after so many crops.
    say
        Gets a line of progress now and then.

    Returns
    -------
    tuple
        The registered patch and verdict models.

    Raises
    ------
    SetupError
        Where the run kept no weights of ``at`` crops, or the corpus has too few people.
    """
    entries = read_manifest(paths.corpus)
    trainer = Trainer(recipe.train, paths.start, device)
    run = paths.work / "runs" / recipe.name
    if at is not None:
        kept = average_path(run, at)
        if not kept.exists():
            raise SetupError(f"{run} keeps no weights of {at} crops; its {LOG} says of which")
        trainer.take(kept)
    store = _labelled_store(paths, [e for e in entries if e.split == "train"])
    if at is None:
        _optimise(recipe, paths, trainer, run, store, entries, seconds, say)
    patches = export(recipe, trainer, paths.weights)
    return patches, calibrate(store, patches, paths.weights, f"verdict-{recipe.name}")


def _optimise(
    recipe: Recipe,
    paths: TrainPaths,
    trainer: Trainer,
    run: Path,
    store: Store,
    entries: list[Entry],
    seconds: float,
    say: Callable[[str], None],
) -> None:
    dev_store, dev = open_dev(paths.corpus, entries, paths.work)
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
    if (run / CHECKPOINT).exists():
        trainer.resume(run / CHECKPOINT)
        say(f"resumed at {trainer.crops} crops")
    judge = (lambda network: judge_transfer(network, dev_store, dev, recipe)) if dev_store.rows else None
    for line in train(trainer, Shards(shards, recipe.train.seed), run, seconds=seconds, judge=judge):
        say(" ".join(f"{key} {value}" for key, value in line.items() if key != "transfer"))
        table = line.get("transfer", {}).items()
        if table:
            say("  transfer: " + ", ".join(f"{k} {v:.3f}" for k, v in table if "method " not in k))
    producer.terminate()


def open_dev(corpus: Path, entries: list[Entry], work: Path) -> tuple[Store, list[Entry]]:
    """The crops that transfer is judged on, cut where ``work`` has none, and the dev split's entries."""
    dev = [e for e in entries if e.split == "dev"]
    return build_store(corpus, dev, work / "dev", frames_per_clip=_DEV_FRAMES, teacher=None), dev


def judge_transfer(
    network: PatchNetwork, store: Store, entries: list[Entry], recipe: Recipe
) -> dict[str, float]:
    """:func:`vidscan.training.transfer.transfer_table` of a network with the recipe's crop and pooling."""
    rows = list(range(len(store.rows)))
    logits = torch.from_numpy(patch_logits(network, store, recipe.crop, MEAN, STD, rows))
    pooled = pool(logits, recipe.pooling.how, recipe.pooling.top_k, recipe.pooling.radius)
    return transfer_table(entries, clip_scores(store, rows, pooled.numpy()))


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
    record = {
        "kind": "patches",
        "architecture": recipe.train.architecture,
        "depth": recipe.train.depth,
        "hidden": list(recipe.train.hidden),
        "crop": {"size": recipe.crop.size, "margin": recipe.crop.margin},
        "colour": "RGB",
        "range": [0, 255],
        "mean": MEAN,
        "std": STD,
        "grid": asdict(receptive_grid(trainer.net, recipe.crop.size)),
        "pooling": recipe.pooling.how,
        "top_k": recipe.pooling.top_k,
        "radius": recipe.pooling.radius,
        "verdict": f"verdict-{recipe.name}",
        "crops_seen": trainer.crops,
        "recipe": recipe.to_record(),
    }
    return register(weights, recipe.name, trainer.averaged(), record)

"""The whole training of the landmark network, from a corpus folder to a registry record; resumable."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from vidscan.errors import SetupError
from vidscan.models import ModelRecord
from vidscan.training.checkpoint import CHECKPOINT
from vidscan.training.corpus import read_manifest
from vidscan.training.labels import Labels, build_labels
from vidscan.training.landmarks import (
    LabelledFaces,
    LandmarkRecipe,
    LandmarkTrainer,
    export_landmarks,
    train_landmarks,
)
from vidscan.training.teacher import Teacher


def label_corpus(corpus: Path, teacher: Path, work: Path) -> list[Labels]:
    """Label stores of the genuine train people: clips, and pictures; made once in ``work``.

    A corpus may lack one of the two.

    Raises
    ------
    SetupError
        Where it lacks both, or the teacher cannot be used.
    NoFaceError
        Where nothing can be labeled.
    """
    entries = [e for e in read_manifest(corpus) if e.split == "train" and e.genuine]
    kinds = {
        "clips": [e for e in entries if e.kind == "video"],
        "pictures": [e for e in entries if e.kind != "video"],
    }
    folders = {kind: work / f"labels-{kind}" for kind, chosen in kinds.items() if chosen}
    if not folders:
        raise SetupError(f"the manifest of {corpus} has no genuine file to train on")
    if all((folder / "rows.jsonl").exists() for folder in folders.values()):
        return [Labels.open(folder) for folder in folders.values()]
    with closing(Teacher(teacher, expression=True)) as model:
        return [build_labels(corpus, kinds[kind], folder, model) for kind, folder in folders.items()]


def run_landmarks(
    recipe: LandmarkRecipe,
    corpus: Path,
    teacher: Path,
    work: Path,
    weights: Path,
    *,
    seconds: float = math.inf,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> ModelRecord:
    """Label, train and register; what is there in ``work`` is not made again.

    Parameters
    ----------
    teacher
        Path of ``face_landmarker.task``; only needed where the labels are not there yet.
    seconds
        Stop the optimizer after so long; the checkpoint stays and a further call goes on.
    say
        Gets a line of progress now and then.
    """
    faces = LabelledFaces(label_corpus(corpus, teacher, work), recipe.pictures)
    trainer = LandmarkTrainer(recipe, device)
    run = work / "runs" / recipe.name
    if (run / CHECKPOINT).exists():
        trainer.resume(run / CHECKPOINT)
        say(f"resumed at {trainer.seen} faces")
    for line in train_landmarks(trainer, faces, run, seconds=seconds):
        say(" ".join(f"{key} {value}" for key, value in line.items()))
    return export_landmarks(trainer, faces, weights)

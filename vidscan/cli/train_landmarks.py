"""``vidscan train landmarks``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, start_log
from vidscan.cli.train_options import WEIGHTS, Corpus, Device, Quiet, Seconds, Teacher, Weights, Work


def landmarks(
    corpus: Corpus,
    teacher: Teacher,
    faces: Annotated[int, typer.Option(min=1, metavar="N", help="Augmented faces to train on.")] = 620_000,
    work: Work = Path("runs/landmarks"),
    weights: Weights = WEIGHTS,
    seconds: Seconds = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Distil the landmark network from the teacher, on genuine train people.

    Labels and checkpoints stay in --work: a stopped run goes on from there.
    """
    start_log(quiet, False)
    from vidscan.training.landmark_run import run_landmarks
    from vidscan.training.landmarks import LandmarkRecipe

    record = run_landmarks(
        LandmarkRecipe(faces=faces),
        corpus,
        teacher,
        work,
        weights,
        seconds=seconds or math.inf,
        device=device,
        say=lambda line: say(line, quiet=quiet),
    )
    typer.echo(f"{record.name} {record.sha256}")

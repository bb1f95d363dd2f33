"""``vidscan train landmarks`` and ``vidscan train blink``: the networks that read faces."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, start_log
from vidscan.cli.train_options import WEIGHTS, Corpus, Device, Quiet, Seconds, Teacher, Threads, Weights, Work


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
    """Distill the landmark network from the teacher, on genuine train people.

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


def blink(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS", exists=True, file_okay=False, help="Label store of vidscan train landmarks."
        ),
    ],
    work: Work = Path("runs/blink"),
    weights: Weights = WEIGHTS,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Steps instead of the recipe's.")
    ] = None,
    seconds: Seconds = 0,
    threads: Threads = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train the eye-state network for blinks from the teacher's labels.

    A stopped run goes on from the checkpoint in --work.
    """
    start_log(quiet, False)
    import torch

    from vidscan.training.blink import train_blink
    from vidscan.training.eye_material import EyeRecipe

    if threads:
        torch.set_num_threads(threads)
    recipe = EyeRecipe() if steps is None else replace(EyeRecipe(), steps=steps)
    record = train_blink(
        labels,
        work,
        weights,
        recipe,
        seconds=seconds or math.inf,
        device=device,
        say=lambda line: say(line, quiet=quiet),
    )
    typer.echo(f"{record.name} {record.sha256}")

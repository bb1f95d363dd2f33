"""``vidscan train landmarks``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, start_log


def landmarks(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
    ],
    teacher: Annotated[
        Path, typer.Option(metavar="FILE", dir_okay=False, help="MediaPipe's face_landmarker.task.")
    ],
    faces: Annotated[int, typer.Option(min=1, metavar="N", help="Augmented faces to train on.")] = 620_000,
    work: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Keeps labels and checkpoints.")
    ] = Path("runs/landmarks"),
    weights: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the finished model is registered.")
    ] = Path("weights"),
    seconds: Annotated[float, typer.Option(min=0, metavar="S", help="Stop training after S (0: never).")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
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

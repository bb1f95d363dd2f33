"""``vidscan train``: making the models that scanning uses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, start_log

app = typer.Typer(
    help="Train the models from a corpus (needs the training extra).",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def train() -> None:
    """Train the models from a corpus (needs the training extra)."""


@app.command()
def patches(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
    ],
    teacher: Annotated[
        Path, typer.Option(metavar="FILE", dir_okay=False, help="MediaPipe's face_landmarker.task.")
    ],
    start: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="ImageNet weights to start from."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Recipe (TOML); the shipped one."),
    ] = None,
    work: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Keeps crops, pairs and checkpoints.")
    ] = Path("runs/patches"),
    weights: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the finished model is registered.")
    ] = Path("weights"),
    seconds: Annotated[float, typer.Option(min=0, metavar="S", help="Stop training after S (0: never).")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Train the patch classifier and calibrate the verdict.

    Everything is kept in --work and not made again: a stopped run goes on from its checkpoint.
    """
    start_log(quiet, False)
    from vidscan.training.recipe import load_recipe
    from vidscan.training.run import TrainPaths, train_patches

    models = train_patches(
        load_recipe(recipe),
        TrainPaths(corpus, teacher, start, work, weights),
        seconds=seconds or math.inf,
        device=device,
        say=lambda line: say(line, quiet=quiet),
    )
    for model in models:
        typer.echo(f"{model.name} {model.sha256}")

"""``vidscan train blink``: the network that tells open eyes from shut ones."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, start_log


def blink(
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LABELS", exists=True, file_okay=False, help="Label store of vidscan train landmarks."
        ),
    ],
    work: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Keeps the checkpoint and the log.")
    ] = Path("runs/blink"),
    weights: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the finished model is registered.")
    ] = Path("weights"),
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Steps instead of the recipe's.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, metavar="S", help="Stop training after S (0: never).")] = 0,
    threads: Annotated[int, typer.Option(min=0, metavar="N", help="CPU threads (0: all).")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
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

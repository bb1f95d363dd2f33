"""``vidscan train verdict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import stages, start_log


def verdict(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
    ],
    work: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Keeps the evidence of the clips.")
    ] = Path("runs/evidence"),
    weights: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the finished model is registered.")
    ] = Path("weights"),
    target_fpr: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="False alarms of manipulated to aim at.")
    ] = 0.01,
    uncertain_fpr: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="The same of uncertain and manipulated together.")
    ] = 0.05,
    jobs: Annotated[int, typer.Option(min=0, metavar="N", help="Worker processes (0: as many as fit).")] = 0,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Fit the verdict on genuine clips of CORPUS, and calibrate it.

    The one-class model learns from the train people, the thresholds come from those of dev.
    """
    start_log(quiet, False)
    from vidscan.training.verdict import VerdictRecipe, train_verdict

    if uncertain_fpr <= target_fpr:
        raise typer.BadParameter("must be above --target-fpr", param_hint="--uncertain-fpr")
    with stages(quiet=quiet) as stage:
        record = train_verdict(
            corpus,
            work,
            weights,
            VerdictRecipe(manipulated_fpr=target_fpr, uncertain_fpr=uncertain_fpr),
            jobs=jobs,
            device=device,
            stage=stage,
        )
    typer.echo(f"{record.name} {record.sha256}")

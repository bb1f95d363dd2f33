"""``vidscan train verdict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import stages, start_log
from vidscan.cli.train_options import WEIGHTS, Corpus, Device, Jobs, Quiet, Weights, Work


def verdict(
    corpus: Corpus,
    work: Work = Path("runs/evidence"),
    weights: Weights = WEIGHTS,
    target_fpr: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="False alarms of manipulated to aim at.")
    ] = 0.01,
    uncertain_fpr: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="The same of uncertain and manipulated together.")
    ] = 0.05,
    jobs: Jobs = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Fit the verdict on genuine clips of CORPUS, and calibrate it.

    The one-class model learns from the train people; thresholds come from those of dev and, by heads of the
    encoder that never saw their source, of train.
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

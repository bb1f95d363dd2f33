"""``vidscan train forensics`` and ``vidscan train fingerprints``: what the evidence shelf has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import stages, start_log
from vidscan.cli.failures import UsageError
from vidscan.cli.train_options import WEIGHTS, Corpus, Quiet, Weights, Work


def forensics(
    corpus: Corpus,
    work: Work = Path("runs/forensics"),
    weights: Weights = WEIGHTS,
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Scores by file (JSON) of another detector, for a row of the table.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Learn the classifiers of the evidence shelf from the train split of CORPUS.

    Prints Markdown tables: clips of unseen sources, a sample of dev, resampled patches.
    """
    start_log(quiet, False)
    import json

    from vidscan.markdown import table
    from vidscan.training.figures import markdown
    from vidscan.training.forensics.run import ForensicsRecipe, train_forensics

    scores = None
    if beside is not None:
        try:
            scores = {str(k): float(v) for k, v in json.loads(beside.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"--beside {beside} does not hold scores by file: {error}") from error
    with stages(quiet=quiet) as stage:
        run = train_forensics(corpus, work, weights, ForensicsRecipe(), beside=scores, stage=stage)
    typer.echo("Train clips, sources left out\n\n" + markdown(run.left_out))
    if run.dev:
        typer.echo("Dev clips\n\n" + markdown(run.dev))
    names = list(next(iter(run.resampling.values())))
    rows = [[network, *(f"{areas[n]:.2f}" for n in names)] for network, areas in run.resampling.items()]
    typer.echo("\n".join(table(["resampled patches", *names], rows)))
    for record in run.records:
        typer.echo(f"{record.name} {record.sha256}", err=True)


def fingerprints(
    corpus: Corpus,
    weights: Weights = WEIGHTS,
    quiet: Quiet = False,
) -> None:
    """Make the fingerprints of the generators in the train split of CORPUS."""
    start_log(quiet, False)
    from vidscan.training.fingerprints import learn_fingerprints

    with stages(quiet=quiet) as stage:
        record = learn_fingerprints(corpus, weights, stage)
    typer.echo(f"{record.name} {record.sha256}")

"""``vidscan train fingerprints``: what generators leave in the spectrum."""

from __future__ import annotations

import typer

from vidscan.cli.console import stages, start_log
from vidscan.cli.train_options import WEIGHTS, Corpus, Quiet, Weights


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

"""``vidscan train fingerprints``: what generators leave in the spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import stages, start_log


def fingerprints(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
    ],
    weights: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="Where the finished model is registered.")
    ] = Path("weights"),
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Make the fingerprints of the generators in the train split of CORPUS."""
    start_log(quiet, False)
    from vidscan.training.fingerprints import learn_fingerprints

    with stages(quiet=quiet) as stage:
        record = learn_fingerprints(corpus, weights, stage)
    typer.echo(f"{record.name} {record.sha256}")

"""``vidscan train encoder`` and ``vidscan train cross``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, stages, start_log
from vidscan.cli.train_options import WEIGHTS, Corpus, EncoderStart, Jobs, Quiet, Weights, Work


def encoder(
    corpus: Corpus,
    start: EncoderStart = None,
    work: Work = Path("runs/encoder"),
    weights: Weights = WEIGHTS,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Learn the encoder's head from the train clips of CORPUS."""
    start_log(quiet, False)
    from vidscan.training.encoder import HeadRecipe, shipped_start, train_encoder

    with stages(quiet=quiet) as stage:
        record = train_encoder(
            corpus,
            start or shipped_start(),
            work,
            weights,
            HeadRecipe(),
            jobs=jobs,
            stage=stage,
        )
    typer.echo(f"{record.name} {record.sha256}")


def cross(
    corpus: Corpus,
    start: EncoderStart = None,
    work: Work = Path("runs/encoder"),
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Keep runs here (JSON lines), and take from it what it has."
        ),
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves", help="Also with 10 to 160 generators, and 30 to 150 people.")
    ] = False,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Judge the encoder with sources left out: five parts of CORPUS that share no repository and no person.

    Prints a Markdown table, the control (only what lies outside the face) among its rows.
    """
    start_log(quiet, False)
    from vidscan.training.encoder import cross_validate, read_material, shipped_start, variants
    from vidscan.training.figures import markdown
    from vidscan.training.ledger import known, note

    rows = {}
    with stages(quiet=quiet) as stage:
        recipes = variants(curves=curves)
        material = read_material(
            corpus,
            start or shipped_start(),
            work,
            next(iter(recipes.values())),
            jobs=jobs,
            stage=stage,
        )
        for name, recipe in recipes.items():
            before = None if ledger is None else known(ledger, recipe, len(material.crops))
            if before is None:
                say(f"vidscan: {name}", quiet=quiet)
                before = cross_validate(material, recipe)
                if ledger is not None:
                    note(ledger, name, recipe, len(material.crops), before)
            rows[name] = before
    typer.echo(markdown(rows), nl=False)

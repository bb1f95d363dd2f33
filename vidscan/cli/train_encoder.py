"""``vidscan train encoder``, ``cross`` and ``adaptation``: what is learned from the frozen encoder."""

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
        first = next(iter(recipes.values()))
        aligned, native = (
            read_material(corpus, start or shipped_start(), work, first, native=kind, jobs=jobs, stage=stage)
            for kind in (False, True)
        )
        for name, recipe in recipes.items():
            materials = [aligned, native] if recipe.native else [aligned]
            crops = sum(len(material.crops) for material in materials)
            before = None if ledger is None else known(ledger, recipe, crops)
            if before is None:
                say(f"vidscan: {name}", quiet=quiet)
                before = cross_validate(materials, recipe)
                if ledger is not None:
                    note(ledger, name, recipe, crops, before)
            rows[name] = before
    typer.echo(markdown(rows), nl=False)


def adaptation(
    corpus: Corpus,
    start: EncoderStart = None,
    work: Work = Path("runs/encoder"),
    weights: Weights = WEIGHTS,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Make the memory that vidscan adapt needs, and judge adapting on generators left out.

    Prints a Markdown table of what the encoder's heads find before and after.
    """
    start_log(quiet, False)
    from vidscan.models import load_registry
    from vidscan.training.adapt import AdaptRecipe
    from vidscan.training.adaptation import judge, markdown, train_memory
    from vidscan.training.encoder import HeadRecipe, fit_heads, read_material, shipped_start
    from vidscan.training.sources import FOLDS

    encoder = load_registry().get("encoder")
    with stages(quiet=quiet) as stage:
        recipe = HeadRecipe()
        material = read_material(corpus, start or shipped_start(), work, recipe, jobs=jobs, stage=stage)
        advance = stage("judging adaptation", 2)
        heads = fit_heads(material, recipe, range(FOLDS))
        advance()
        found = judge(material, heads, AdaptRecipe())
        advance()
        record = train_memory(material, heads, weights, encoder)
    typer.echo(markdown(found), nl=False)
    typer.echo(f"{record.name} {record.sha256}", err=True)

"""``vidscan train``: making the models that scanning uses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, start_log
from vidscan.cli.train_encoder import adaptation, cross, encoder
from vidscan.cli.train_faces import faces
from vidscan.cli.train_forensics import fingerprints, forensics
from vidscan.cli.train_landmarks import blink, landmarks
from vidscan.cli.train_options import (
    WEIGHTS,
    Corpus,
    Device,
    Quiet,
    RecipeFile,
    Seconds,
    Start,
    Teacher,
    Threads,
    Weights,
    Work,
)
from vidscan.cli.train_tuning import all_, pack
from vidscan.cli.train_verdict import verdict

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
    corpus: Corpus,
    teacher: Teacher,
    start: Start = None,
    recipe: RecipeFile = None,
    work: Work = Path("runs/patches"),
    weights: Weights = WEIGHTS,
    seconds: Seconds = 0,
    at: Annotated[
        int | None,
        typer.Option(min=1, metavar="CROPS", help="Train no further: export the weights kept at CROPS."),
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Train the patch classifier and calibrate the verdict.

    Everything is kept in --work and not made again: a stopped run goes on from its checkpoint.
    """
    start_log(quiet, False)
    from vidscan.training.patch_run import TrainPaths, train_patches
    from vidscan.training.recipe import load_recipe

    models = train_patches(
        load_recipe(recipe),
        TrainPaths(corpus, teacher, start, work, weights),
        seconds=seconds or math.inf,
        at=at,
        device=device,
        say=lambda line: say(line, quiet=quiet),
    )
    for model in models:
        typer.echo(f"{model.name} {model.sha256}")


@app.command()
def compare(
    corpus: Corpus,
    out: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="The table, as JSON.")],
    what: Annotated[
        str, typer.Option(metavar="WHAT", help="networks, forgeries (each left out) or third-party.")
    ] = "networks",
    crops: Annotated[int, typer.Option(min=2, metavar="N", help="Budget of each variant.")] = 20_000,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this variant; may be repeated.")
    ] = None,
    start: Start = None,
    recipe: RecipeFile = None,
    work: Work = Path("runs/patches"),
    runs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Keeps each variant (--work/compare)."),
    ] = None,
    threads: Threads = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Compare networks, or forgeries, under equal small budgets on the pairs in --work.

    Prints a Markdown table. A variant that is finished is not trained again; one that was stopped goes
    on from its checkpoint.
    """
    start_log(quiet, False)
    import json

    import torch

    from vidscan.outputs import write_text
    from vidscan.training.compare import SUBJECTS, ComparePaths, markdown, to_dict
    from vidscan.training.compare import compare as run_comparison
    from vidscan.training.recipe import load_recipe

    if what not in SUBJECTS:
        raise typer.BadParameter(f"{what!r} is not one of {', '.join(SUBJECTS)}", param_hint="--what")
    if threads:
        torch.set_num_threads(threads)
    rows = run_comparison(
        what,  # type: ignore[arg-type]
        load_recipe(recipe),
        ComparePaths(corpus, work, runs or work / "compare", start),
        crops,
        only=only or (),
        device=device,
        say=lambda line: say(line, quiet=quiet),
    )
    write_text(out, json.dumps(to_dict(what, crops, rows), indent=1) + "\n")
    typer.echo(markdown(rows), nl=False)


@app.command()
def curves(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", exists=True, file_okay=False, help="Folder of a run: has log.jsonl."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="The picture (PNG).")],
) -> None:
    """Draw a run's loss and all that was measured, epoch by epoch, with the best of each.

    Trainers do so after every epoch into curves.png in the run's folder.
    """
    from vidscan.training.curves import draw_run

    draw_run(run, out)


for command in (faces, encoder, cross, pack, landmarks, blink, verdict, fingerprints, forensics, adaptation):
    app.command()(command)
app.command("all")(all_)

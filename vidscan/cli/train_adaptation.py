"""``vidscan train adaptation``: the memory of ``vidscan adapt``, and what adapting is worth."""

from __future__ import annotations

from pathlib import Path

import typer

from vidscan.cli.console import stages, start_log
from vidscan.cli.train_options import WEIGHTS, Corpus, EncoderStart, Jobs, Quiet, Weights, Work


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
        record = train_memory(material, weights, encoder)
    typer.echo(markdown(found), nl=False)
    typer.echo(f"{record.name} {record.sha256}", err=True)

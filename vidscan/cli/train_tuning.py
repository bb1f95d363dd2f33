"""``vidscan train pack`` and ``all``: training on a machine that has no corpus, and little time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import say, stages, start_log
from vidscan.cli.train_options import Corpus, Device, EncoderStart, Jobs, Quiet, Work


def pack(
    corpus: Corpus,
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="Folder of the pack.")],
    size: Annotated[float, typer.Option(min=1, metavar="MIB", help="It takes at most MIB MiB.")] = 36,
    looks: Annotated[int, typer.Option(min=1, metavar="N", help="Frames of every clip.")] = 1,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Pack the train clips of CORPUS into one small file, for `vidscan train all` on another machine."""
    start_log(quiet, False)
    from vidscan.training.pack import PACK, write_pack

    with stages(quiet=quiet) as stage:
        quality = write_pack(corpus, out, mib=size, looks=looks, jobs=jobs, stage=stage)
    typer.echo(f"{out / PACK} (WebP quality {quality})")


def all_(
    pack: Annotated[
        Path, typer.Option(metavar="DIR", exists=True, file_okay=False, help="Folder of the pack.")
    ],
    start: EncoderStart = None,
    work: Work = Path("runs/all"),
    minutes: Annotated[
        float, typer.Option(min=0.01, metavar="MIN", help="Time for training, judging aside.")
    ] = 12,
    steps: Annotated[
        int, typer.Option(min=0, metavar="N", help="So many steps, however long they take.")
    ] = 0,
    leave_out: Annotated[
        list[int] | None,
        typer.Option(
            metavar="PART",
            min=0,
            max=4,
            help="Part of the sources to judge by, not to learn from; repeatable.",
        ),
    ] = None,
    larger: Annotated[
        int, typer.Option(min=1, metavar="TIMES", help="Batches of so many times 32 crops.")
    ] = 1,
    first: Annotated[
        int, typer.Option(min=0, metavar="BLOCK", help="The first block that learns, counted from 0.")
    ] = 4,
    rank: Annotated[
        int, typer.Option(min=0, metavar="N", help="Rank of the updates; 0: blocks learn as a whole.")
    ] = 8,
    rate: Annotated[float, typer.Option(min=1e-6, metavar="R", help="Adam's first step.")] = 3e-4,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Tune the encoder on a pack, with forgeries made anew at every step.

    With --leave-out, prints what the encoder finds there before and after, as a Markdown table.
    """
    start_log(quiet, False)
    from dataclasses import replace

    from vidscan.training.encoder import shipped_start
    from vidscan.training.figures import markdown
    from vidscan.training.pack import read_pack
    from vidscan.training.tune_run import judge, tune_encoder
    from vidscan.training.tuning import TuneRecipe

    recipe = TuneRecipe()
    recipe = replace(
        recipe,
        first=first,
        rank=rank,
        rate=rate,
        film=larger * recipe.film,
        stills=larger * recipe.stills,
        pairs=larger * recipe.pairs,
    )
    before, crops = start or shipped_start(), read_pack(pack)
    tuned = tune_encoder(
        crops,
        before,
        work,
        recipe,
        minutes=minutes,
        steps=steps,
        leave_out=leave_out or (),
        device=device,
        say=lambda line: say(line, quiet=quiet),
    )
    if leave_out:
        found = judge(crops, {"before": before, "tuned": tuned}, recipe, leave_out, device)
        typer.echo(markdown(found), nl=False)
    else:
        typer.echo(tuned)

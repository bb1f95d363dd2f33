"""``vidscan train faces``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli.console import stages, start_log
from vidscan.cli.train_options import Corpus, Jobs, Quiet


def faces(
    corpus: Corpus,
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="Folder of the data set.")],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Crops of each clip.")] = 8,
    size: Annotated[int, typer.Option(min=32, max=1024, metavar="PX", help="Side of a crop.")] = 224,
    margin: Annotated[
        float, typer.Option(min=1.0, max=4.0, metavar="TIMES", help="Side of a crop, in faces.")
    ] = 1.4,
    jobs: Jobs = 0,
    quiet: Quiet = False,
) -> None:
    """Cut a data set of face crops from CORPUS, in parts that share no person.

    Writes <part>/<class>/*.png, a table of all crops, counts by class, and a contact sheet of every part;
    prints the counts. A run that was stopped goes on.
    """
    start_log(quiet, False)
    from vidscan.faces.align import CropSpec
    from vidscan.training.faces import build_faces, counts_table

    with stages(quiet=quiet) as stage:
        crops = build_faces(
            corpus, out, count=count, spec=CropSpec(size=size, margin=margin), jobs=jobs, stage=stage
        )
    typer.echo(counts_table(crops), nl=False)

"""``vidscan inspect``: every measured series of a clip."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import Outputs


@options.scans("max_pixels", "max_duration_s", "stream", "blink_rule")
def inspect(
    run: options.Run,
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A video that shows a face.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT.png", help="Plot the series (extra plot)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.png.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how the faces of a clip move, and what its container says of it.

    Prints the metadata and a summary of every measured series; with -o plots the series, and prints the
    picture's path unless --json is given too.
    """
    if clip.is_dir():
        raise UsageError(f"{clip} is a folder")
    if output is not None:
        inputs = options.inputs([clip], config=run.config)
        Outputs(inputs, overwrite=overwrite).new("--output", output, ".png")

        from vidscan.report.pyplot import load_pyplot

        load_pyplot()  # before the scan, not after

    import json as json_module

    from vidscan.errors import NoFaceError, NotWrittenError
    from vidscan.explain import raise_error
    from vidscan.media.metadata import read_metadata
    from vidscan.report.series_summary import summarise, summary_lines

    metadata = read_metadata(clip, run.settings().stream)
    scanner = run.scanner()
    with Progress(1, quiet=run.quiet) as progress:
        report, series = scanner.examine(clip, progress=partial(progress.within, 0))
    raise_error(report)
    unwritten = None
    if output is not None:
        from vidscan.report.series_plot import plot_series

        if not report.tracks:
            raise NoFaceError(f"{report.input.path}: no face found, so there is nothing to plot")
        try:
            plot_series(report, series, output, metadata)
        except OSError as error:
            unwritten = NotWrittenError(f"cannot write {output}: {error.strerror or error}")
    if unwritten is None and output is not None and not json:
        typer.echo(str(output))
        return
    summary = summarise(report, series, metadata)
    if json:
        typer.echo(json_module.dumps(summary))
    else:
        typer.echo("\n".join(summary_lines(summary)))
    if unwritten is not None:
        raise unwritten

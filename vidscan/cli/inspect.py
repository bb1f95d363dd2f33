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
    series: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write every measured value with its time: .csv, .json or .parquet."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.png and FILE.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    forensics: options.Forensics = False,
) -> None:
    """Show how the faces of a clip move, and what its container says of it.

    Prints the metadata and a summary of every measured series. With -o plots the series, with --series
    writes them out, one row per frame and face; then their paths are printed unless --json is given too.
    """
    if clip.is_dir():
        raise UsageError(f"{clip} is a folder")
    outputs = Outputs(options.inputs([clip], config=run.config), overwrite=overwrite)
    if output is not None:
        outputs.new("--output", output, ".png")

        from vidscan.report.pyplot import load_pyplot

        load_pyplot()  # before the scan, not after
    if series is not None:
        outputs.new("--series", series)

        from vidscan.report.series_table import writer

        writer(series)

    import json as json_module

    with run.loading():
        from vidscan.errors import NoFaceError, NotWrittenError
        from vidscan.explain import raise_error
        from vidscan.media.metadata import read_metadata
        from vidscan.report.series_plot import plot_series
        from vidscan.report.series_summary import summarise, summary_lines
        from vidscan.report.series_table import write_series

        metadata = read_metadata(clip, run.settings().stream)
        scanner = run.scanner(forensics=forensics)
    with Progress(1, quiet=run.quiet) as progress:
        report, found = scanner.examine(clip, progress=partial(progress.within, 0))
    raise_error(report)
    if (output is not None or series is not None) and not report.tracks:
        raise NoFaceError(f"{report.input.path}: no face found, so there is nothing to write")
    unwritten = None
    written = []
    for target, write in (
        (output, lambda path: plot_series(report, found, path, metadata)),
        (series, lambda path: write_series(report, found, path)),
    ):
        if target is None:
            continue
        try:
            write(target)
        except OSError as error:
            unwritten = NotWrittenError(f"cannot write {target}: {error.strerror or error}")
        else:
            written.append(target)
    if json or unwritten is not None or not written:
        summary = summarise(report, found, metadata)
        typer.echo(json_module.dumps(summary) if json else "\n".join(summary_lines(summary)))
    else:
        typer.echo("\n".join(map(str, written)))
    if unwritten is not None:
        raise unwritten

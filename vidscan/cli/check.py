"""``vidscan check``: one or a few clips."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress, start_log
from vidscan.cli.failures import UsageError


def check(
    context: typer.Context,
    clips: Annotated[list[str], typer.Argument(metavar="CLIP", help="Videos or pictures; - reads paths.")],
    format: Annotated[
        options.Format, typer.Option(envvar="VIDSCAN_FORMAT", help="How to print the verdicts.")
    ] = options.Format.text,
    json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    frames: Annotated[bool, typer.Option("--frames", help="Report every frame as well.")] = False,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write a mask picture for every frame with a face."
        ),
    ] = None,
    every: options.Every = 0,
    max_pixels: options.MaxPixels = None,
    max_duration: options.MaxDuration = None,
    device: options.Device = "auto",
    exit_zero: options.ExitZero = False,
    fail_on: options.FailOn = "manipulated",
    null: options.Null = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    config: options.Config = None,
) -> None:
    """Scan one or a few clips or pictures.

    One clip with --json prints one object, several print one object a line.
    """
    start_log(quiet, verbose)
    outcome = options.Outcome(fail_on, exit_zero)
    paths = [Path(text) for text in options.expand_paths(clips, null)]
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: use vidscan scan")
    if masks is not None:
        try:
            masks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--masks {masks}: {error.strerror}") from error

    from vidscan.report import open_writer
    from vidscan.report.masks import MaskWriter
    from vidscan.scanner import Scanner

    settings = options.scan_settings(context, every, max_pixels, max_duration)
    scanner = Scanner(settings, device=device)
    sink = None if masks is None else MaskWriter(masks, every=scanner.settings.every)
    writer = open_writer("json" if json else format.value, sys.stdout, many=len(paths) > 1)
    with Progress(len(paths), quiet=quiet) as progress:
        for done, path in enumerate(paths):
            report = scanner.scan(
                path,
                masks=sink,
                frames=frames or sink is not None,
                progress=partial(progress.within, done),
            )
            with progress.hidden():
                writer.write(report)
            outcome.add(report)
    raise typer.Exit(outcome.exit_code)

"""``vidscan scan``: folders of clips."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress, say, start_log
from vidscan.cli.failures import UsageError


def scan(
    context: typer.Context,
    folders: Annotated[list[str], typer.Argument(metavar="FOLDER", help="Folders; - reads paths.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write here instead of stdout.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out where it stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin --out anew.")] = False,
    format: Annotated[
        options.BatchFormat, typer.Option(help="One line a clip in this format.")
    ] = options.BatchFormat.jsonl,
    jobs: Annotated[
        int,
        typer.Option(envvar="VIDSCAN_JOBS", min=0, metavar="N", help="Worker processes (0: as many as fit)."),
    ] = 0,
    timeout: Annotated[
        float,
        typer.Option(envvar="VIDSCAN_TIMEOUT", min=0, metavar="S", help="Seconds a file may take (0: any)."),
    ] = 0.0,
    recursive: Annotated[bool, typer.Option(help="Look into folders in folders.")] = True,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only files that match; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="No files that match; may be repeated.")
    ] = None,
    every: options.Every = 0,
    device: options.Device = "auto",
    exit_zero: options.ExitZero = False,
    fail_on: options.FailOn = "manipulated",
    null: options.Null = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    config: options.Config = None,
) -> None:
    """Scan all clips and pictures in folders.

    Prints one line per file as soon as it is finished. Files are known by their content: the
    same content under two names is scanned once and reported twice. With --resume, what --out
    holds for the same models and settings is not scanned again.
    """
    start_log(quiet, verbose)
    outcome = options.Outcome(fail_on, exit_zero)
    if out is None and (resume or overwrite):
        raise UsageError("--resume and --overwrite need --out FILE")
    roots = options.expand_paths(folders, null)

    from vidscan.batch.discover import discover
    from vidscan.batch.engine import ScannerSpec
    from vidscan.batch.local import LocalEngine
    from vidscan.batch.results import ResultFile
    from vidscan.batch.run import scan_all
    from vidscan.batch.summary import Summary
    from vidscan.report import open_writer
    from vidscan.types import Report

    spec = ScannerSpec(settings=options.scan_settings(context, every), device=device)
    summary, started = Summary(), time.monotonic()
    with ExitStack() as stack:
        results = None
        if out is not None:
            results = stack.enter_context(
                ResultFile(out, format=format.value, resume=resume, overwrite=overwrite)
            )
        paths = discover(roots, recursive=recursive, include=include or (), exclude=exclude or ())
        if not paths:
            say("vidscan: no video or picture found", quiet=quiet)
            raise typer.Exit
        engine = stack.enter_context(LocalEngine(spec, jobs=jobs, timeout_s=timeout))
        progress = stack.enter_context(Progress(len(paths), quiet=quiet))
        writer = open_writer(format.value, sys.stdout, many=True)

        def skipped(report: Report) -> None:
            summary.add(report, skipped=True)
            outcome.add(report)
            progress.advance()

        for report in scan_all(paths, engine, results, skipped=skipped):
            if results is None:
                with progress.hidden():
                    writer.write(report)
            summary.add(report)
            outcome.add(report)
            progress.advance()
    say(summary.table(time.monotonic() - started), quiet=quiet)
    raise typer.Exit(outcome.exit_code)

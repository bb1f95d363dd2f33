"""``vidscan scan``: folders of clips."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidscan.cli import options
from vidscan.cli.console import Paced, Progress, say
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import PAGE_NAMES, Outputs
from vidscan.errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from vidscan.batch.engine import Engine, Location, ScannerSpec
    from vidscan.batch.watch import FolderWatch
    from vidscan.types import Report

TIMEOUT_S = 3600.0
MAX_MEMORY_MB = 6000
_MAX_DOWNLOAD_MB = 4000

Jobs = Annotated[
    int, typer.Option(envvar="VIDSCAN_JOBS", min=0, metavar="N", help="Worker processes (0: as many as fit).")
]
Timeout = Annotated[
    float,
    typer.Option(envvar="VIDSCAN_TIMEOUT", min=0, metavar="S", help="Seconds a file may take (0: any)."),
]
MaxMemory = Annotated[
    int,
    typer.Option(envvar="VIDSCAN_MAX_MEMORY", min=0, metavar="MB", help="Memory a worker may hold (0: any)."),
]


class EngineName(str, Enum):
    """Where the workers run."""

    local = "local"
    ray = "ray"


@options.scans(*options.FOR_VERDICTS, here=False)
def scan(
    run: options.Run,
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER", help="Folders, files or URLs; - reads paths.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write here instead of stdout.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out where it stopped.")] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="With --resume: scan files again that had errors.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin --out anew; replace media of others.")
    ] = False,
    format: Annotated[
        options.LineFormat, typer.Option(help="One line per clip in this format.")
    ] = options.JSONL,
    jobs: Jobs = 0,
    timeout: Timeout = TIMEOUT_S,
    max_memory: MaxMemory = MAX_MEMORY_MB,
    max_download: Annotated[
        int, typer.Option(envvar="VIDSCAN_MAX_DOWNLOAD", min=1, metavar="MB", help="Largest remote file.")
    ] = _MAX_DOWNLOAD_MB,
    index: Annotated[
        Path | None,
        typer.Option(metavar="OUT.html", dir_okay=False, help="Also write a page that lists every file."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Also write a page for every file; --index links to them."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on scanning what arrives in the folders, until Ctrl-C; needs --index or --out.",
        ),
    ] = False,
    recursive: Annotated[bool, typer.Option(help="Look into folders in folders.")] = True,
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only files that match; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="No files that match; may be repeated.")
    ] = None,
    forensics: options.Forensics = False,
    engine: Annotated[
        EngineName,
        typer.Option(envvar="VIDSCAN_ENGINE", help="Workers on this machine, or on a Ray cluster."),
    ] = EngineName.local,
    ray_address: Annotated[
        str,
        typer.Option(
            envvar="VIDSCAN_RAY_ADDRESS", metavar="ADDR", help="Ray cluster to join; empty starts one here."
        ),
    ] = "",
    gpus: Annotated[
        float,
        typer.Option(min=0, metavar="SHARE", help="GPUs that each Ray worker claims, such as 0.25."),
    ] = 0.0,
    exit_zero: options.ExitZero = False,
    fail_on: options.FailOn = "manipulated",
    null: options.Null = False,
) -> None:
    """Scan all clips and pictures in folders.

    Prints one line per file as soon as it is finished. Files are known by their content: the
    same content under two names is scanned once and reported twice. With --resume, what --out
    holds for the same models and settings is not scanned again, and the exit code covers all of it.
    With --watch results go to --out, by default beside --index, and a run that is started again goes on.
    """
    outcome = options.Outcome(fail_on, exit_zero)
    if watch:
        out = _watched_results(out, index, format, engine)
        resume = resume or (out.exists() and not overwrite)
    if out is None and (resume or (overwrite and index is None)):
        raise UsageError("--resume and --overwrite need --out FILE")
    if retry_errors and not resume:
        raise UsageError("--retry-errors needs --resume")
    if engine is EngineName.local and (ray_address or gpus):
        raise UsageError("--ray-address and --gpus need --engine ray")
    roots = options.locations(options.expand_paths(folders, null))
    if report is not None:
        _check_pages(report, index, engine, roots)
    if watch and not all(isinstance(root, Path) and root.is_dir() for root in roots):
        raise UsageError("--watch needs folders on this machine")

    from vidscan.batch.discover import discover
    from vidscan.batch.engine import ScannerSpec
    from vidscan.batch.results import ResultFile
    from vidscan.batch.scan import Batch
    from vidscan.batch.summary import Summary
    from vidscan.report import open_writer
    from vidscan.report.words import escape, headline

    asked: dict[str, Any] = {"forensics": True} if forensics else {}
    spec = ScannerSpec(
        settings=run.settings(), device=run.device, max_download=max_download * 1_000_000, options=asked
    )
    if report is not None:
        asked["folder"] = str(report.absolute())
        spec = replace(spec, factory="vidscan.batch.pages:PageScanner")

    def make_engine() -> AbstractContextManager[Engine]:
        if engine is EngineName.ray:
            return _ray_engine(spec, jobs, timeout, max_memory, ray_address, gpus)
        from vidscan.batch.local import LocalEngine

        return LocalEngine(spec, jobs=jobs, timeout_s=timeout, max_memory=max_memory * 1_000_000)

    summary, started = Summary(), time.monotonic()
    listed: dict[object, Report] = {}
    chosen: dict[str, Any] = {"recursive": recursive, "include": include or (), "exclude": exclude or ()}
    with ExitStack() as stack:
        folders_watch = None
        if watch:
            from vidscan.batch.watch import FolderWatch

            local = [root for root in roots if isinstance(root, Path)]
            folders_watch = stack.enter_context(FolderWatch(local, **chosen))
        paths = [] if watch else discover(roots, **chosen)
        _protect(paths, out, index, report, run.config, overwrite)
        results = None
        if out is not None:
            results = stack.enter_context(
                ResultFile(
                    out, format=format.value, resume=resume, overwrite=overwrite, retry_errors=retry_errors
                )
            )
        if not paths and not watch:
            raise UsageError("no video or picture found")
        workers = stack.enter_context(make_engine())
        progress = stack.enter_context(Progress(len(paths), quiet=run.quiet or watch, rate=True))
        writer = open_writer(format.value, sys.stdout, many=True)

        def kept(found: Report) -> None:
            summary.add(found, skipped=True)
            outcome.add(found)
            list_up(found)

        def list_up(found: Report) -> None:
            if index is not None:
                # Of a file that arrived again, only what it holds now.
                key = found.input.path if watch else len(listed)
                listed[key] = replace(found, frames=(), segments=())

        def skipped(found: Report) -> None:
            progress.advance()

        def write_page() -> None:
            if index is not None:
                _write_index([*listed.values()], index, report, watched=watch)

        batch = Batch(workers, results, paths, kept=kept)
        page = Paced(write_page)
        if watch:
            page.due()
            say(f"vidscan: watching {', '.join(folders)}; Ctrl-C ends it", quiet=run.quiet)
            stack.callback(page.now)
        for arrived in _rounds(paths, folders_watch):
            for found in batch.scan(arrived, skipped=skipped):
                if results is None:
                    with progress.hidden():
                        writer.write(found)
                summary.add(found)
                outcome.add(found)
                list_up(found)
                progress.advance()
                if watch:
                    say(f"vidscan: {escape(found.input.path)}: {headline(found)}", quiet=run.quiet)
                    page.due()
            page.now()
    say(summary.table(time.monotonic() - started), quiet=run.quiet)
    raise typer.Exit(outcome.exit_code)


def _watched_results(
    out: Path | None, index: Path | None, format: options.LineFormat, engine: EngineName
) -> Path:
    """Where the results of a watch go: a run that is started again reads them."""
    if format is not options.JSONL or engine is not EngineName.local:
        raise UsageError("--watch needs --format jsonl and --engine local")
    if out is not None:
        return out
    if index is None:
        raise UsageError("--watch needs --index OUT.html or --out FILE")
    return index.with_suffix(".jsonl")


def _rounds(paths: Sequence[Location], watch: FolderWatch | None) -> Iterator[Sequence[Location]]:
    """The files to scan, all at once; of a watch as they arrive, without end."""
    yield paths
    while watch is not None:
        yield watch.wait()


def _protect(
    paths: Sequence[Location],
    out: Path | None,
    index: Path | None,
    pages: Path | None,
    config: Path | None,
    overwrite: bool,
) -> None:
    """Refuse outputs that would replace what is scanned."""
    local = (path for path in paths if isinstance(path, Path))
    outputs = Outputs(options.inputs(local, config=config), overwrite=overwrite)
    if out is not None:
        outputs.file("--out", out)
        outputs.file("--out", out.with_name(out.name + ".lock"))
    if index is not None:
        outputs.file("--index", index)
    if pages is not None:
        outputs.folder("--report", pages, PAGE_NAMES)


def _check_pages(folder: Path, index: Path | None, engine: EngineName, roots: Sequence[Location]) -> None:
    """Refuse what pages cannot be written for, and make their folder."""
    if engine is not EngineName.local:
        raise UsageError("--report needs --engine local: other machines would keep the pages")
    if any(not isinstance(root, Path) for root in roots):
        raise UsageError("--report needs files on this machine, not URLs")
    if index is not None and folder.absolute().drive != index.absolute().drive:
        raise UsageError("--report and --index must be on one drive, for links to hold")
    options.make_folder(folder, "--report")


def _write_index(listed: Sequence[Report], index: Path, pages: Path | None, *, watched: bool) -> None:
    from vidscan.report.index import WrittenPages, write_index

    links: dict[int, str] = {}
    if pages is not None:
        written, way = WrittenPages(pages), Path(os.path.relpath(pages, index.parent))
        names = ((n, written.find(report)) for n, report in enumerate(listed))
        links = {n: (way / name).as_posix() for n, name in names if name is not None}
    try:
        rows = ((report, links.get(n)) for n, report in enumerate(listed))
        write_index(rows, index, updated=datetime.now().astimezone() if watched else None)
    except OSError as error:
        raise NotWrittenError(f"--index {index}: {error.strerror}") from error


def _ray_engine(
    spec: ScannerSpec, jobs: int, timeout: float, max_memory: int, address: str, gpus: float
) -> AbstractContextManager[Engine]:
    from vidscan.batch.ray_engine import RayEngine

    return RayEngine(
        spec, jobs=jobs, timeout_s=timeout, max_memory=max_memory * 1_000_000, address=address, gpus=gpus
    )

"""``vidscan people``: who is enrolled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidscan.cli import failures, options
from vidscan.cli.config import SETTINGS_FILE
from vidscan.cli.console import Progress, start_log
from vidscan.cli.enroll import Dir, complain, longest, shown
from vidscan.cli.outputs import Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vidscan.scanner import Scanner

app = typer.Typer(
    help="List, remove or draw the people that vidscan enroll has learnt.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def people() -> None:
    """List, remove or draw the people that vidscan enroll has learned."""


@app.command("list")
def list_people(
    dir: Dir = None,
    json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> None:
    """List the people with the material that was learned.

    Files that cannot be used are reported, and the exit code is 2.
    """
    import json as json_module

    from vidscan.people.store import PeopleStore, record_dict

    records, problems = PeopleStore(dir).records()
    for record in records:
        if json:
            line = json_module.dumps(record_dict(record), ensure_ascii=False)
        else:
            line = (
                f"{record.name:<28} {record.seconds:7.1f} s {record.windows:6} windows of "
                f"{record.window_s:>2g} s {record.clips:4} clips {record.calibration:4} left out  "
                f"{record.created}"
            )
        typer.echo(line)
    for problem in problems:
        complain(problem)
    raise typer.Exit(failures.USAGE if problems else failures.OK)


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="The person.")], dir: Dir = None) -> None:
    """Delete all that is stored of a person."""
    from vidscan.people.store import PeopleStore

    PeopleStore(dir).remove(name)
    typer.echo(f"removed {name}")


@app.command()
def plot(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", dir_okay=False, help="The picture (PNG).")
    ],
    clips: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CLIP]...", help="Clips to draw before everybody, by name."),
    ] = None,
    genuine: Annotated[
        list[Path] | None,
        typer.Option(metavar="CLIP", help="A genuine clip of anybody, as background; may be repeated."),
    ] = None,
    dir: Dir = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
) -> None:
    """Draw the windows of everybody as a t-SNE map: similar movement lies together.

    Clips that are named stand out before the enrolled people. Needs the plot extra. People who were enrolled
    with different window lengths share the map. A clip that cannot be used is reported, and the exit code is
    3.
    """
    paths, background = clips or [], genuine or []
    Outputs(options.inputs([*paths, *background]), overwrite=overwrite).new("--output", output, ".png")

    import numpy as np

    from vidscan.people.store import PeopleStore, PersonError
    from vidscan.report.people_plot import plot_people

    store = PeopleStore(dir)
    records, problems = store.records()
    vectors = {}
    for record in records:
        try:
            vectors[record.name] = store.load(record.name).vectors
        except PersonError as error:
            problems.append(error)
    for problem in problems:
        complain(problem)
    drawn: dict[Path, NDArray[np.float64]] = {}
    if paths or background:
        start_log(quiet, False)
        settings, file = dict(context.find_root().obj or {}), context.meta.get(SETTINGS_FILE)
        run = options.Run(settings, device, quiet, None, threads, file)
        with run.loading():
            scanner = run.scanner()
        drawn = _windows(scanner, [*paths, *background], quiet)
    behind = [drawn[path] for path in background if path in drawn]
    plot_people(
        vectors,
        output,
        clips={path.name: drawn[path] for path in paths if path in drawn},
        genuine=np.concatenate(behind) if behind else None,
    )
    typer.echo(output)
    if len(drawn) < len({*paths, *background}):
        raise typer.Exit(failures.FAILED)
    raise typer.Exit(failures.USAGE if problems else failures.OK)


def _windows(scanner: Scanner, paths: Sequence[Path], quiet: bool) -> dict[Path, NDArray[np.float64]]:
    """Features (W, 210) of the face that was followed longest in each clip that has windows."""
    from vidscan.behavior.series import seen_seconds
    from vidscan.errors import InputError
    from vidscan.people.model import TooLittleMaterialError
    from vidscan.people.windows import WINDOWS_S, cut_windows

    found = {}
    with Progress(len(paths), quiet=quiet) as progress:
        for number, path in enumerate(paths):
            try:
                series = longest(path, scanner.series(path))
                cuts = (cut_windows(series, window_s) for window_s in WINDOWS_S)
                windows = next(filter(len, cuts), None)
                if windows is None:
                    raise TooLittleMaterialError(
                        f"{shown(path)}: a face was followed for {seen_seconds(series):.1f} s, and in no "
                        f"window of {min(WINDOWS_S):g} s throughout"
                    )
                found[path] = windows.features
            except InputError as error:
                with progress.hidden():
                    complain(error)
            progress.within(number, 1.0)
    return found

"""``vidscan enroll``: learns how one person moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidscan.cli import failures, options
from vidscan.cli.console import Progress, say
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import Outputs
from vidscan.errors import InputError, NoFaceError, VidscanError

if TYPE_CHECKING:
    from vidscan.people.model import PersonModel
    from vidscan.types import FaceSeries


class Window(str, Enum):
    """Window lengths in seconds; those of :data:`vidscan.people.windows.WINDOWS_S`."""

    ten = "10"
    five = "5"


_NO_WINDOW = "nothing was learned from it: it holds no whole {:g} s in which the face is followed and moves"

Dir = Annotated[
    Path | None,
    typer.Option(
        envvar="VIDSCAN_PEOPLE",
        metavar="DIR",
        file_okay=False,
        show_default="the user's data folder",
        help="Where enrolled people are kept.",
    ),
]


@options.scans()
def enroll(
    run: options.Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person, as check --person names them.")],
    clips: Annotated[
        list[Path], typer.Argument(metavar="CLIP", help="Genuine clips in which the person talks.")
    ],
    dir: Dir = None,
    min_seconds: Annotated[
        float, typer.Option(min=0, metavar="S", help="Refuse to learn from less material.")
    ] = 60.0,
    window: Annotated[Window, typer.Option(help="Seconds over which movements are correlated.")] = Window.ten,
    track: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            metavar="ID",
            show_default="the longest",
            help="Learn from this track; with several clips once for each, in their order.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a person who is enrolled already.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Learn how one person moves, for check --person.

    Only numbers about movement are kept, no picture. A clip that cannot be used is reported, the
    others still count, and the exit code is 3.
    """
    if track and len(track) != len(clips):
        raise UsageError(f"--track is given {len(track)} times for {len(clips)} clips: once for each, or not")

    import json as json_module

    from vidscan.people.store import PeopleStore, check_name, record_dict

    name, store = check_name(name), PeopleStore(dir)
    outputs = Outputs(options.inputs(clips, config=run.config))
    outputs.folder("--dir", store.folder, store.names(name))
    if name in store and not overwrite:
        raise UsageError(f"{name} is enrolled in {store.folder}: use --overwrite")
    with run.loading():
        from vidscan.people.model import PersonModel, TooLittleMaterialError
        from vidscan.people.windows import cut_windows

        scanner = run.scanner()
    with Progress(len(clips), quiet=run.quiet) as progress:
        used, failed = _learnable(scanner.series, clips, track, progress, run.quiet)
    if not used and failed:
        raise typer.Exit(failures.FAILED)
    seconds = float(window.value)
    empty = [path for path, series in used if not len(cut_windows(series, seconds))]
    if len(empty) < len(used):  # else nothing is learned, which says why
        for path in empty:
            complain(TooLittleMaterialError(f"{shown(path)}: {_NO_WINDOW.format(seconds)}"))
            failed = True
    model = PersonModel.fit(name, [series for _, series in used], window_s=seconds, min_seconds=min_seconds)
    record = store.save(model)
    typer.echo(json_module.dumps(record_dict(record), ensure_ascii=False) if json else _learnt(model))
    raise typer.Exit(failures.FAILED if failed else failures.OK)


def _learnable(
    find: Callable[[Path], Sequence[FaceSeries]],
    clips: Sequence[Path],
    tracks: Sequence[int] | None,
    progress: Progress,
    quiet: bool,
) -> tuple[list[tuple[Path, FaceSeries]], bool]:
    """Clips with the person's track, and whether some clip had none."""
    from vidscan.models import file_sha256

    found: list[tuple[Path, FaceSeries]] = []
    failed = False
    known: dict[str, Path] = {}
    for number, path in enumerate(clips):
        try:
            series = _choose(path, find(path), tracks[number] if tracks else None)
        except InputError as error:
            failed = True
            with progress.hidden():
                complain(error)
        else:
            # Twice the same would be left out of calibration once, and still be known.
            first = known.setdefault(file_sha256(path), path)
            if first is path:
                found.append((path, series))
            else:
                with progress.hidden():
                    say(f"vidscan: {shown(path)} is the same as {shown(first)}: counted once", quiet=quiet)
        progress.within(number, 1.0)
    return found, failed


def _choose(path: Path, tracks: Sequence[FaceSeries], wanted: int | None) -> FaceSeries:
    """The wanted track, or the one that was followed longest."""
    if wanted is None or not tracks:
        return longest(path, tracks)
    for series in tracks:
        if series.track_id == wanted:
            return series
    ids = ", ".join(str(series.track_id) for series in tracks)
    raise NoFaceError(f"{shown(path)}: no track {wanted} (there are: {ids})")


def longest(path: Path, tracks: Sequence[FaceSeries]) -> FaceSeries:
    """The track of a clip that was followed longest; raises NoFaceError where there is none."""
    from vidscan.behavior.series import seen_seconds

    if not tracks:
        raise NoFaceError(f"{shown(path)}: no face found")
    return max(tracks, key=seen_seconds)


def shown(path: Path) -> str:
    """A path as people read it."""
    from vidscan.paths import path_names

    return path_names(path).path


def _learnt(model: PersonModel) -> str:
    """What was learned, for people; one clip alone cannot say how the person differs from day to day."""
    n = len(model.statistics)
    how = {
        "clips": f"calibrated on {n} clips, each left out in turn",
        "blocks": f"calibrated on {n} parts, most of them blocks of one clip: more clips would tell more",
        "nothing": "not calibrated: there is nothing that could be left out, so p-values are 1",
    }[model.left_out]
    clips = "1 clip" if model.clips == 1 else f"{model.clips} clips"
    return (
        f"{model.name}: learned {model.seconds:.1f} s in {model.windows} windows of {model.window_s:g} s "
        f"from {clips}; {how}"
    )


def complain(error: VidscanError) -> None:
    """Says one error in one line on stderr, and goes on."""

    def fail() -> None:
        raise error

    failures.guard(fail)

"""``vidscan check``: one or a few clips."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress, say
from vidscan.cli.enroll import Dir
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import OVERLAY_NAMES, PAGE_NAMES, Outputs
from vidscan.paths import is_folder


class MasksFormat(str, Enum):
    """How masks are written."""

    png = "png"
    video = "video"


@options.scans(*options.FOR_VERDICTS)
def check(
    run: options.Run,
    clips: Annotated[list[str], typer.Argument(metavar="CLIP", help="Videos or pictures; - reads paths.")],
    format: Annotated[
        options.Format, typer.Option(envvar="VIDSCAN_FORMAT", help="How to print the verdicts.")
    ] = options.TEXT,
    json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    frames: Annotated[bool, typer.Option("--frames", help="Report every frame as well.")] = False,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write a mask picture for every frame with a face."
        ),
    ] = None,
    masks_format: Annotated[
        MasksFormat | None,
        typer.Option(show_default="png", help="Masks as pictures, or as one lossless video a clip."),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.mp4", help="Write the clip with the result drawn on it; several clips: a folder."
        ),
    ] = None,
    pose: Annotated[bool, typer.Option("--pose", help="Draw the head's box into --overlay.")] = False,
    gaze: Annotated[bool, typer.Option("--gaze", help="Draw where the eyes look into --overlay.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="OUT.html", help="Write a page for people to read; several clips: a folder."),
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="NAME", help="Also compare with this enrolled person.")
    ] = None,
    track: Annotated[
        int | None,
        typer.Option(min=0, metavar="ID", show_default="the longest", help="The track to compare."),
    ] = None,
    dir: Dir = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace media of others that --overlay or --report name."),
    ] = False,
    every: Annotated[
        int,
        typer.Option(
            envvar="VIDSCAN_EVERY", min=1, metavar="N", help="Masks and --frames of every N-th frame only."
        ),
    ] = 1,
    forensics: options.Forensics = False,
    exit_zero: options.ExitZero = False,
    fail_on: options.FailOn = "manipulated",
    null: options.Null = False,
) -> None:
    """Scan one or a few clips or pictures.

    One clip with --json prints one object, several print one object a line.
    """
    from vidscan.batch.remote import is_remote

    outcome = options.Outcome(fail_on, exit_zero)
    given = options.expand_paths(clips, null)
    if not given:
        raise UsageError("no clip given")
    for text in given:
        if not text:
            raise UsageError("one of the paths is empty")
        if is_remote(text):
            raise UsageError(f"{text} is not on this machine: use vidscan scan")
    paths = [Path(text) for text in given]
    for path in paths:
        if is_folder(path):
            raise UsageError(f"{path} is a folder: use vidscan scan")
    if json and format.value not in ("text", "json"):
        raise UsageError(f"--json and --format {format.value} contradict each other")
    if frames and format.value == "csv":
        raise UsageError("--frames has no place in --format csv: use json or jsonl")
    if (pose or gaze) and overlay is None:
        raise UsageError("--pose and --gaze need --overlay")
    if masks_format is not None and masks is None:
        raise UsageError("--masks-format needs --masks")
    if track is not None and person is None:
        raise UsageError("--track needs --person")
    several = len(paths) > 1
    outputs = Outputs(options.inputs(paths, config=run.config), overwrite=overwrite)
    if masks is not None:
        outputs.masks("--masks", masks)
    for name, target, names in (("--overlay", overlay, OVERLAY_NAMES), ("--report", report, PAGE_NAMES)):
        if target is None:
            continue
        if several:
            outputs.folder(name, target, names)
        elif is_folder(target):
            raise UsageError(f"{target} is a folder: of one clip {name} needs the name of a file")
        elif name == "--overlay" and target.suffix.lower() not in (".mp4", ".png"):
            raise UsageError(f"{target}: --overlay writes .mp4, or .png of a picture")
        elif name == "--report" and target.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"{target}: --report writes .html")
        else:
            outputs.file(name, target)

    with run.loading():
        from vidscan.cli.products import Products, Wanted
        from vidscan.people.store import PeopleStore
        from vidscan.report import open_writer

        known = None if person is None else PeopleStore(dir).load(person)
        scanner = run.scanner(forensics=forensics)
    wanted = Wanted(
        masks,
        (masks_format or MasksFormat.png).value,
        every,
        overlay,
        pose,
        gaze,
        report,
        several,
        overwrite,
        known,
        track,
    )
    writer = open_writer("json" if json else format.value, sys.stdout, many=several)
    with Products(scanner, wanted) as products, Progress(len(paths), quiet=run.quiet) as progress:
        for done, path in enumerate(paths):
            found = products.make(path, partial(progress.within, done), frames=frames)
            with progress.hidden():
                shown = frames or masks is not None
                rows = tuple(frame for frame in found.frames if shown and frame.index % every == 0)
                writer.write(replace(found, frames=rows))
                for note in products.notes:
                    say(f"vidscan: {note}", quiet=run.quiet)
            outcome.add(found)
    raise typer.Exit(outcome.exit_code)

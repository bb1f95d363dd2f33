"""``vidscan forge``: a forged clip with its mask, for tests and demonstrations."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress, loading, say, start_log
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import Outputs
from vidscan.forge.kinds import KINDS, Kind

_KINDS = "; ".join(
    f"{kind.value}: {about.does}{' (--donor)' if about.donor else ''}" for kind, about in KINDS.items()
)


def forge(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A video or picture that shows a face.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FAKE", help="Forged .mp4, .mov, .mkv or .png.")
    ],
    kind: Annotated[Kind, typer.Option(help=_KINDS + ".")],
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all that is drawn.")] = 0,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Mask, .mkv or .png (FAKE-mask beside FAKE).")
    ] = None,
    donor: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture or clip whose face a swap pastes.")
    ] = None,
    start: Annotated[float, typer.Option(min=0, metavar="S", help="Forge from S seconds on.")] = 0.0,
    end: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Forge up to S seconds (to the end).")
    ] = None,
    track: Annotated[
        int | None, typer.Option(min=0, metavar="ID", help="Forge this track, not the largest.")
    ] = None,
    all_faces: Annotated[bool, typer.Option("--all-faces", help="Forge every face.")] = False,
    crf: Annotated[
        float, typer.Option(min=0, max=51, metavar="N", help="Quality of the encode, 0 is best.")
    ] = 18,
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="MediaPipe's face_landmarker.task, for better landmarks."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FAKE and the mask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    threads: options.Threads = 0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    config: options.Config = None,
) -> None:
    """Forge the face of a clip or picture, and write where it was forged.

    Prints the paths of the forgery and of its mask. Both say in their metadata that they are forged:
    label them wherever you show them.
    """
    start_log(quiet, verbose)
    if track is not None and all_faces:
        raise UsageError("--track and --all-faces exclude each other")
    if end is not None and end <= start:
        raise UsageError(f"--end {end:g} is not after --start {start:g}")

    import json as json_module
    from contextlib import ExitStack
    from dataclasses import asdict

    with loading(quiet=quiet, threads=threads):
        from vidscan.forge.clip import ClipForger, Plan
        from vidscan.forge.files import mask_path, write_forgery

    mask = mask or mask_path(output)
    inputs = options.inputs([clip], donor=donor, teacher=teacher, config=config)
    outputs = Outputs(inputs, overwrite=overwrite)
    outputs.new("--output", output)
    outputs.new("--mask", mask)
    plan = Plan(
        kind=kind,
        seed=seed,
        donor=donor,
        start_s=start,
        end_s=math.inf if end is None else end,
        track="all" if all_faces else "largest" if track is None else track,
    )
    with ExitStack() as stack:
        label = None
        if teacher is not None:
            from vidscan.training.teacher import Teacher

            labeller = Teacher(teacher)
            stack.callback(labeller.close)
            label = labeller.landmarks
        progress = stack.enter_context(Progress(1, quiet=quiet))
        forger = ClipForger(clip, plan, label=label, progress=partial(progress.within, 0))
        done = write_forgery(forger, clip, plan, output, mask, crf=crf)
    if done.sound is False:
        say("vidscan: the sound is of a codec that the forged clip's container cannot hold", quiet=quiet)
    typer.echo(json_module.dumps(asdict(done)) if json else f"{done.output}\n{done.mask}")

"""``vidscan adapt``: teaches a copy of the detector a new generator from a handful of its fakes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress, say, start_log
from vidscan.cli.failures import UsageError
from vidscan.cli.train_options import Device


def adapt(
    fakes: Annotated[
        list[Path], typer.Argument(metavar="FAKES...", help="Clips or pictures by one generator.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The new weights folder; must not exist.")
    ],
    genuine: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Genuine clip or picture of the same source, whose look is not learned; may be repeated.",
        ),
    ] = None,
    device: Device = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Adapt the encoder to a new generator from a handful of its fakes (5 to 50).

    Writes a new weights folder; VIDSCAN_WEIGHTS=DIR scans with it. Nothing shipped is changed.
    """
    start_log(quiet, False)
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder (--output)")
    if out.exists():
        raise UsageError(f"{out} exists: adapted weights go to a new folder (--output)")
    import json as json_module

    from vidscan.training.adapt_clips import adapt_to

    given = genuine or []
    with Progress(len(fakes) + len(given), quiet=quiet) as progress:
        done = adapt_to(fakes, out, genuine=given, device=device, advance=progress.advance)
    for path in done.left_out:
        say(f"vidscan: no face in {path}", quiet=quiet)
    if json:
        found = {
            "folder": str(done.folder),
            "encoder": done.encoder,
            "fakes": done.fakes,
            "before": round(done.before, 4),
            "after": None if done.after is None else round(done.after, 4),
            "known": [round(area, 4) for area in done.known],
            "left_out": [str(path) for path in done.left_out],
        }
        typer.echo(json_module.dumps(found))
        return
    after = "" if done.after is None else f", {done.after:.2f} from heads that did not see the file judged"
    typer.echo(
        f"learned from {done.fakes} fakes: {done.before:.2f} deviations above genuine clips before{after}"
    )
    typer.echo(f"generators known before: area {done.known[0]:.2f} before, {done.known[1]:.2f} after")
    typer.echo(f"VIDSCAN_WEIGHTS={done.folder} vidscan check CLIP")

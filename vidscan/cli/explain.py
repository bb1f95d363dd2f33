"""``vidscan explain``: which parts of a face speak for a manipulation."""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress
from vidscan.cli.failures import UsageError
from vidscan.cli.outputs import Outputs
from vidscan.errors import InputError, NotWrittenError

if TYPE_CHECKING:
    from vidscan.explain import Crop


class Method(str, Enum):
    """How a map is made."""

    patches = "patches"
    gradcam = "gradcam"
    saliency = "saliency"


_CROPS_A_SECOND = 8.0

_LEGENDS = {
    Method.patches: "Probability that a patch is manipulated",
    Method.gradcam: "Grad-CAM: evidence for a manipulation, as a share of the crop's peak",
    Method.saliency: "Saliency: how much a pixel moves the score, as a share of the crop's peak",
}


@options.scans()
def explain(
    run: options.Run,
    clips: Annotated[list[str], typer.Argument(metavar="CLIP...", help="A video or picture; - reads paths.")],
    method: Annotated[
        Method,
        typer.Option(help="patches: the classifier's answer; gradcam, saliency: by gradient (needs captum)."),
    ] = Method.patches,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="OUT.png", show_default="<clip>-<method>.png", help="Picture to write."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=12, metavar="N", help="Crops of each clip.")] = 5,
    at: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="The faces at this time, not the most telling ones."),
    ] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="The mean over the crops of all clips; takes several clips.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.png.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    null: options.Null = False,
) -> None:
    """Show which parts of a face speak for a manipulation.

    Writes a picture with the most telling crops beside their maps, and prints its path.
    """
    paths = [Path(text) for text in options.expand_paths(clips, null)]
    if not paths:
        raise UsageError("no clip given")
    if len(paths) > 1 and not mean:
        raise UsageError("several clips need --mean")
    if output is None:
        output = Path(f"{'mean' if len(paths) > 1 else paths[0].stem}-{method.value}.png")
    inputs = options.inputs(paths, config=run.config)
    Outputs(inputs, overwrite=overwrite).new("--output", output, ".png")

    import json as json_module

    with run.loading():
        from vidscan.explain import explain_crops, mean_of_clips, telling_crops
        from vidscan.media import write_png
        from vidscan.paths import path_names
        from vidscan.report.map_picture import Panel, compose
        from vidscan.report.words import count as count_words
        from vidscan.report.words import timecode

        # Patches alone are explained: how the face moves need not be measured, and more crops give a choice.
        rate = max(run.settings().analysis_fps, _CROPS_A_SECOND)
        scanner = run.scanner(behavior_fps=0.0, analysis_fps=rate)
    found: list[tuple[Path, list[Crop], Any]] = []
    failed: list[InputError] = []
    with Progress(len(paths), quiet=run.quiet) as progress:
        for done, path in enumerate(paths):
            try:
                crops = telling_crops(path, scanner, count, at_s=at, progress=partial(progress.within, done))
            except InputError as error:
                failed.append(error)
                continue
            found.append((path, crops, explain_crops(crops, scanner.classifier, method.value)))
    if not found:
        raise failed[0]
    if mean:
        face, map_ = mean_of_clips([(crops, maps) for _, crops, maps in found])
        total = sum(len(crops) for _, crops, _ in found)
        panels = [Panel(face, map_, (f"{count_words(total, 'crop')} of {count_words(len(found), 'clip')}",))]
        title = "Mean over a set"
    else:
        (path, crops, maps), *_ = found
        panels = [
            Panel(
                crop.pixels,
                map_,
                (f"face {crop.track_id}, {timecode(crop.time_s)}", f"score {crop.score:.3f}"),
            )
            for crop, map_ in zip(crops, maps, strict=True)
        ]
        title = path.name
    try:
        write_png(output, compose(panels, title, _LEGENDS[method]))
    except OSError as error:
        raise NotWrittenError(f"cannot write {output}: {error.strerror or error}") from error
    facts = {
        "output": path_names(output).path,
        "method": method.value,
        "clips": [
            {
                "path": path_names(path).path,
                "crops": [
                    {"track_id": c.track_id, "index": c.frame_index, "time_s": c.time_s, "score": c.score}
                    for c in crops
                ],
            }
            for path, crops, _ in found
        ],
    }
    typer.echo(json_module.dumps(facts) if json else facts["output"])
    if failed:
        problem = type(failed[0])(f"{failed[0]} ({len(failed)} of {len(paths)} clips left out of the mean)")
        problem.code = failed[0].code
        raise problem

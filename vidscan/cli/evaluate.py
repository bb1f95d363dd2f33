"""``vidscan evaluate``: how good the verdicts are on a labeled corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import stages
from vidscan.cli.failures import UsageError


@options.scans(here=False)
def evaluate(
    run: options.Run,
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
    ],
    split: Annotated[str, typer.Option(metavar="NAME", help="Split of the manifest to scan.")] = "dev",
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", file_okay=False, help="Keeps scans and derived clips; they are not made again."
        ),
    ] = Path("runs/evaluation"),
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also judge re-encoded, blurred and noisy clips.")
    ] = False,
    subset: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Genuine clips for --robustness, and --quality (30 of them), one manifest file name a line "
            "(shipped: 60 of dev).",
        ),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option("--quality", help="Also judge genuine clips that are too poor to judge, or nearly."),
    ] = False,
    innocent: Annotated[
        bool, typer.Option("--innocent", help="Also count false alarms on innocently edited clips.")
    ] = False,
    localisation: Annotated[
        bool,
        typer.Option(
            "--localisation", help="Also compare masks: on clips forged for it, and on same-footage pairs."
        ),
    ] = False,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="Also judge fully synthetic pictures of the train split.")
    ] = False,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps", help="Also draw where each method's fakes are seen.")
    ] = False,
    all: Annotated[bool, typer.Option("--all", help="Every part so far.")] = False,
    verdict: Annotated[bool, typer.Option("--verdict", help="Also compare groups of evidence.")] = False,
    people: Annotated[
        bool, typer.Option("--people", help="Also tell enrolled people from others (behavior.csv).")
    ] = False,
    forensics: Annotated[
        bool,
        typer.Option(
            "--forensics", help="Also measure the instruments of the shelf, on made material and the corpus."
        ),
    ] = False,
    behavior: Annotated[
        Path | None,
        typer.Option(
            metavar="TEACHER",
            exists=True,
            dir_okay=False,
            help="Also measure how faces are read, against MediaPipe's face_landmarker.task.",
        ),
    ] = None,
    skip_split: Annotated[
        bool,
        typer.Option(
            "--skip-split",
            help="Only --verdict, --people, --behavior, --forensics and --left-out: no scan of the split.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    plots: Annotated[bool, typer.Option("--plots", help="Draw curves and charts into --out.")] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Write the false-alarm rate (with --verdict the cross-fitted one) into the registry.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(min=0, metavar="N", help="Worker processes (0: as many as fit).")] = 0,
) -> None:
    """Scan a labeled corpus and print AUC, AP and false-alarm tables.

    CORPUS/manifest.csv names the clips, their labels, methods, families, people and pairs. Scans
    are kept in --out by content, models and settings, so that a run goes on where it stopped.
    """
    from vidscan.evaluation.run import Wanted, run_evaluation, to_json
    from vidscan.evaluation.scanning import Scanning

    if skip_split and (robustness or quality or innocent or localisation or heatmaps or subset or all):
        raise UsageError("--skip-split leaves out every part that needs the split's scan")
    wanted = Wanted(
        split=None if skip_split else split,
        subset=subset,
        robustness=robustness or all,
        quality=quality or all,
        innocent=innocent or all,
        localisation=localisation or all,
        heatmaps=heatmaps or all,
        verdict=verdict,
        people=people,
        forensics=forensics,
        left_out=left_out or all,
        behavior=behavior,
        record=record,
        plots=plots,
    )
    how = Scanning(run.settings(), run.device, jobs)
    with stages(quiet=run.quiet) as stage:
        data, text = run_evaluation(corpus, out, how, wanted, stage)
    typer.echo(to_json(data) if json else text, nl=False)

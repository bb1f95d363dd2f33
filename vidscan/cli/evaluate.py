"""``vidscan evaluate``: how good the verdicts are on a labelled corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import Progress, start_log


def evaluate(
    context: typer.Context,
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", exists=True, file_okay=False, help="Folder with manifest.csv.")
    ],
    split: Annotated[str, typer.Option(metavar="NAME", help="Split of the manifest to scan.")] = "dev",
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", file_okay=False, help="Keeps scans here; they are not made again."),
    ] = Path("runs/evaluation"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    plots: Annotated[bool, typer.Option("--plots", help="Draw ROC and DET curves into --out.")] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Write the measured false-alarm rate into the weights' registry."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=0, metavar="N", help="Worker processes (0: as many as fit).")] = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    config: options.Config = None,
) -> None:
    """Scan a labelled corpus and print AUC, AP and false-alarm tables.

    CORPUS/manifest.csv names the clips, their labels, methods, families, people and pairs. Scans
    are kept in --out by content, models and settings, so that a run goes on where it stopped.
    """
    start_log(quiet, verbose)
    import json as json_module

    from vidscan.report.files import write_text
    from vidscan.training.evaluation import evaluate as tabulate
    from vidscan.training.evaluation import (
        load_split,
        markdown,
        plot_curves,
        record_false_alarms,
        scan_corpus,
    )

    entries = load_split(corpus, split)
    with Progress(len(entries), quiet=quiet) as progress:
        scored, models = scan_corpus(
            corpus,
            entries,
            out / f"{split}.jsonl",
            settings=options.scan_settings(context, 0),
            device=device,
            jobs=jobs,
            advance=progress.advance,
        )
    result = tabulate(scored, models, split)
    data = json_module.dumps(result.to_dict(), indent=1) + "\n"
    tables = markdown(result)
    write_text(out / f"{split}.json", data)
    write_text(out / f"{split}.md", tables)
    if record:
        record_false_alarms(result)
    if plots:
        plot_curves(scored, out)
    typer.echo(data if json else tables, nl=False)

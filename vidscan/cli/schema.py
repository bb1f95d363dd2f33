"""``vidscan schema``: what a report looks like, for programs."""

from __future__ import annotations

from typing import Annotated

import typer


def schema(
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="The measured features instead: group, unit, meaning, judged or not."
        ),
    ] = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a report."""
    import json

    if features:
        from vidscan.verdict.features import feature_list

        typer.echo(json.dumps(feature_list(), indent=2))
        return
    from vidscan.report.json import report_schema

    typer.echo(json.dumps(report_schema(), indent=2))

"""``vidscan schema``: what a report looks like, for programs."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of a report."""
    import json

    from vidscan.report.json import report_schema

    typer.echo(json.dumps(report_schema(), indent=2))

"""``vidscan schema``: what a report looks like, for programs."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer


class Version(str, Enum):
    """Schema versions there are."""

    first = "1.0"
    present = "2.0"


def schema(
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="The measured features instead: group, unit, meaning, judged or not."
        ),
    ] = False,
    version: Annotated[
        Version, typer.Option("--version", help="Of which version; older reports can still be read.")
    ] = Version.present,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a report."""
    import json

    if features:
        from vidscan.verdict.features import feature_list

        typer.echo(json.dumps(feature_list(), indent=2))
        return
    if version is not Version.present:
        from vidscan.report.upgrade import old_schema

        typer.echo(old_schema(version.value), nl=False)
        return
    from vidscan.report.json import report_schema

    typer.echo(json.dumps(report_schema(), indent=2))

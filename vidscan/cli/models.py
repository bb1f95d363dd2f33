"""``vidscan models``: which weights this installation scans with."""

from __future__ import annotations

from typing import Annotated

import typer


def models(
    json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> None:
    """List the models and the sha256 of their weights."""
    import json as json_module

    from vidscan.models import load_registry

    registry = load_registry()
    for record in registry.models.values():
        default = registry.defaults.get(record.kind) == record.name
        if json:
            fields = {"name": record.name, "kind": record.kind, "default": default, "sha256": record.sha256}
            line = json_module.dumps(fields)
        else:
            mark = "default" if default else ""
            line = f"{record.name:<28} {record.kind:<12} {mark:<8} {record.sha256}"
        typer.echo(line)

"""``vidscan models``: which weights this installation scans with."""

from __future__ import annotations

from typing import Annotated

import typer

from vidscan.cli import failures


def models(
    json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> None:
    """List the models with the sha256 of their weights, and whether the files are the registered ones.

    Exits with 2 where one is not.
    """
    import json as json_module

    from vidscan.errors import WeightsError
    from vidscan.models import load_registry

    registry = load_registry()
    whole = True
    for record in registry.models.values():
        default = registry.defaults.get(record.kind) == record.name
        try:
            record.verify()
            problem = None
        except WeightsError as error:
            problem, whole = str(error), False
        if json:
            fields = {"name": record.name, "kind": record.kind, "default": default, "sha256": record.sha256}
            line = json_module.dumps(fields | {"ok": problem is None, "problem": problem})
        else:
            mark = "default" if default else ""
            state = "ok" if problem is None else f"PROBLEM: {problem}"
            line = f"{record.name:<28} {record.kind:<19} {mark:<8} {record.sha256} {state}"
        typer.echo(line)
    raise typer.Exit(failures.OK if whole else failures.USAGE)

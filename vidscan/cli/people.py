"""``vidscan people``: who is enrolled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidscan.cli import failures
from vidscan.cli.enroll import Dir, complain
from vidscan.cli.outputs import Outputs

app = typer.Typer(
    help="List, remove or draw the people that vidscan enroll has learnt.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback()
def people() -> None:
    """List, remove or draw the people that vidscan enroll has learnt."""


@app.command("list")
def list_people(
    dir: Dir = None,
    json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> None:
    """List the people with the material that was learnt.

    Files that cannot be used are reported, and the exit code is 2.
    """
    import json as json_module

    from vidscan.people.store import PeopleStore, record_dict

    records, problems = PeopleStore(dir).records()
    for record in records:
        if json:
            line = json_module.dumps(record_dict(record), ensure_ascii=False)
        else:
            line = (
                f"{record.name:<28} {record.seconds:7.1f} s {record.windows:6} windows of "
                f"{record.window_s:>2g} s {record.clips:4} clips {record.calibration:4} left out  "
                f"{record.created}"
            )
        typer.echo(line)
    for problem in problems:
        complain(problem)
    raise typer.Exit(failures.USAGE if problems else failures.OK)


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="The person.")], dir: Dir = None) -> None:
    """Delete all that is stored of a person."""
    from vidscan.people.store import PeopleStore

    PeopleStore(dir).remove(name)
    typer.echo(f"removed {name}")


@app.command()
def plot(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", dir_okay=False, help="The picture (PNG).")
    ],
    dir: Dir = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Draw the windows of everybody as a t-SNE map: similar movement lies together.

    Needs the training extra. People who were enrolled with different window lengths share the map.
    """
    Outputs((), overwrite=overwrite).new("--output", output, ".png")

    from vidscan.people.store import PeopleStore, PersonError
    from vidscan.report.people_plot import plot_people

    store = PeopleStore(dir)
    records, problems = store.records()
    vectors = {}
    for record in records:
        try:
            vectors[record.name] = store.load(record.name).vectors
        except PersonError as error:
            problems.append(error)
    for problem in problems:
        complain(problem)
    typer.echo(plot_people(vectors, output))
    raise typer.Exit(failures.USAGE if problems else failures.OK)

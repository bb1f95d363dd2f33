"""The ``vidscan`` command: its options, its commands, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vidscan.cli import (
    check,
    doctor,
    enroll,
    evaluate,
    explain,
    failures,
    forge,
    inspect,
    models,
    people,
    scan,
    schema,
    serve,
    train,
)
from vidscan.cli.config import apply_config

app = typer.Typer(
    name="vidscan",
    help="Scan video for deepfakes: verdicts for people, JSON for pipelines.",
    epilog="Exit codes: 0 nothing manipulated, 1 a verdict says manipulated, 2 usage or missing weights, "
    "3 an input could not be scanned or an unexpected failure, 130 interrupted.",
    # Plain help: rich would double the time that --help takes, and wraps what people grep.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_COMPLETING = "_VIDSCAN_COMPLETE"
"""Set by what ``--install-completion`` writes into the shell's start-up file, to ask what could come next."""
_COMPLETION = frozenset({"--install-completion", "--show-completion"})


def _print_version(wanted: bool) -> None:
    if wanted:
        from vidscan import __version__

        typer.echo(f"vidscan {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="VIDSCAN_CONFIG",
            exists=True,
            dir_okay=False,
            metavar="FILE",
            is_eager=True,
            callback=apply_config,
            help="TOML file with defaults; flags and VIDSCAN_* variables beat it.",
        ),
    ] = None,
) -> None:
    """Scan video for deepfakes: verdicts for people, JSON for pipelines."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(failures.USAGE)


app.command()(check.check)
app.command()(scan.scan)
app.command()(serve.serve)
app.command()(enroll.enroll)
app.add_typer(people.app, name="people")
app.command()(inspect.inspect)
app.command()(explain.explain)
app.command()(forge.forge)
app.command()(evaluate.evaluate)
app.add_typer(train.app, name="train")
app.command()(models.models)
app.command()(schema.schema)
app.command()(doctor.doctor)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; raises nothing."""

    if _COMPLETING in os.environ or {*arguments[:1]} & _COMPLETION:
        typer.main.get_command(app).main(list(arguments), prog_name="vidscan")  # this ends the process

    def invoke() -> None:
        # Not typer's own runner: that one ends with 1, our word for "manipulated", on failures.
        command: Any = typer.main.get_command(app)
        with command.make_context("vidscan", list(arguments)) as context:
            command.invoke(context)

    return failures.guard(invoke)

"""Options that commands share, and what they mean."""

from __future__ import annotations

import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidscan.cli import failures
from vidscan.cli.config import SETTINGS_FILE, apply_config
from vidscan.cli.console import loading, start_log
from vidscan.cli.failures import UsageError
from vidscan.report import FORMATS, LINE_FORMATS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vidscan.batch.remote import RemoteFile
    from vidscan.scanner import Scanner
    from vidscan.types import Report, ScanSettings

FAIL_LABELS: tuple[str, ...] = ("manipulated", "uncertain", "no_face", "no_manipulation_found")
"""What --fail-on takes."""

NOT_WRITTEN = "_not_written"
"""How the codes of warnings end that tell of a missing product."""


class Choice(str, Enum):
    """One of the values that an option takes."""


def choices(name: str, values: Iterable[str]) -> type[Choice]:
    """The type of an option that takes one of ``values``."""
    made: Any = Choice  # an enumeration without members makes others when it is called
    found: type[Choice] = made(name, [(value, value) for value in values])
    return found


if TYPE_CHECKING:
    Format = Choice
    LineFormat = Choice
    BlinkRule = Choice
else:
    Format = choices("Format", FORMATS)
    LineFormat = choices("LineFormat", LINE_FORMATS)
    BlinkRule = choices("BlinkRule", ("network", "ear", "openness"))

TEXT, JSONL = Format("text"), LineFormat("jsonl")
Device = Annotated[
    str, typer.Option(envvar="VIDSCAN_DEVICE", help="auto, cpu, cuda or cuda:N.", metavar="DEVICE")
]
Threads = Annotated[
    int,
    typer.Option(
        envvar="VIDSCAN_THREADS",
        min=0,
        metavar="N",
        help="Threads of networks and decoders (0: as many as cores are free).",
    ),
]
ExitZero = Annotated[
    bool,
    typer.Option("--exit-zero", envvar="VIDSCAN_EXIT_ZERO", help="Exit with 0 whatever the verdicts say."),
]
Forensics = Annotated[
    bool,
    typer.Option(
        "--forensics",
        envvar="VIDSCAN_FORENSICS",
        help="Also ask the instruments of media forensics and read Content Credentials; no part of the "
        "verdict.",
    ),
]
FailOn = Annotated[
    str,
    typer.Option(
        envvar="VIDSCAN_FAIL_ON",
        metavar="LABELS",
        help="Labels, with commas between, that exit with 1: " + ", ".join(FAIL_LABELS) + ".",
    ),
]
Null = Annotated[
    bool, typer.Option("-0", "--null", help="Paths on standard input end with NUL, not with a newline.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no summary on stderr.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say on stderr what is being done.")]
Config = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        is_eager=True,
        callback=apply_config,
        help="TOML file with defaults; flags and VIDSCAN_* variables beat it.",
    ),
]


class Outcome:
    """Collects verdicts and says what they mean for the exit code."""

    def __init__(self, fail_on: str, exit_zero: bool) -> None:
        self._labels = {label.strip() for label in fail_on.split(",") if label.strip()}
        self._exit_zero = exit_zero
        self._failed = self._found = False
        if not self._labels:
            raise UsageError(
                f"--fail-on names no verdict: there are {', '.join(FAIL_LABELS)}; see --exit-zero"
            )
        unknown = sorted(self._labels - set(FAIL_LABELS))
        if unknown:
            raise UsageError(f"--fail-on {', '.join(unknown)}: there are {', '.join(FAIL_LABELS)}")

    def add(self, report: Report) -> None:
        """Counts one report in."""
        unwritten = any(note.code.endswith(NOT_WRITTEN) for note in report.warnings)
        self._failed = self._failed or report.error is not None or unwritten
        self._found = self._found or report.verdict.label in self._labels

    @property
    def exit_code(self) -> int:
        """An input that could not be scanned, or a product that could not be written, outranks any verdict
        and is never hidden."""
        if self._failed:
            return failures.FAILED
        return failures.MANIPULATED if self._found and not self._exit_zero else failures.OK


def expand_paths(given: Iterable[str], null: bool) -> list[str]:
    """The paths given, with ``-`` standing for those on standard input."""
    paths: list[str] = []
    asked = False
    for text in given:
        if text != "-":
            paths.append(text)
        elif not asked:  # standard input can be read once
            asked = True
            # Bytes: names on disk need not be valid in any encoding.
            data = sys.stdin.buffer.read()
            parts = data.split(b"\0") if null else data.splitlines()
            paths.extend(os.fsdecode(part) for part in parts if part)
    if null and not asked:
        raise UsageError("-0 is for paths on standard input: give - as a path")
    return paths


def locations(paths: Iterable[str]) -> list[Path | RemoteFile]:
    """Paths and URLs told apart."""
    from vidscan.batch.remote import RemoteFile, is_remote

    return [RemoteFile(text) if is_remote(text) else Path(text) for text in paths]


def inputs(clips: Iterable[Path], **more: Path | None) -> Iterator[tuple[str, Path]]:
    """What a command reads, each with its name on the command line."""
    yield from (("CLIP", path) for path in clips)
    yield from ((f"--{name}", path) for name, path in more.items() if path is not None)


def make_folder(folder: Path, option: str) -> None:
    """Make the folder that an option names.

    Raises UsageError where that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {folder}: {error.strerror}") from error


def _flag(field: str, kind: type, **about: Any) -> tuple[str, tuple[type, Any]]:
    return field, (kind, typer.Option(envvar=f"VIDSCAN_{field.removesuffix('_s').upper()}", **about))


SETTINGS: dict[str, tuple[type, Any]] = dict(
    [
        _flag(
            "analysis_fps",
            float,
            min=0.0,
            metavar="RATE",
            show_default="2",
            help="Classify faces about so often per second: less is faster, more sees shorter stretches.",
        ),
        _flag(
            "max_pixels",
            int,
            min=1,
            metavar="N",
            show_default="8192 x 8192",
            help="Refuse frames of more pixels.",
        ),
        _flag(
            "max_duration_s",
            float,
            min=0,
            metavar="S",
            show_default="all",
            help="Analyze only the first S seconds of a clip, with a warning.",
        ),
        _flag(
            "stream",
            int,
            min=0,
            metavar="N",
            show_default="the default one, or one that is much larger",
            help="Scan this video stream of the container; inspect lists them.",
        ),
        _flag(
            "target_fpr",
            float,
            min=0.0,
            max=0.5,
            metavar="RATE",
            show_default="0.01",
            help="Share of genuine clips that may be called manipulated: more finds more fakes.",
        ),
        _flag(
            "uncertain_fpr",
            float,
            min=0.0,
            max=0.9,
            metavar="RATE",
            show_default="0.05, or twice --target-fpr",
            help="Share that may be called manipulated or uncertain; above --target-fpr.",
        ),
        _flag(
            "blink_rule",
            BlinkRule,
            show_default="network",
            help="Find blinks by a network over the eyes, the eye aspect ratio, or the landmark network.",
        ),
    ]
)
"""Fields of :class:`vidscan.types.ScanSettings` that have a flag, and which; without it the field's default
or the configuration file's value holds. Flag and variable have the field's name, without its unit of
seconds."""

FOR_VERDICTS = ("analysis_fps", "max_pixels", "max_duration_s", "stream", "target_fpr", "uncertain_fpr")
"""Flags of commands that judge."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a command that scans was asked to run."""

    values: dict[str, Any]
    """Fields of :class:`vidscan.types.ScanSettings` that were set."""
    device: str
    quiet: bool
    config: Path | None
    threads: int = 0
    file: Path | None = None
    """The configuration file, wherever it was named."""

    def settings(self, **more: Any) -> ScanSettings:
        """The settings of the scan, ``more`` among them. Raises UsageError where a value is none."""
        from pydantic import TypeAdapter, ValidationError

        from vidscan.types import ScanSettings

        for name, value in self.values.items():
            if isinstance(value, bool):  # which would pass for a number
                raise UsageError(f"{self.file}: [settings] {name}: true and false are no values of it")
        try:
            found: ScanSettings = TypeAdapter(ScanSettings).validate_python(self.values | more)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            where = f"{self.file}: [settings] {name}" if self.file is not None else name
            raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
        return found

    def loading(self) -> AbstractContextManager[None]:
        """Says on a terminal that networks are loaded, while they are."""
        return loading(quiet=self.quiet, threads=self.threads)

    def scanner(self, *, forensics: bool = False, **more: Any) -> Scanner:
        """A scanner with these settings. Raises as :meth:`settings` and :class:`vidscan.Scanner` do."""
        from vidscan.scanner import Scanner

        return Scanner(self.settings(**more), device=self.device, forensics=forensics)


def scans(*settings: str, here: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command that scans: it gets a flag for each of these ``SETTINGS`` and the options of all
    such commands, and takes them as its first argument, a :class:`Run`. ``here`` says that it scans in its
    own process, which may take ``--threads``."""
    flags = {name.removesuffix("_s"): name for name in settings}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(context: typer.Context, **given: Any) -> None:
            device, quiet, config = given.pop("device"), given.pop("quiet"), given.pop("config")
            start_log(quiet, given.pop("verbose"))
            threads, file = given.pop("threads", 0), context.meta.get(SETTINGS_FILE)
            values = dict(context.find_root().obj or {})
            for name, value in given.items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise UsageError(f"--{name.replace('_', '-')} {value:g} is no number to work with")
            asked = {field: given.pop(flag) for flag, field in flags.items()}
            for field in ("target_fpr", "uncertain_fpr"):
                if asked.get(field) == 0:
                    raise UsageError(f"--{field.replace('_', '-')} 0: no threshold keeps such a promise")
            values |= {field: _plain(value) for field, value in asked.items() if value is not None}
            command(Run(values, device, quiet, config, threads, file), **given)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        shared = [_option("context", typer.Context, inspect.Parameter.empty)]
        shared += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        for flag, field in flags.items():
            kind, option = SETTINGS[field]
            shared.append(_option(flag, Annotated[kind | None, option], None))
        shared.append(_option("device", Device, "auto"))
        if here:
            shared.append(_option("threads", Threads, 0))
        shared += [_option("quiet", Quiet, False), _option("verbose", Verbose, False)]
        shared.append(_option("config", Config, None))
        called.__signature__ = inspect.Signature(shared)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in shared}
        return called

    return decorate


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)

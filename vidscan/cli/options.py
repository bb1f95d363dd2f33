"""Options that commands share, and what they mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidscan.cli import failures
from vidscan.cli.config import SETTINGS_FILE, apply_config
from vidscan.cli.failures import UsageError

if TYPE_CHECKING:
    from vidscan.batch.remote import RemoteFile
    from vidscan.types import Report, ScanSettings

FAIL_LABELS: tuple[str, ...] = ("manipulated", "uncertain", "no_face", "no_manipulation_found")
"""What --fail-on takes."""

NOT_WRITTEN = "_not_written"
"""How the codes of warnings end that tell of a missing product."""


class Format(str, Enum):
    """Formats of ``check``."""

    text = "text"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class BatchFormat(str, Enum):
    """Formats of ``scan``: those that grow line by line."""

    jsonl = "jsonl"
    csv = "csv"


class BlinkRule(str, Enum):
    """Rules by which blinks are found: :data:`vidscan.behavior.eye_closure.RULES`."""

    network = "network"
    ear = "ear"
    openness = "openness"


Device = Annotated[
    str, typer.Option(envvar="VIDSCAN_DEVICE", help="auto, cpu, cuda or cuda:N.", metavar="DEVICE")
]
Every = Annotated[
    int,
    typer.Option(
        envvar="VIDSCAN_EVERY",
        min=0,
        metavar="N",
        help="Classify every N-th frame (0: about three a second); masks only for those frames.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        envvar="VIDSCAN_MAX_PIXELS",
        min=1,
        metavar="N",
        show_default="8192 x 8192",
        help="Refuse frames of more pixels.",
    ),
]
MaxDuration = Annotated[
    float | None,
    typer.Option(
        envvar="VIDSCAN_MAX_DURATION",
        min=0,
        metavar="S",
        show_default="all",
        help="Analyse only the first S seconds of a clip, with a warning.",
    ),
]
Stream = Annotated[
    int | None,
    typer.Option(
        envvar="VIDSCAN_STREAM",
        min=0,
        metavar="N",
        show_default="the default one, or one that is much larger",
        help="Scan this video stream of the container; inspect lists them.",
    ),
]
Blinks = Annotated[
    BlinkRule | None,
    typer.Option(
        "--blink-rule",
        envvar="VIDSCAN_BLINK_RULE",
        show_default="network",
        help="Find blinks by a network over the eyes, the eye aspect ratio, or the landmark network.",
    ),
]
TargetFpr = Annotated[
    float | None,
    typer.Option(
        "--target-fpr",
        min=0.0,
        max=0.5,
        metavar="RATE",
        envvar="VIDSCAN_TARGET_FPR",
        show_default="0.01",
        help="Share of genuine clips that may be called manipulated: more finds more fakes.",
    ),
]
UncertainFpr = Annotated[
    float | None,
    typer.Option(
        "--uncertain-fpr",
        min=0.0,
        max=0.9,
        metavar="RATE",
        envvar="VIDSCAN_UNCERTAIN_FPR",
        show_default="0.05, or twice --target-fpr",
        help="Share that may be called manipulated or uncertain; above --target-fpr.",
    ),
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


def scan_settings(
    context: typer.Context,
    every: int,
    max_pixels: int | None = None,
    max_duration: float | None = None,
    blink_rule: BlinkRule | None = None,
    target_fpr: float | None = None,
    uncertain_fpr: float | None = None,
    stream: int | None = None,
) -> ScanSettings:
    """The settings of a run: the configuration file's ``[settings]`` with the flags over them."""
    from pydantic import TypeAdapter, ValidationError

    from vidscan.types import ScanSettings

    values: dict[str, Any] = {**(context.find_root().obj or {})}
    flags = {
        "every": every or None,
        "max_pixels": max_pixels,
        "max_duration_s": max_duration,
        "blink_rule": None if blink_rule is None else blink_rule.value,
        "target_fpr": target_fpr,
        "uncertain_fpr": uncertain_fpr,
        "stream": stream,
    }
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        settings: ScanSettings = TypeAdapter(ScanSettings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        file = context.meta.get(SETTINGS_FILE)
        where = f"{file}: [settings] {name}" if file is not None else name
        raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
    return settings

"""The results file of a batch: appended line by line, locked, and resumed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from vidscan.batch.engine import Identity
from vidscan.batch.lock import FileLock
from vidscan.errors import SetupError
from vidscan.report import ReportWriter, open_writer
from vidscan.report.json import DIGITS, dumps, loads
from vidscan.report.paths import path_names
from vidscan.types import Report

TRANSIENT: frozenset[str] = frozenset(
    {"not_found", "unreadable", "timeout", "decoder_crashed", "out_of_memory", "internal"}
)
"""Errors that may be gone at the next try; --resume scans such files again."""

_START = '{"schema_version":'


class ResultFile:
    """Where a batch's reports go.

    Parameters
    ----------
    path
        The file. A lock beside it keeps a second process out.
    format
        ``jsonl`` or ``csv``; only JSON Lines can be resumed.
    resume
        Keep what is there and go on.
    overwrite
        Begin anew where a file is.

    Raises
    ------
    SetupError
        Where the file exists and neither is asked for, where it is not made of reports, or
        where another process writes it.
    """

    def __init__(
        self, path: Path, *, format: str = "jsonl", resume: bool = False, overwrite: bool = False
    ) -> None:
        if resume and overwrite:
            raise SetupError("--resume and --overwrite exclude each other")
        if resume and format != "jsonl":
            raise SetupError("--resume needs --format jsonl: CSV does not hold whole reports")
        self.path = path = path.resolve()  # a link stays one when the file is replaced
        self._format = format
        self._resume = resume
        self._stream: TextIO | None = None
        self._writer: ReportWriter | None = None
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._lock.acquire()
        try:
            if path.exists() and not resume and not overwrite:
                raise SetupError(f"{path} exists; add --resume to go on or --overwrite to begin anew")
            if path.exists() and resume:
                _check_lines(path)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, identity: Identity, done: Done) -> None:
        """Opens the file for writing, once it is sure that scanning can begin.

        With ``resume`` the reports of this identity go into ``done``; a half-written last
        line and the reports of errors worth another try are taken out of the file.
        """
        if self._resume and self.path.exists():
            self._repair(identity, done)
        mode = "a" if self._resume else "w"
        try:
            stream: TextIO = self.path.open(mode, encoding="utf-8", newline="")  # type: ignore[assignment]
        except OSError as error:
            raise SetupError(f"cannot write {self.path}: {error.strerror}") from error
        self._stream, self._writer = stream, open_writer(self._format, stream, many=True)

    def write(self, report: Report) -> None:
        """Appends one flushed line."""
        if self._writer is None:
            raise RuntimeError("open() comes before write()")
        self._writer.write(report)

    def close(self) -> None:
        """Closes the file and lets others at it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = self._writer = None
        self._lock.release()

    def _repair(self, identity: Identity, done: Done) -> None:
        part = self.path.with_name(self.path.name + ".part")
        with part.open("w", encoding="utf-8", newline="") as out:
            for line, data in _lines(self.path):
                if same_identity(data, identity):
                    if (data.get("error") or {}).get("code") in TRANSIENT:
                        continue
                    done.add(loads(line))
                out.write(line + "\n")
        # Whole lines are copied unchanged, so only what was left out or completed shows.
        if part.stat().st_size != self.path.stat().st_size:
            part.replace(self.path)
        else:
            part.unlink()


class Done:
    """The reports there are, by content: what was scanned once is not scanned again.

    Reports are kept compressed, so that a hundred thousand fit into memory.
    """

    def __init__(self) -> None:
        self._reports: dict[str, bytes] = {}
        self._paths: set[tuple[str, str]] = set()

    def add(self, report: Report) -> None:
        """Remembers a report; one without a content hash cannot be found again."""
        sha256 = report.input.sha256
        if sha256 is not None:
            self._reports[sha256] = zlib.compress(dumps(report).encode())
            self._paths.add((sha256, report.input.path))

    def has(self, path: Path, sha256: str) -> bool:
        """Whether this very file has been reported with this content."""
        return (sha256, path_names(path).path) in self._paths

    def get(self, path: Path, sha256: str) -> Report | None:
        """The report of this content, made out to ``path``; None where there is none."""
        packed = self._reports.get(sha256)
        return None if packed is None else renamed(loads(zlib.decompress(packed)), path)


def renamed(report: Report, path: Path) -> Report:
    """The same report for a file of the same content under another name."""
    names = path_names(path)
    return replace(report, input=replace(report.input, path=names.path, path_raw=names.path_raw))


def same_identity(data: dict[str, Any], identity: Identity) -> bool:
    """Whether a report (as a dict) was made with these models and settings.

    A report's settings may hold more than :class:`vidscan.types.ScanSettings`; only what is
    in there counts. The device does not: it moves scores within the tolerance only.
    """
    wanted = {key: _rounded(value) for key, value in asdict(identity.settings).items()}
    settings = data.get("settings") or {}
    models = {(model["name"], model["sha256"]) for model in data.get("models") or ()}
    return all(settings.get(key) == value for key, value in wanted.items()) and models == {
        (model.name, model.sha256) for model in identity.models
    }


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The report lines of a file, without a half-written last one."""
    with path.open(encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            text = line.rstrip("\n")
            try:
                data = json.loads(text)
                if data["schema_version"] and data["input"]["path"]:
                    yield text, data
            except (ValueError, TypeError, KeyError) as error:
                cut_short = not line.endswith("\n") and _START.startswith(text[: len(_START)])
                if not cut_short:
                    raise SetupError(
                        f"line {number} of {path} is no vidscan report; --resume would add to a foreign file"
                    ) from error


def _check_lines(path: Path) -> None:
    """Fails early, and without changing it, where a file is not made of reports."""
    for _ in _lines(path):
        pass

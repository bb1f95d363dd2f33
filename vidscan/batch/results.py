"""The results file of a batch: appended line by line, locked, and resumed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from vidscan.batch.engine import Identity, Location
from vidscan.batch.lock import FileLock
from vidscan.errors import SetupError, VidscanError
from vidscan.outputs import Replacement
from vidscan.paths import path_names
from vidscan.report import ReportWriter, open_writer
from vidscan.report.json import DIGITS, dumps, loads
from vidscan.report.upgrade import VERSIONS
from vidscan.types import Report

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
    retry_errors
        With ``resume``: scan files again that ended in an error.

    Raises
    ------
    SetupError
        Where the file exists and neither is asked for, where it is not made of reports, or
        where another process writes it.
    """

    def __init__(
        self,
        path: Path,
        *,
        format: str = "jsonl",
        resume: bool = False,
        overwrite: bool = False,
        retry_errors: bool = False,
    ) -> None:
        if resume and overwrite:
            raise SetupError("--resume and --overwrite exclude each other")
        if resume and format != "jsonl":
            raise SetupError("--resume needs --format jsonl: CSV does not hold whole reports")
        self.path = path = path.resolve()  # a link stays one when the file is replaced
        self._format = format
        self._resume = resume
        self._retry_errors = retry_errors
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

    def open(
        self,
        identity: Identity,
        done: Done,
        paths: Iterable[Location] = (),
        kept: Callable[[Report], None] | None = None,
    ) -> None:
        """Opens the file for writing, once it is sure that scanning can begin.

        With ``resume`` the reports of this identity go into ``done``, and a half-written last line is
        taken out of the file; with ``retry_errors`` so are the errors of those ``paths`` that are about
        to be scanned again. ``kept`` is called with every report that stays, of whatever identity.

        Raises
        ------
        SetupError
            The file cannot be written.
        """
        try:
            if self._resume and self.path.exists():
                again = {path_names(path).path for path in paths} if self._retry_errors else set()
                self._repair(identity, done, again, kept or (lambda report: None))
            mode = "a" if self._resume else "w"
            stream: TextIO = self.path.open(mode, encoding="utf-8", newline="")  # type: ignore[assignment]
        except OSError as error:
            raise SetupError(f"cannot write {self.path}: {error.strerror}") from error
        self._stream, self._writer = stream, open_writer(self._format, stream, many=True)

    def write(self, report: Report) -> None:
        """Appends one flushed line.

        Raises
        ------
        VidscanError
            It could not be written (a full disk); the lines before it are whole.
        """
        if self._writer is None:
            raise RuntimeError("open() comes before write()")
        try:
            self._writer.write(report)
        except OSError as error:
            hint = "; --resume goes on from the lines that are there" if self._format == "jsonl" else ""
            raise VidscanError(f"cannot write {self.path}: {error.strerror}{hint}") from error

    def close(self) -> None:
        """Closes the file and lets others at it."""
        stream, self._stream, self._writer = self._stream, None, None
        if stream is not None:
            # Closing tries again to write what could not be written, and fails again: that was reported.
            with suppress(OSError):
                stream.close()
        self._lock.release()

    def _repair(
        self, identity: Identity, done: Done, again: set[str], kept: Callable[[Report], None]
    ) -> None:
        part = Replacement(self.path)
        try:
            with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
                for number, (line, data) in enumerate(_lines(self.path), 1):
                    ours = same_identity(data, identity)
                    if ours and data.get("error") and data["input"]["path"] in again:
                        continue
                    report = _loaded(line, number, self.path)
                    if ours and not (report.error and self._retry_errors):
                        done.add(report)
                    kept(report)
                    out.write(line + "\n")
        except BaseException:
            part.abandon()
            raise
        # Whole lines are copied unchanged, so only what was left out or completed shows.
        if part.path.stat().st_size != self.path.stat().st_size:
            part.commit()
        else:
            part.abandon()


class Done:
    """The reports there are, by content: what was scanned once is not scanned again.

    Reports are kept compressed, so that a hundred thousand fit into memory.
    """

    def __init__(self) -> None:
        self._reports: dict[tuple[str | None, str], bytes] = {}
        self._paths: set[tuple[str | None, str]] = set()

    def add(self, report: Report) -> None:
        """Remembers a report; one without a content hash is known by its path alone."""
        self._reports[_key(report.input.sha256, report.input.path)] = zlib.compress(dumps(report).encode())
        self._paths.add((report.input.sha256, report.input.path))

    def has(self, path: Location, sha256: str | None) -> bool:
        """Whether this very file has been reported with this content."""
        return (sha256, path_names(path).path) in self._paths

    def get(self, path: Location, sha256: str | None) -> Report | None:
        """The report of this content, made out to ``path``; None where there is none."""
        packed = self._reports.get(_key(sha256, path_names(path).path))
        return None if packed is None else renamed(loads(zlib.decompress(packed)), path)


def _key(sha256: str | None, path: str) -> tuple[str | None, str]:
    return (sha256, path if sha256 is None else "")


def renamed(report: Report, path: Location) -> Report:
    """The same report for a file of the same content under another name."""
    names, before = path_names(path), report.input.path
    error = report.error
    if error is not None and error.message.startswith(f"{before}: "):
        error = replace(error, message=names.path + error.message[len(before) :])
    return replace(report, input=replace(report.input, path=names.path, path_raw=names.path_raw), error=error)


def same_identity(data: dict[str, Any], identity: Identity) -> bool:
    """Whether a report (as a dict) was made with these models and settings, and has what is asked for.

    A report's settings may hold more than :class:`vidscan.types.ScanSettings`; only what is
    in there counts. The device does not: it moves scores within the tolerance only.
    """
    if identity.forensics and data.get("forensics") is None and not data.get("error"):
        return False
    wanted = {key: _rounded(value) for key, value in asdict(identity.settings).items()}
    settings = data.get("settings") or {}
    models = {(model["name"], model["sha256"]) for model in data.get("models") or ()}
    return all(settings.get(key) == value for key, value in wanted.items()) and models == {
        (model.name, model.sha256) for model in identity.models
    }


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _loaded(line: str, number: int, path: Path) -> Report:
    try:
        return loads(line)
    except ValueError as error:
        raise SetupError(f"line {number} of {path} is no report that this vidscan can read") from error


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The report lines of a file, without a half-written last one."""
    with path.open(encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            text = line.rstrip("\n")
            try:
                data = json.loads(text)
                if data["schema_version"] not in VERSIONS:
                    raise SetupError(
                        f"line {number} of {path} is a report of schema version {data['schema_version']}; "
                        f"this vidscan reads {' and '.join(VERSIONS)}"
                    )
                if data["input"]["path"]:
                    yield text, data
            except (ValueError, TypeError, KeyError) as error:
                # A machine that lost power may leave zeros where the line was to be.
                begun = text.rstrip("\0")
                cut_short = not line.endswith("\n") and _START.startswith(begun[: len(_START)])
                if not cut_short:
                    raise SetupError(
                        f"line {number} of {path} is no vidscan report; --resume would add to a foreign file"
                    ) from error


def _check_lines(path: Path) -> None:
    """Fails early, and without changing it, where a file is not made of reports."""
    for _ in _lines(path):
        pass

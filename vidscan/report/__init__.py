"""Reports for people and machines: one writer per format.

A writer takes reports one by one and puts each into a text stream as soon as it comes, so a
batch of any length needs no memory and an interrupted run leaves whole results behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from vidscan.types import Report


@dataclass(frozen=True, slots=True)
class Format:
    """One format of reports."""

    module: str
    writer: str
    """Class in ``module``, which is imported when asked for: rich and pydantic need not load for CSV."""
    by_line: bool = False
    """Whether many reports make one stream that grows line by line."""


WRITERS: dict[str, Format] = {
    "text": Format("vidscan.report.text", "TextWriter"),
    "json": Format("vidscan.report.json", "JsonWriter"),
    "jsonl": Format("vidscan.report.jsonl", "JsonlWriter", by_line=True),
    "csv": Format("vidscan.report.csv", "CsvWriter", by_line=True),
}
FORMATS: tuple[str, ...] = tuple(WRITERS)
"""The formats :func:`open_writer` knows."""
LINE_FORMATS: tuple[str, ...] = tuple(name for name, format in WRITERS.items() if format.by_line)
"""Those in which a batch is written."""


class ReportWriter(Protocol):
    """Writes reports to a stream that it does not own."""

    def write(self, report: Report) -> None:
        """Writes one report and flushes the stream."""


def open_writer(format: str, stream: TextIO, *, many: bool = False) -> ReportWriter:
    """The writer of a format.

    Parameters
    ----------
    format
        One of :data:`FORMATS`.
    stream
        Where to write; stays open.
    many
        More than one report will come: ``json`` then writes one object a line, as ``jsonl``.

    Raises
    ------
    ValueError
        For an unknown format.
    """
    if format not in WRITERS:
        raise ValueError(f"unknown report format {format!r}; there are {', '.join(FORMATS)}")
    found = WRITERS["jsonl" if many and format == "json" else format]
    writer: ReportWriter = getattr(import_module(found.module), found.writer)(stream)
    return writer

"""Reports for people and machines: one writer per format.

A writer takes reports one by one and puts each into a text stream as soon as it comes, so a
batch of any length needs no memory and an interrupted run leaves whole results behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from vidscan.types import Report

FORMATS: tuple[str, ...] = ("text", "json", "jsonl", "csv")
"""The formats :func:`open_writer` knows."""


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
    # Each writer is imported when asked for: rich and pydantic need not load for CSV.
    if format == "text":
        from vidscan.report.text import TextWriter

        return TextWriter(stream)
    if format == "csv":
        from vidscan.report.csv import CsvWriter

        return CsvWriter(stream)
    if format == "json" and not many:
        from vidscan.report.json import JsonWriter

        return JsonWriter(stream)
    if format in ("json", "jsonl"):
        from vidscan.report.jsonl import JsonlWriter

        return JsonlWriter(stream)
    raise ValueError(f"unknown report format {format!r}; there are {', '.join(FORMATS)}")

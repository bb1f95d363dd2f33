"""Reports as JSON Lines: one object a line."""

from __future__ import annotations

from typing import TextIO

from vidscan.report.json import dumps
from vidscan.types import Report


class JsonlWriter:
    """One report a line; every line is flushed, so that an interrupted run keeps them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, report: Report) -> None:
        """Writes the line and flushes."""
        self._stream.write(dumps(report) + "\n")
        self._stream.flush()

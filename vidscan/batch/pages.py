"""A page for people (HTML) for every file of a batch, written by the worker that scanned the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vidscan.errors import InputError
from vidscan.forensics.shelf import Shelf
from vidscan.paths import clip_name
from vidscan.report.html import write_html
from vidscan.report.pictures import gather_pictures
from vidscan.report.spool import RegionSpool
from vidscan.scanner import Scanner
from vidscan.types import FaceSeries, Note, Report, ScanSettings

NOT_WRITTEN = "page_not_written"
"""Code of the warning."""


class PageScanner:
    """A scanner for a batch (:class:`vidscan.batch.engine.ScannerSpec`) that leaves a page for every file.

    Pages are ``FOLDER/<stem>-<first 8 of the sha256>.html``; files that could not be scanned have none. A
    page takes a second reading of the clip, and memory for the series of its faces. One that cannot be
    written costs its file nothing but a warning.

    Raises
    ------
    SetupError, WeightsError
        As :class:`vidscan.scanner.Scanner`.
    """

    def __init__(
        self,
        settings: ScanSettings | None = None,
        *,
        device: str = "auto",
        forensics: bool = False,
        folder: str,
    ) -> None:
        self._scanner = Scanner(settings, device=device, forensics=forensics)
        self._folder = Path(folder)
        self.settings, self.device = self._scanner.settings, self._scanner.device
        self.models = self._scanner.models

    def scan(self, path: str | Path, *, sha256: str | None = None) -> Report:
        """Scan one file and write its page; ``sha256`` is its content's where that is known."""
        clip, shelf = Path(path), Shelf()
        with RegionSpool() as spool:
            report, series = self._scanner.examine(clip, masks=spool, sha256=sha256, shelf=shelf)
            if report.error is None:
                try:
                    self._write(clip, report, spool, series, shelf)
                except (OSError, InputError) as error:
                    note = unwritten(NOT_WRITTEN, "page", error)
                    report = replace(report, warnings=(*report.warnings, note))
        return replace(report, frames=())

    def _write(
        self, clip: Path, report: Report, spool: RegionSpool, series: list[FaceSeries], shelf: Shelf
    ) -> None:
        page = self._folder / f"{clip_name(clip, report.input.sha256 or '')}.html"
        telling, thumbnails = gather_pictures(clip, report, spool, self._scanner.classifier)
        write_html(report, page, telling=telling, series=series, thumbnails=thumbnails, shelf=shelf)


def unwritten(code: str, product: str, error: Exception) -> Note:
    """The warning of a report whose ``product`` could not be written."""
    why = getattr(error, "strerror", None) or error
    return Note(code, f"The {product} of this file could not be written: {why}")

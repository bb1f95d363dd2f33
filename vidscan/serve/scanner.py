"""The scanner of a service's workers: report, page, masks and progress of a job, in the job's own folder."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from vidscan.batch.pages import NOT_WRITTEN, unwritten
from vidscan.errors import InputError
from vidscan.report.html import write_html
from vidscan.report.masks import MaskWriter
from vidscan.report.pictures import gather_pictures
from vidscan.report.spool import RegionSpool
from vidscan.scanner import Scanner
from vidscan.serve.pages import PLACEHOLDER
from vidscan.serve.store import MASKS, PAGE, PROGRESS
from vidscan.sinks import FailSafe, FrameSinks
from vidscan.types import FaceSeries, FrameMaps, ModelRef, Note, Report, ScanSettings, VideoInfo

MASKS_NOT_WRITTEN = "masks_not_written"
_MASKS = "masks"
_EVERY_S = 0.25
"""Between two notes of how far a scan is."""


class ServiceScanner:
    """A scanner for a service (:class:`vidscan.batch.engine.ScannerSpec`).

    What cannot be written costs the job nothing but a warning.

    Raises
    ------
    SetupError, WeightsError
        As :class:`vidscan.scanner.Scanner`.
    """

    def __init__(self, settings: ScanSettings | None = None, *, device: str = "auto") -> None:
        self._scanner = Scanner(settings, device=device)
        self.settings, self.device = self._scanner.settings, self._scanner.device
        self.models = self._scanner.models

    def scan(
        self,
        path: str | Path,
        *,
        sha256: str | None = None,
        folder: str,
        page: bool = False,
        masks: bool = False,
    ) -> Report:
        """Scan one file.

        Parameters
        ----------
        path, sha256
            The file, and its content's hash where that is known.
        folder
            Takes ``page.html``, ``masks.zip`` and ``progress``, whichever there are.
        page, masks
            Whether to make them.
        """
        clip, target = Path(path), Path(folder)
        progress = Progress(target / PROGRESS)
        if not page and not masks:
            return self._scanner.scan(clip, sha256=sha256, progress=progress.share)
        series: list[FaceSeries] = []
        with ExitStack() as stack:
            spool = FailSafe(stack.enter_context(RegionSpool())) if page else None
            writer = FailSafe(stack.enter_context(MaskWriter(target / _MASKS))) if masks else None
            sink = FrameSinks(progress, *(each for each in (writer, spool) if each is not None))
            if page:
                report, series = self._scanner.examine(clip, masks=sink, sha256=sha256)
            else:
                report = self._scanner.scan(clip, masks=sink, sha256=sha256)
            missing: list[Note] = []
            if report.error is None and writer is not None:
                try:
                    writer.whole()
                    _pack(target)
                except OSError as error:
                    missing.append(unwritten(MASKS_NOT_WRITTEN, "masks", error))
            if report.error is None and spool is not None:
                try:
                    _write_page(clip, report, spool.whole(), series, self._scanner, target / PAGE)
                except (OSError, InputError) as error:
                    missing.append(unwritten(NOT_WRITTEN, "page", error))
        return replace(report, frames=(), warnings=(*report.warnings, *missing))


class Progress:
    """Keeps in a file how much of a clip is scanned; also a sink, which hears of every frame."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._duration_s = 0.0
        self._next = 0.0

    def share(self, done: float) -> None:
        """Notes the share done (0 to 1), a few times per second."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY_S
            # Readers find a whole number: it has the same length every time.
            text = f"{min(1.0, max(0.0, done)):.4f}".encode()
            with (
                suppress(OSError),  # a full disk costs no verdict
                open(os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out,  # noqa: PTH123
            ):
                out.write(text)

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """See :class:`vidscan.sinks.FrameSink`."""
        self._duration_s = info.duration_s or 0.0

    def write(self, frame: FrameMaps) -> str | None:
        """See :class:`vidscan.sinks.FrameSink`."""
        if self._duration_s:
            self.share(frame.time_s / self._duration_s)
        return None

    def close(self, models: Sequence[ModelRef]) -> None:
        """See :class:`vidscan.sinks.FrameSink`."""


def _write_page(
    clip: Path, report: Report, spool: RegionSpool, series: list[FaceSeries], scanner: Scanner, out: Path
) -> None:
    """The page, made out to nobody: the same content may have been sent under many names."""
    telling, thumbnails = gather_pictures(clip, report, spool, scanner.classifier)
    frames = tuple(
        frame if frame.mask is None else replace(frame, mask=f"{_MASKS}/{Path(frame.mask).name}")
        for frame in report.frames
    )
    clip_input = replace(report.input, path=PLACEHOLDER, path_raw=None)
    nameless = replace(report, input=clip_input, frames=frames)
    write_html(nameless, out, telling=telling, series=series, thumbnails=thumbnails)


def _pack(folder: Path) -> None:
    """Puts the masks into one file, and their folder away."""
    (made,) = (folder / _MASKS).iterdir()
    with zipfile.ZipFile(
        folder / MASKS, "w", zipfile.ZIP_STORED
    ) as archive:  # pictures are compressed already
        for file in sorted(made.iterdir()):
            archive.write(file, f"{_MASKS}/{file.name}")
    shutil.rmtree(folder / _MASKS)

"""What ``vidscan check`` makes of a clip beside its verdict: masks, overlay, page, match with a person.

A product that cannot be written costs the clip nothing but a warning.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidscan.cli.failures import UsageError
from vidscan.cli.options import NOT_WRITTEN
from vidscan.cli.outputs import holds_foreign_media
from vidscan.errors import InputError, SetupError
from vidscan.forensics.shelf import Shelf
from vidscan.media.sniff import display_name, is_picture
from vidscan.paths import clip_name
from vidscan.report.masks import MaskWriter
from vidscan.report.spool import RegionSpool
from vidscan.sinks import FailSafe, FrameSink, FrameSinks
from vidscan.types import FaceSeries, Note, PersonReport, Report

if TYPE_CHECKING:
    from typing_extensions import Self

    from vidscan.people.model import PersonModel
    from vidscan.scanner import Scanner


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None where it was not."""

    masks: Path | None
    masks_format: Literal["png", "video"]
    every: int
    """Masks are written of every N-th frame."""
    overlay: Path | None
    pose: bool
    gaze: bool
    report: Path | None
    several: bool
    """``overlay`` and ``report`` are folders."""
    overwrite: bool
    """Also replace media that vidscan did not write."""
    person: PersonModel | None
    track: int | None


class Products:
    """Scans clips and makes what is wanted; a context manager.

    Attributes
    ----------
    notes
        Remarks about the last clip, for people.
    """

    def __init__(self, scanner: Scanner, wanted: Wanted) -> None:
        self._scanner, self._wanted = scanner, wanted
        self._stack = ExitStack()
        self._masks: FailSafe[MaskWriter] | None = None
        self._spool: FailSafe[RegionSpool] | None = None
        self._shelf = Shelf()
        self.notes: list[str] = []
        self._missing: list[Note] = []

    def __enter__(self) -> Self:
        wanted = self._wanted
        sinks: list[FrameSink] = []
        if wanted.masks is not None:
            writer = MaskWriter(wanted.masks, every=wanted.every, format=wanted.masks_format)
            self._masks = FailSafe(self._stack.enter_context(writer))
            sinks.append(self._masks)
        if wanted.overlay is not None or wanted.report is not None:
            self._spool = FailSafe(self._stack.enter_context(RegionSpool()))
            sinks.append(self._spool)
        self._sink = FrameSinks(*sinks) if sinks else None
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def make(self, path: Path, progress: Callable[[float], None], *, frames: bool) -> Report:
        """Scan one clip and make everything wanted of it; the report holds frames where any need them.

        Raises
        ------
        UsageError
            Where a track was asked for that the clip does not have.
        """
        wanted, scanner = self._wanted, self._scanner
        self.notes, self._missing, self._shelf = [], [], Shelf()
        frames = frames or self._sink is not None
        series: list[FaceSeries] = []
        if wanted.person is None and wanted.report is None and not (wanted.pose or wanted.gaze):
            report = scanner.scan(path, masks=self._sink, frames=frames, progress=progress)
        else:
            report, series = scanner.examine(
                path, masks=self._sink, frames=frames, progress=progress, shelf=self._shelf
            )
        if report.error is not None:
            return report
        if wanted.person is not None:
            report = replace(report, person=self._compare(wanted.person, series, path))
        if self._masks is not None:
            with self._warned("masks", wanted.masks):
                self._masks.whole()
        if wanted.overlay is not None:
            with self._warned("overlay", wanted.overlay):
                self._draw(path, report, series)
        if wanted.report is not None:
            with self._warned("page", wanted.report):
                self._write_page(path, report, series)
        return replace(report, warnings=(*report.warnings, *self._missing))

    @contextmanager
    def _warned(self, product: str, target: Path | None) -> Iterator[None]:
        """Turns a failure to write a product into a warning of the report."""
        try:
            yield
        except (OSError, SetupError, InputError) as error:
            why = getattr(error, "strerror", None) or error
            note = Note(f"{product}{NOT_WRITTEN}", f"{display_name(str(target))} could not be written: {why}")
            self._missing.append(note)
            self.notes.append(f"warning[{note.code}]: {note.message}")

    def _compare(self, person: PersonModel, series: list[FaceSeries], path: Path) -> PersonReport:
        track = self._wanted.track
        if track is not None:
            own = [s for s in series if s.track_id == track]
            if not own:
                raise UsageError(f"{path} has no track {track}")
            return person.judge(own[0])
        if not series:
            return PersonReport(person.name, None, "not_applicable", None, None, lack="no_face")
        return person.judge(max(series, key=lambda s: (len(s.times), -s.track_id)))

    def _draw(self, path: Path, report: Report, series: list[FaceSeries]) -> None:
        from vidscan.report.overlay import write_overlay

        wanted = self._wanted
        assert wanted.overlay is not None and self._spool is not None
        picture = is_picture(report.input.container, report.input.duration_s)
        target = self._target(wanted.overlay, path, report, ".png" if picture else ".mp4")
        done = write_overlay(
            path,
            target,
            report,
            self._spool.whole(),
            series={s.track_id: s for s in series},
            pose=wanted.pose,
            gaze=wanted.gaze,
        )
        self.notes.append(f"{done.output}: the clip with the result drawn on it")
        if done.sound is False:
            self.notes.append(f"{done.output}: without its sound, which MP4 does not take as it is")

    def _write_page(self, path: Path, report: Report, series: list[FaceSeries]) -> None:
        from vidscan.report.html import write_html
        from vidscan.report.pictures import gather_pictures

        assert self._wanted.report is not None and self._spool is not None
        target = self._target(self._wanted.report, path, report, ".html")
        telling, thumbnails = gather_pictures(path, report, self._spool.whole(), self._scanner.classifier)
        write_html(report, target, telling=telling, series=series, thumbnails=thumbnails, shelf=self._shelf)
        self.notes.append(f"{target}: the report")

    def _target(self, given: Path, path: Path, report: Report, suffix: str) -> Path:
        if not self._wanted.several:
            return given
        given.mkdir(parents=True, exist_ok=True)
        target = given / f"{clip_name(path, report.input.sha256 or '')}{suffix}"
        if not self._wanted.overwrite and holds_foreign_media(target):
            raise FileExistsError(errno.EEXIST, "it holds media that vidscan did not write", str(target))
        return target

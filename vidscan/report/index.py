"""The page over a folder scan: every file with its verdict, to be sorted, filtered and clicked through."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from urllib.parse import quote

from vidscan.paths import clip_name
from vidscan.report.page import write_page
from vidscan.report.shown import shown
from vidscan.report.words import LABEL_NAMES, LIKENESS, error_words, likeness
from vidscan.types import Label, Report

_RANKS = {label: rank for rank, label in enumerate(LABEL_NAMES)}


@dataclass(frozen=True, slots=True)
class _Row:
    """What the page keeps of one report, so that 10,000 of them fit in memory many times over."""

    folder: str
    name: str
    href: str | None
    label: Label
    rank: int
    score: float | None
    p_value: float | None
    likeness: str
    faces: int
    duration_s: float | None
    error: str | None
    notes: tuple[str, ...]


class WrittenPages:
    """The pages that are in a folder now.

    Files of the same content have one page, under the name of whichever was scanned.
    """

    def __init__(self, folder: Path) -> None:
        self._names = {path.name for path in folder.glob("*.html")}
        self._by_content = {Path(name).stem.rpartition("-")[2]: name for name in sorted(self._names)}

    def find(self, report: Report) -> str | None:
        """The file name of a report's page; None where it has none."""
        sha256 = report.input.sha256
        if report.error is not None or sha256 is None:
            return None
        own = f"{clip_name(report.input.path, sha256)}.html"
        return own if own in self._names else self._by_content.get(sha256[:8])


_RELOAD_S = 20
"""Seconds after which a page that is written again and again reloads itself."""


def write_index(
    rows: Iterable[tuple[Report, str | None]],
    out: Path,
    *,
    title: str = "Folder scan",
    updated: datetime | None = None,
) -> None:
    """Write the index page of a scan to ``out``, atomically; its folder is made where it is missing.

    Parameters
    ----------
    rows
        Each report, and the path of its own page relative to the folder of ``out`` (``/`` between folders;
        it need not be quoted), None where it has none. Reports are let go as they come.
    title
        What was scanned.
    updated
        When, of a page that will be written again: it says so, and reloads itself.

    Raises
    ------
    ValueError
        Where a link is absolute: the pages would not survive being moved.
    OSError
        Where the file cannot be written.
    """
    kept = sorted((_row(report, link) for report, link in rows), key=_urgency)
    labels = Counter(row.label for row in kept)
    errors = Counter(row.error for row in kept if row.error)
    context = {
        "title": title,
        "rows": kept,
        "label_names": LABEL_NAMES,
        "likeness": LIKENESS,
        "labels": labels,
        "updated": None if updated is None else f"{updated:%Y-%m-%d %H:%M:%S}",
        "reload_s": _RELOAD_S,
        "errors": sorted(errors.items(), key=lambda pair: (-pair[1], pair[0])),
    }
    write_page(out, "index.html.j2", "index.js", context)


def _urgency(row: _Row) -> tuple[int, float, str, str]:
    return row.rank, -(row.score or 0.0), row.folder, row.name


def _row(report: Report, link: str | None) -> _Row:
    verdict, path = shown(report).verdict, PurePath(report.input.path)
    folder = str(path.parent)
    notes = [flag.message for flag in report.quality.flags] + [note.message for note in report.warnings]
    if report.error is not None:
        notes.insert(0, error_words(report))
    return _Row(
        folder="" if folder == "." else folder,
        name=path.name or report.input.path,
        href=None if link is None else _href(link),
        label=verdict.label,
        rank=_RANKS[verdict.label],
        score=verdict.score,
        p_value=verdict.p_value,
        likeness=likeness(verdict) or "",
        faces=len(report.tracks),
        duration_s=report.input.duration_s,
        error=None if report.error is None else report.error.code,
        notes=tuple(dict.fromkeys(notes)),
    )


def _href(link: str) -> str:
    """A relative address: with ./ before it, no name can pass for a scheme or a host."""
    if PurePath(link).is_absolute():
        raise ValueError(f"the link {link!r} is not relative")
    return "./" + quote(os.fsencode(link))

"""Scanning labeled files with the very pipeline that users run, and keeping what it said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidscan.batch.engine import ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.results import ResultFile
from vidscan.batch.scan import scan_all
from vidscan.errors import SetupError
from vidscan.evaluation.statistics import Sample
from vidscan.paths import path_names
from vidscan.training.corpus import Entry, read_manifest
from vidscan.types import ModelRef, Report, ScanSettings

BELOW_ALL = -1e9
"""Stands for minus infinity, which scikit-learn does not take."""


@dataclass(frozen=True, slots=True)
class Scanning:
    """How files are scanned: the settings of the pipeline, its device, worker processes (0: as fit)."""

    settings: ScanSettings = field(default_factory=ScanSettings)
    device: str = "auto"
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the scanner said of one file."""

    statistic: float
    """Log-odds of the verdict's score; -inf where no face was found or the file could not be scanned."""
    label: str
    error: str | None
    face_px: float | None
    """Side of the face that the verdict is about, in pixels of the frame."""

    @classmethod
    def of(cls, report: Report) -> Outcome:
        score = report.verdict.score
        return cls(
            statistic=-np.inf if score is None else _log_odds(score),
            label=report.verdict.label,
            error=f"{report.error.code}: {report.error.message}" if report.error else None,
            face_px=report.quality.face_px,
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """One clip of the corpus with what the scanner said of it."""

    entry: Entry
    statistic: float
    """As in :class:`Outcome`."""
    label: str
    error: str | None
    face_px: float | None = None

    @classmethod
    def of(cls, entry: Entry, outcome: Outcome) -> Scored:
        return cls(entry, outcome.statistic, outcome.label, outcome.error, outcome.face_px)


def load_split(corpus: Path, split: str) -> list[Entry]:
    """The manifest's entries of one split.

    Raises SetupError where there are none.
    """
    entries = [e for e in read_manifest(corpus) if e.split == split]
    if not entries:
        raise SetupError(f"the manifest of {corpus} has no clips in split {split!r}")
    return entries


def scan_reports(
    paths: Sequence[Path], cache: Path, how: Scanning, advance: Callable[[], None]
) -> dict[Path, Report]:
    """Scan files; reports are kept in ``cache`` by content, model hashes and settings.

    ``advance`` is called after each file.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    by_name = {path_names(path).path: path for path in paths}
    reports: dict[Path, Report] = {}

    def take(report: Report) -> None:
        reports[by_name[report.input.path]] = report
        advance()

    spec = ScannerSpec(settings=how.settings, device=how.device)
    with ResultFile(cache, resume=True) as results, LocalEngine(spec, jobs=how.jobs) as engine:
        for report in scan_all(list(by_name.values()), engine, results, skipped=take):
            take(report)
    return reports


def scan_files(
    paths: Sequence[Path], cache: Path, how: Scanning, advance: Callable[[], None]
) -> tuple[dict[Path, Outcome], tuple[ModelRef, ...]]:
    """As :func:`scan_reports`: what was said of each path, and the models."""
    reports = scan_reports(paths, cache, how, advance)
    models = next((report.models for report in reports.values() if report.models), ())
    return {path: Outcome.of(report) for path, report in reports.items()}, models


def scan_derived(
    paths: Sequence[Path],
    failures: dict[Path, str],
    cache: Path,
    how: Scanning,
    advance: Callable[[], None],
) -> dict[Path, Outcome]:
    """Scan derived clips like :func:`scan_files`; those that could not be made count as errors."""
    made = [path for path in paths if path not in failures]
    outcomes, _ = scan_files(made, cache, how, advance)
    return outcomes | {path: Outcome(-np.inf, "error", error, None) for path, error in failures.items()}


def scan_corpus(
    corpus: Path,
    entries: Sequence[Entry],
    cache: Path,
    how: Scanning,
    advance: Callable[[], None],
) -> tuple[list[Scored], tuple[ModelRef, ...]]:
    """Scan the entries' files, in their order; see :func:`scan_files`.

    Raises SetupError where a file of the manifest is missing.
    """
    paths = {entry.file: corpus / entry.file for entry in entries}
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        raise SetupError(f"{len(missing)} files of the manifest are missing, the first is {missing[0]}")
    outcomes, models = scan_files(list(paths.values()), cache, how, advance)
    return [Scored.of(entry, outcomes[paths[entry.file]]) for entry in entries], models


def sample(clips: Sequence[Scored]) -> Sample:
    """The clips' statistics and people; clips without a face rank below all others."""
    values = np.maximum(np.array([s.statistic for s in clips], float), BELOW_ALL)
    return Sample(values, [s.entry.identity for s in clips])


def _log_odds(score: float) -> float:
    """Of a score that was rounded for the report, and may be 0 or 1."""
    inside = min(max(score, 1e-7), 1 - 1e-7)
    return float(np.log(inside / (1 - inside)))

"""A batch from paths to reports: every content once, every file reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vidscan.batch.engine import Engine, Job
from vidscan.batch.results import Done, ResultFile, renamed
from vidscan.models import file_sha256
from vidscan.types import Report


def scan_all(
    paths: Sequence[Path],
    engine: Engine,
    results: ResultFile | None = None,
    *,
    skipped: Callable[[Report], None] | None = None,
) -> Iterator[Report]:
    """Scans files and yields a report for each, in order of completion.

    Files of the same content are scanned once and reported under each name. Where
    ``results`` is given every report is in it before it is yielded, and files that it holds
    already are not scanned again.

    Parameters
    ----------
    paths
        The files, as :func:`vidscan.batch.discover.discover` returns them.
    engine
        Scans them; is started here, and closed by its owner.
    results
        The results file, or None.
    skipped
        Called with the report of each file that ``results`` held already.
    """
    identity = engine.start()
    done = Done()
    if results is not None:
        results.open(identity, done)
    twins: dict[str, list[Path]] = {}
    copies: deque[Report] = deque()

    def unseen() -> Iterator[Job]:
        for path in paths:
            sha256 = content_sha256(path)
            if sha256 is None:  # the scanner will say what is wrong with it
                yield Job(path)
                continue
            known = done.get(path, sha256)
            if known is not None:
                if done.has(path, sha256):
                    if skipped is not None:
                        skipped(known)
                else:
                    copies.append(known)
            elif sha256 in twins:
                twins[sha256].append(path)
            else:
                twins[sha256] = []
                yield Job(path, sha256)

    def finish(report: Report) -> Report:
        done.add(report)
        if results is not None:
            results.write(report)
        return report

    for job, report in engine.scan(unseen(), expected=len(paths)):
        yield finish(report)
        for twin in twins.pop(job.sha256, []) if job.sha256 else []:
            yield finish(renamed(report, twin))
        while copies:
            yield finish(copies.popleft())
    while copies:
        yield finish(copies.popleft())


def content_sha256(path: Path) -> str | None:
    """The content's hash in hexadecimal; None for what is no readable regular file."""
    try:
        # A pipe or a device may never end: those are the scanner's to refuse.
        return file_sha256(path) if path.is_file() else None
    except OSError:
        return None

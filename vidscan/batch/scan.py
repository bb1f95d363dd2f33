"""A batch from paths to reports: every content once, every file reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from vidscan.batch.engine import Engine, Job, Location
from vidscan.batch.results import Done, ResultFile, renamed
from vidscan.types import Report


def scan_all(
    paths: Sequence[Location],
    engine: Engine,
    results: ResultFile | None = None,
    *,
    skipped: Callable[[Report], None] | None = None,
    kept: Callable[[Report], None] | None = None,
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
        Called with the report of each of ``paths`` that ``results`` held already.
    kept
        Called with every report that ``results`` held already, asked for now or not.
    """
    return Batch(engine, results, paths, kept=kept).scan(paths, skipped=skipped)


class Batch:
    """A batch whose files may come in several rounds: what was scanned in one is known in the next.

    Parameters
    ----------
    engine, results, kept
        As :func:`scan_all` takes them.
    paths
        Those of the first round.
    """

    def __init__(
        self,
        engine: Engine,
        results: ResultFile | None = None,
        paths: Sequence[Location] = (),
        *,
        kept: Callable[[Report], None] | None = None,
    ) -> None:
        self._engine, self._results, self._done = engine, results, Done()
        identity = engine.start()
        if results is not None:
            results.open(identity, self._done, paths, kept)

    def scan(
        self, paths: Sequence[Location], *, skipped: Callable[[Report], None] | None = None
    ) -> Iterator[Report]:
        """One round; see :func:`scan_all`."""
        done = self._done
        twins: dict[str, list[Location]] = {}
        copies: deque[Report] = deque()

        def admit(job: Job) -> bool:
            known = done.get(job.path, job.sha256)
            if known is not None:
                if done.has(job.path, job.sha256):
                    if skipped is not None:
                        skipped(known)
                else:
                    copies.append(known)
                return False
            if job.sha256 is None:  # the scanner will say what is wrong with it
                return True
            if job.sha256 in twins:
                twins[job.sha256].append(job.path)
                return False
            twins[job.sha256] = []
            return True

        for job, found in self._engine.scan((Job(path) for path in paths), admit=admit, expected=len(paths)):
            # A report of what went wrong need not know the content, but --resume must.
            clip = replace(found.input, sha256=found.input.sha256 or job.sha256)
            report = self._finish(replace(found, input=clip))
            yield report
            for twin in twins.pop(job.sha256, []) if job.sha256 else []:
                yield self._finish(renamed(report, twin))
            while copies:
                yield self._finish(copies.popleft())
        while copies:
            yield self._finish(copies.popleft())

    def _finish(self, report: Report) -> Report:
        self._done.add(report)
        if self._results is not None:
            self._results.write(report)
        return report

"""The local engine: worker processes on this machine."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

from vidscan.batch.engine import Admit, Feed, Identity, Job, ScannerSpec, Task
from vidscan.batch.process import WorkerProcess
from vidscan.errors import (
    DecoderCrashedError,
    InputError,
    OutOfMemoryError,
    ScanTimeoutError,
    SetupError,
    VidscanError,
)
from vidscan.machine import default_jobs
from vidscan.report.json import loads
from vidscan.types import Report

_LOAD_TIMEOUT_S = 600.0
_MAX_LOAD_FAILURES = 3
"""Workers that may die one after another while they load before the engine gives up."""
_MAX_TRIES = 2
"""A file that ended its worker so often is not tried again."""
_MEMORY_POLL_S = 0.1


@dataclass(slots=True)
class _Worker:
    process: WorkerProcess
    deadline: float | None
    ready: bool = False
    task: Task | None = None
    empty_bytes: int = 0
    """Resident set when it had just loaded."""


@dataclass(slots=True)
class _Work:
    """What one call of ``scan`` or ``follow`` still has to do."""

    source: Iterator[Job]
    admit: Admit | None
    feed: Feed | None = None
    again: deque[Task] = field(default_factory=deque)
    more: bool = True

    def next(self) -> Task | None:
        """The next task; those that lost a worker come first."""
        if self.again:
            return self.again.popleft()
        if self.feed is not None:
            job = self.feed.next()
        else:
            job = next(self.source, None) if self.more else None
            self.more = job is not None
        return None if job is None else Task(job)

    @property
    def left(self) -> bool:
        """Whether there may be a next task."""
        return bool(self.again) or (self.more if self.feed is None else not self.feed.closed)


class LocalEngine:
    """Scans files in worker processes, each with a scanner of its own.

    A worker that dies, is killed, takes too long or grows too large is replaced. A file whose worker
    died or outgrew its memory is tried once more, since the worker may not have died of it; the second
    time it is reported as ``decoder_crashed`` or ``out_of_memory``. One that takes too long is reported
    as ``timeout`` at once.

    Parameters
    ----------
    spec
        How workers make their scanner.
    jobs
        Worker processes; 0 chooses by device, cores and memory.
    timeout_s
        Seconds a file may take; 0 is for ever.
    max_memory
        Bytes of resident memory that a worker may hold, watched where the system tells (Linux, macOS);
        0 is any number.
    """

    def __init__(
        self, spec: ScannerSpec, *, jobs: int = 0, timeout_s: float = 0.0, max_memory: int = 0
    ) -> None:
        self.identity: Identity | None = None
        self._spec = spec
        self._jobs = jobs
        self._timeout_s = timeout_s
        self._max_memory = max_memory
        self._workers: list[_Worker] = []
        self._load_failures = 0

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers there are now."""
        return tuple(worker.process.pid for worker in self._workers)

    def start(self) -> Identity:
        """Starts the first worker and waits until it is ready; see :class:`Engine`."""
        if not self._workers:
            self._spawn()
        nothing = _Work(iter(()), None)
        while self.identity is None:
            for _ in self._collect(nothing):
                pass
        return self.identity

    def scan(
        self, jobs: Iterable[Job], *, admit: Admit | None = None, expected: int | None = None
    ) -> Iterator[tuple[Job, Report]]:
        """Scans the jobs; see :class:`Engine`."""
        yield from self._run(_Work(iter(jobs), admit), expected)

    def follow(self, feed: Feed, *, admit: Admit | None = None) -> Iterator[tuple[Job, Report]]:
        """Scans what a feed brings, until that is closed and the last report is out.

        All workers are started at once. One that is busy with a withdrawn job is ended, and nothing is
        reported of it.

        Parameters
        ----------
        feed
            Where jobs come from.
        admit
            As for :meth:`scan`.
        """
        yield from self._run(_Work(iter(()), admit, feed), None)

    def _run(self, work: _Work, expected: int | None) -> Iterator[tuple[Job, Report]]:
        identity = self.start()
        count = self._jobs or default_jobs(identity.device)
        if expected is not None:
            count = max(1, min(count, expected))
        for worker in list(self._workers):
            if worker.task is not None:  # left by a scan whose caller did not wait for its end
                self._replace(worker)
        while len(self._workers) < count:
            self._spawn()
        while True:
            for worker in list(self._workers):
                if work.left and worker.ready and worker.task is None:
                    self._give(worker, work)
            if not work.left and all(worker.task is None for worker in self._workers):
                return
            yield from self._collect(work)

    def close(self) -> None:
        """Ends all workers at once."""
        while self._workers:
            self._workers.pop().process.kill()

    def _give(self, worker: _Worker, work: _Work) -> None:
        """Hands an idle worker its next task, unless the worker is fit for none."""
        if worker.process.connection.poll() or self._bloated(worker):
            self._replace(worker)  # it died while idle, which is no file's doing, or hoards memory
            return
        task = work.next()
        if task is not None:
            worker.task = task
            worker.deadline = time.monotonic() + self._timeout_s if self._timeout_s > 0 else None
            worker.process.send("fetch", os.fspath(task.job.path), task.job.sha256)

    def _collect(self, work: _Work) -> Iterator[tuple[Job, Report]]:
        """Waits for news of the workers (messages, deaths, deadlines, sizes) and acts on them."""
        connections = [worker.process.connection for worker in self._workers]
        if work.feed is not None:
            connections.append(work.feed.wake)
        spoken = wait(connections, self._patience())
        if work.feed is not None and work.feed.wake in spoken:
            self._hear_feed(work, work.feed)
        for worker in list(self._workers):
            if worker.process.connection in spoken:
                message = worker.process.receive()
                if message is None:
                    yield from self._bury(worker, work)
                else:
                    yield from self._hear(worker, message, work)
            elif worker.deadline is not None and time.monotonic() >= worker.deadline:
                if worker.task is None:
                    self._count_load_failure("a worker process does not get ready")
                    self._replace(worker)
                else:
                    error = ScanTimeoutError(f"the scan took longer than {self._timeout_s:g} seconds")
                    yield from self._lose(worker, error, work, retry=False)
            elif worker.task is not None and 0 < self._max_memory < worker.process.resident():
                limit = OutOfMemoryError(f"the scan needs more than {self._max_memory / 1e6:.0f} MB")
                yield from self._lose(worker, limit, work, retry=True)

    def _hear_feed(self, work: _Work, feed: Feed) -> None:
        """Lets go of what was withdrawn."""
        while feed.wake.poll():
            feed.wake.recv_bytes()
        work.again = deque(task for task in work.again if not feed.withdrawn(task.job))
        for worker in list(self._workers):
            if worker.task is not None and feed.withdrawn(worker.task.job):
                self._replace(worker)

    def _patience(self) -> float | None:
        """Seconds until something has to be looked at without a message; None for ever."""
        now = time.monotonic()
        times = [max(0.0, worker.deadline - now) for worker in self._workers if worker.deadline is not None]
        if self._max_memory and any(worker.task is not None for worker in self._workers):
            times.append(_MEMORY_POLL_S)
        return min(times, default=None)

    def _hear(self, worker: _Worker, message: list[Any], work: _Work) -> Iterator[tuple[Job, Report]]:
        """Acts on a worker's message."""
        word, *rest = message
        task = worker.task
        if word == "ready":
            self._welcome(worker, rest[0])
        elif word == "failed":
            code, text = rest
            # Anything but a setup error is a failure nobody foresaw, and exits differently.
            problem = VidscanError(text) if code == VidscanError.code else SetupError(text)
            problem.code = code
            raise problem
        elif task is None:
            self._replace(worker)  # it cannot be trusted with a file
        elif word == "fetched":
            known = task.job.sha256 is not None
            task.job = replace(task.job, sha256=task.job.sha256 or rest[0])
            if known or work.admit is None or work.admit(task.job):
                worker.process.send("scan", dict(task.job.options))
            else:
                worker.task = worker.deadline = None
        else:
            try:
                report = loads(rest[0])
            except ValueError:
                error = DecoderCrashedError("the scanning process returned no report")
                yield from self._lose(worker, error, work, retry=True)
                return
            worker.task = worker.deadline = None
            yield task.job, report

    def _welcome(self, worker: _Worker, identity: str) -> None:
        worker.ready, worker.deadline = True, None
        worker.empty_bytes = worker.process.resident()
        self._load_failures = 0
        if self.identity is None:
            self.identity = Identity.from_json(identity)
        if 0 < self._max_memory < worker.empty_bytes:
            raise SetupError(
                f"a worker needs {worker.empty_bytes / 1e6:.0f} MB before its first file, "
                f"more than the {self._max_memory / 1e6:.0f} MB allowed"
            )

    def _bury(self, worker: _Worker, work: _Work) -> Iterator[tuple[Job, Report]]:
        """Replaces a worker that is gone."""
        death = worker.process.death()
        if worker.task is not None:
            yield from self._lose(worker, DecoderCrashedError(death), work, retry=True)
            return
        if not worker.ready:
            self._count_load_failure(f"a worker process ended while it loaded: {death}")
        self._replace(worker)

    def _lose(
        self, worker: _Worker, error: InputError, work: _Work, *, retry: bool
    ) -> Iterator[tuple[Job, Report]]:
        """Replaces a worker, and reports its file or puts it by for another try."""
        task = worker.task
        assert task is not None and self.identity is not None
        self._replace(worker)
        if work.feed is not None and work.feed.withdrawn(task.job):
            return  # nobody woke us since
        final = task.lost(error, _MAX_TRIES if retry else 1)
        if final is None:
            work.again.append(task)
        else:
            yield task.job, self._spec.make_error_report(task.job.path, final, self.identity)

    def _bloated(self, worker: _Worker) -> bool:
        """Whether an idle worker keeps so much memory that the next file would pay for it."""
        if not self._max_memory:
            return False
        return worker.process.resident() > (worker.empty_bytes + self._max_memory) / 2

    def _count_load_failure(self, message: str) -> None:
        self._load_failures += 1
        if self._load_failures >= _MAX_LOAD_FAILURES:
            raise SetupError(message)

    def _replace(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        self._spawn()

    def _spawn(self) -> None:
        self._workers.append(_Worker(WorkerProcess(self._spec), time.monotonic() + _LOAD_TIMEOUT_S))

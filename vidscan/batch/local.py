"""The local engine: worker processes on this machine."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType

from vidscan.batch.engine import Identity, Job, ScannerSpec
from vidscan.batch.worker import work
from vidscan.errors import DecoderCrashedError, InputError, ScanTimeoutError, SetupError, VidscanError
from vidscan.types import Report

_BYTES_PER_WORKER = 1536 * 1024**2
_MAX_GPU_JOBS = 4


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    job: Job | None = None
    deadline: float | None = None

    def kill(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


class LocalEngine:
    """Scans files in worker processes, each with a scanner of its own.

    A worker that dies takes one file with it (``decoder_crashed``), one that takes too long is
    killed (``timeout``); both are replaced.

    Parameters
    ----------
    spec
        How workers make their scanner.
    jobs
        Worker processes; 0 chooses by device, cores and memory.
    timeout_s
        Seconds a file may take; 0 is for ever.
    """

    def __init__(self, spec: ScannerSpec, *, jobs: int = 0, timeout_s: float = 0.0) -> None:
        self.identity: Identity | None = None
        self._spec = spec
        self._jobs = jobs
        self._timeout_s = timeout_s
        self._workers: list[_Worker] = []

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Identity:
        """Starts the first worker and waits until it is ready; see :class:`Engine`."""
        if self.identity is None:
            worker = self._spawn()
            wait([worker.connection])
            self._greet(worker)
        assert self.identity is not None
        return self.identity

    def scan(self, jobs: Iterable[Job], *, expected: int | None = None) -> Iterator[tuple[Job, Report]]:
        """Scans the jobs; see :class:`Engine`."""
        identity = self.start()
        workers = self._jobs or default_jobs(identity.device)
        if expected is not None:
            workers = max(1, min(workers, expected))
        while len(self._workers) < workers:
            self._spawn()
        source = iter(jobs)
        more = True
        while True:
            for worker in self._workers:
                if more and worker.ready and worker.job is None:
                    job = next(source, None)
                    if job is None:
                        more = False
                    else:
                        self._give(worker, job)
            busy = [worker for worker in self._workers if worker.job is not None]
            if not busy and not more:
                return
            # Workers still starting are waited for only while there may be work for them.
            watched = [worker for worker in self._workers if worker in busy or (more and not worker.ready)]
            yield from self._collect(watched, identity)

    def close(self) -> None:
        """Ends all workers at once."""
        while self._workers:
            self._workers.pop().kill()

    def _collect(self, watched: list[_Worker], identity: Identity) -> Iterator[tuple[Job, Report]]:
        """Waits for news of the workers: reports, deaths, deadlines."""
        deadlines = [worker.deadline for worker in watched if worker.deadline is not None]
        patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        spoken = set(wait([worker.connection for worker in watched], patience))
        for worker in watched:
            if worker.connection in spoken:
                if not worker.ready:
                    self._greet(worker)
                elif worker.job is not None:
                    job, worker.job, worker.deadline = worker.job, None, None
                    try:
                        yield job, worker.connection.recv()
                    except (EOFError, OSError):
                        yield job, self._lose(worker, job, _crash(worker), identity)
            elif worker.job is not None and time.monotonic() >= (worker.deadline or math.inf):
                error = ScanTimeoutError(f"the scan took longer than {self._timeout_s:g} seconds")
                yield worker.job, self._lose(worker, worker.job, error, identity)

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.job = job
        worker.deadline = time.monotonic() + self._timeout_s if self._timeout_s > 0 else None
        with suppress(OSError):  # it died while idle; the pipe says so when it is next read
            worker.connection.send(os.fspath(job.path))

    def _lose(self, worker: _Worker, job: Job, error: InputError, identity: Identity) -> Report:
        """Replaces a worker that is of no more use, and reports the file it had."""
        self._workers.remove(worker)
        worker.kill()
        self._spawn()
        return self._spec.make_error_report(job.path, error, identity)

    def _greet(self, worker: _Worker) -> None:
        """Takes a new worker's first message."""
        try:
            word, content = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise SetupError(f"a worker process ended while it loaded: {_crash(worker)}") from error
        if word == "failed":
            code, message = content
            # Anything but a setup error is a failure nobody foresaw, and exits differently.
            problem = VidscanError(message) if code == VidscanError.code else SetupError(message)
            problem.code = code
            raise problem
        worker.ready = True
        if self.identity is None:
            self.identity = content

    def _spawn(self) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self._spec.to_json()), daemon=True)
        with _interrupts_ignored():
            process.start()
        theirs.close()  # so that the worker's end closes with the worker
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker


def default_jobs(device: str) -> int:
    """Workers that suit this machine: one a core, as far as memory goes; few share a GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = cores
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        jobs = min(jobs, memory // _BYTES_PER_WORKER)
    if device.startswith("cuda"):
        jobs = min(jobs, _MAX_GPU_JOBS)
    return max(1, jobs)


def _crash(worker: _Worker) -> DecoderCrashedError:
    worker.process.join(5)
    code = worker.process.exitcode
    how = f"exit status {code}" if code is None or code >= 0 else signal.Signals(-code).name
    hint = ", perhaps for want of memory" if code == -getattr(signal, "SIGKILL", 9) else ""
    return DecoderCrashedError(f"the scanning process died ({how}{hint})")


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside inherit that Ctrl-C is ignored, from their first instruction."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

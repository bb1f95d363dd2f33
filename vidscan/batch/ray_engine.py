"""The Ray engine: the same work on the machines of a cluster.

Each actor is a slot: a light process that fetches files on its machine and scans them in a worker process
of its own (a :class:`~vidscan.batch.local.LocalEngine` of one), so that crashes, time limits and memory
limits are what they are without Ray. The driver gives a slot one file at a time, so at most one file a
slot is in flight, and files whose slot was lost with its machine are given to another.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from vidscan.batch.engine import Admit, Identity, Job, ScannerSpec, Task
from vidscan.batch.fetch import Fetched, fetch
from vidscan.batch.local import LocalEngine
from vidscan.batch.results import renamed
from vidscan.errors import DecoderCrashedError, ScanTimeoutError, SetupError, VidscanError, lacking
from vidscan.report.json import dumps, loads
from vidscan.types import Report

_GRACE_S = 60.0
"""Seconds beyond the time limit that a slot has for saying that its worker kept to it."""
_LOAD_TIMEOUT_S = 900.0
_FOREVER_S = 1e9
_MAX_LOAD_FAILURES = 5
"""Slots that may be lost one after another before they are ready, until the engine gives up."""
_MAX_LOSSES = 5
"""Slots that may be lost with one file. No decoder runs in a slot itself, so it is hardly the file."""


class Slot:
    """What runs as an actor: one worker process, one file at a time."""

    def __init__(self, spec: str, timeout_s: float, max_memory: int) -> None:
        self._spec = ScannerSpec.from_json(spec)
        self._engine = LocalEngine(self._spec, jobs=1, timeout_s=timeout_s, max_memory=max_memory)
        self._held: Fetched | None = None

    def start(self) -> tuple[str, str]:
        """``("ready", identity)``, or the code and the message of a setup that cannot work."""
        try:
            return "ready", self._engine.start().to_json()
        except VidscanError as error:
            return error.code, str(error)

    def fetch(self, path: str) -> str | None:
        """Brings a file within reach; the hash of its content."""
        self.release()
        self._held = fetch(path, None, self._spec.max_download)
        return self._held.sha256

    def scan(self) -> str:
        """The report of the file fetched last, as JSON."""
        held = self._held
        assert held is not None
        if held.error is not None:
            report = self._spec.make_error_report(held.location, held.error, self._engine.start())
        else:
            ((_, report),) = self._engine.scan([Job(held.path, held.sha256)])
            if held.location != held.path:
                report = renamed(report, held.location)
        self.release()
        return dumps(report)

    def release(self) -> None:
        """Lets go of the file."""
        if self._held is not None:
            self._held.release()
            self._held = None


@dataclass(slots=True)
class _Slot:
    """An actor as the driver sees it. ``call`` is the object reference of what it is at."""

    actor: Any
    call: Any
    stage: str
    deadline: float
    task: Task | None = None


class RayEngine:
    """Scans files in Ray actors.

    Parameters
    ----------
    spec, timeout_s, max_memory
        As for :class:`~vidscan.batch.local.LocalEngine`.
    jobs
        Actors; 0 takes as many as the cluster has room for when scanning starts.
    address
        Of the cluster's head (``host:6379``, ``ray://host:10001``, ``auto``); empty starts Ray on this
        machine.
    gpus
        Share of a GPU that each actor claims, such as 0.25; 0 leaves GPUs to ``spec.device``.

    Raises
    ------
    SetupError
        Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self,
        spec: ScannerSpec,
        *,
        jobs: int = 0,
        timeout_s: float = 0.0,
        max_memory: int = 0,
        address: str = "",
        gpus: float = 0.0,
    ) -> None:
        self.identity: Identity | None = None
        self._ray = _import_ray()
        self._spec, self._jobs, self._timeout_s, self._max_memory = spec, jobs, timeout_s, max_memory
        self._gpus = gpus
        self._slots: list[_Slot] = []
        self._load_failures = 0
        self._ours = not self._ray.is_initialized()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a scan tells nobody that it ran
        if self._ours:
            try:
                self._ray.init(
                    address=address or "local",
                    ignore_reinit_error=True,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="error",
                )
            except Exception as error:  # ConnectionError, ValueError, RuntimeError, by version
                reason = " ".join(str(error).split())[:300]
                raise SetupError(f"no Ray cluster at {address or 'this machine'}: {reason}") from error

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Identity:
        """Starts the first actor and waits until it is ready; see :class:`Engine`."""
        if not self._slots:
            self._spawn()
        while self.identity is None:
            for _ in self._collect(deque(), None):
                pass
        return self.identity

    def scan(
        self, jobs: Iterable[Job], *, admit: Admit | None = None, expected: int | None = None
    ) -> Iterator[tuple[Job, Report]]:
        """Scans the jobs; see :class:`Engine`."""
        self.start()
        count = self._jobs or self._room()
        if expected is not None:
            count = max(1, min(count, expected))
        for slot in list(self._slots):
            if slot.task is not None:  # left by a scan whose caller did not wait for its end
                self._replace(slot)
        while len(self._slots) < count:
            self._spawn()
        source, more = iter(jobs), True
        again: deque[Task] = deque()
        while True:
            for slot in self._slots:
                if slot.stage != "idle":
                    continue
                task = again.popleft() if again else None
                if task is None and more:
                    job = next(source, None)
                    more = job is not None
                    task = None if job is None else Task(job)
                if task is not None:
                    slot.task = task
                    self._call(slot, "fetch", os.fspath(task.job.path), wait_s=self._timeout_s)
            if not more and not again and all(slot.task is None for slot in self._slots):
                return
            yield from self._collect(again, admit)

    def close(self) -> None:
        """Ends the actors, and Ray where this engine started it."""
        while self._slots:
            self._kill(self._slots.pop())
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()
        self._ours = False

    def _collect(self, again: deque[Task], admit: Admit | None) -> Iterator[tuple[Job, Report]]:
        """Waits until a slot has an answer, is lost or is late, and acts on it."""
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        patience = min((slot.deadline for slot in calls.values()), default=0.0) - time.monotonic()
        done, _ = self._ray.wait(
            list(calls), num_returns=1, timeout=max(0.0, min(patience, _LOAD_TIMEOUT_S)), fetch_local=True
        )
        for call in done:
            yield from self._hear(calls[call], again, admit)
        for slot in [slot for slot in calls.values() if slot.call is not None]:
            if time.monotonic() < slot.deadline or slot not in self._slots:
                continue
            if slot.task is None and any(other.stage != "start" for other in self._slots):
                slot.deadline += _LOAD_TIMEOUT_S  # a smaller cluster than there was; it may grow again
            else:
                error = ScanTimeoutError(f"the scan took longer than {self._timeout_s:g} seconds")
                yield from self._lose(slot, error, again, retry=False)

    def _hear(self, slot: _Slot, again: deque[Task], admit: Admit | None) -> Iterator[tuple[Job, Report]]:
        call, slot.call = slot.call, None
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            text = f"the slot was lost: {str(error).splitlines()[0]}"
            yield from self._lose(slot, DecoderCrashedError(text), again, retry=True)
            return
        task = slot.task
        if slot.stage == "start":
            self._welcome(slot, *answer)
        elif task is None:
            slot.stage = "idle"
        elif slot.stage == "fetch":
            known = task.job.sha256 is not None
            task.job = replace(task.job, sha256=task.job.sha256 or answer)
            if known or admit is None or admit(task.job):
                self._call(slot, "scan", wait_s=2 * self._timeout_s)
            else:
                slot.task, slot.stage = None, "idle"
        else:
            slot.task, slot.stage = None, "idle"
            yield task.job, loads(answer)

    def _welcome(self, slot: _Slot, word: str, text: str) -> None:
        if word != "ready":
            problem = VidscanError(text) if word == VidscanError.code else SetupError(text)
            problem.code = word
            raise problem
        slot.stage = "idle"
        self._load_failures = 0
        if self.identity is None:
            self.identity = Identity.from_json(text)

    def _lose(
        self, slot: _Slot, error: DecoderCrashedError | ScanTimeoutError, again: deque[Task], *, retry: bool
    ) -> Iterator[tuple[Job, Report]]:
        """Replaces a slot, and gives its file to another or reports it."""
        task = slot.task
        if task is None:
            self._load_failures += 1
            if self._load_failures >= _MAX_LOAD_FAILURES:
                raise SetupError(f"Ray slots do not get ready: {error}")
            self._replace(slot)
            return
        self._replace(slot)
        final = task.lost(error, _MAX_LOSSES if retry else 1)
        if final is None:
            again.append(task)
        else:
            assert self.identity is not None
            yield task.job, self._spec.make_error_report(task.job.path, final, self.identity)

    def _room(self) -> int:
        """Actors that the cluster has room for, those running included."""
        total = self._ray.cluster_resources()
        room = int(total.get("CPU", 1))
        if self._gpus:
            room = min(room, int(total.get("GPU", 0) / self._gpus))
        return max(1, room)

    def _spawn(self) -> None:
        actor = (
            self._ray.remote(Slot)
            .options(num_cpus=1, num_gpus=self._gpus, max_restarts=0, scheduling_strategy="SPREAD")
            .remote(self._spec.to_json(), self._timeout_s, self._max_memory)
        )
        slot = _Slot(actor, None, "start", 0.0)
        self._call(slot, "start", wait_s=_LOAD_TIMEOUT_S)
        self._slots.append(slot)

    def _call(self, slot: _Slot, method: str, *arguments: Any, wait_s: float) -> None:
        slot.stage = method
        slot.call = getattr(slot.actor, method).remote(*arguments)
        slot.deadline = time.monotonic() + (wait_s + _GRACE_S if wait_s > 0 else _FOREVER_S)

    def _replace(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        self._kill(slot)
        self._spawn()

    def _kill(self, slot: _Slot) -> None:
        # The worker ends with the actor's process: it watches it.
        self._ray.kill(slot.actor)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SetupError(lacking("--engine ray needs Ray", "ray")) from None
    return ray

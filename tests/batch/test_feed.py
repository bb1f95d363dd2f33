"""Jobs that come and go while the engine runs."""

from __future__ import annotations

import threading
import time
from collections import deque
from multiprocessing import Pipe
from pathlib import Path

import pytest
from test_batch_engine import files, spec

from vidscan.batch.engine import Job
from vidscan.batch.local import LocalEngine
from vidscan.types import Report


class Feed:
    """Jobs from a list that other threads change."""

    def __init__(self) -> None:
        self.wake, self._poke = Pipe(duplex=False)
        self.waiting: deque[Job] = deque()
        self.unwanted: set[Path] = set()
        self.closing = False

    @property
    def closed(self) -> bool:
        return self.closing and not self.waiting

    def next(self) -> Job | None:
        return self.waiting.popleft() if self.waiting else None

    def withdrawn(self, job: Job) -> bool:
        return job.path in self.unwanted

    def put(self, *paths: Path) -> None:
        self.waiting.extend(Job(path) for path in paths)
        self.poke()

    def poke(self) -> None:
        self._poke.send_bytes(b"!")

    def close(self) -> None:
        self.closing = True
        self.poke()


def follow(engine: LocalEngine, feed: Feed) -> tuple[threading.Thread, list[tuple[str, Report]]]:
    got: list[tuple[str, Report]] = []

    def run() -> None:
        for job, report in engine.follow(feed):
            got.append((Path(job.path).stem, report))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, got


def wait_until(what: object, got: list[object], count: int) -> None:
    end = time.monotonic() + 120
    while len(got) < count:
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.mark.timeout(200)
def test_jobs_come_while_it_runs_and_it_ends_when_closed(tmp_path: Path) -> None:
    a, b, c = files(tmp_path, a="uncertain", b="manipulated", c="no_face")
    feed = Feed()
    with LocalEngine(spec(), jobs=1) as engine:
        thread, got = follow(engine, feed)
        feed.put(a)
        wait_until("the first", got, 1)
        feed.put(b, c)
        feed.close()
        thread.join(60)
        assert not thread.is_alive()
    assert [name for name, _ in got] == ["a", "b", "c"], "what waits when it is closed is scanned"
    assert [report.verdict.label for _, report in got] == ["uncertain", "manipulated", "no_face"]


@pytest.mark.timeout(200)
def test_a_withdrawn_job_loses_its_worker_and_is_not_reported(tmp_path: Path) -> None:
    a, b, crash = files(tmp_path, a="sleep", b="manipulated", crash="crash")
    feed = Feed()
    with LocalEngine(spec(), jobs=1) as engine:
        engine.start()
        (pid,) = engine.pids
        thread, got = follow(engine, feed)
        feed.put(a)
        while feed.waiting:
            time.sleep(0.01)
        feed.unwanted.add(a)
        feed.put(b)
        wait_until("the next job", got, 1)
        assert pid not in engine.pids
        feed.unwanted.add(crash)  # it comes back from its first crash and nobody wants it any more
        feed.put(crash)
        feed.close()
        thread.join(60)
        assert not thread.is_alive()
    assert [name for name, _ in got] == ["b"]

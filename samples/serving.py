"""A server in a process of its own, which may be killed; for tests and ``python -m benchmarks.serve``."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx


@dataclass
class Process:
    """A server's process and a client of it."""

    process: subprocess.Popen[str]
    client: httpx.Client

    def post(self, content: bytes, name: str = "clip.mp4", **fields: str) -> dict[str, Any]:
        answer = self.client.post("/v1/jobs", files={"file": (name, content)}, data=fields)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs by id."""
        found, since, more = {}, 0, True
        while more:
            page = self.client.get("/v1/jobs", params={"since": since, "limit": 1000}).json()
            found |= {job["id"]: job for job in page["jobs"]}
            since, more = page["next"], page["more"]
        return found

    def wait_until_done(self, count: int, seconds: float = 600.0) -> dict[str, dict[str, Any]]:
        """All jobs, once ``count`` have ended."""
        end = time.monotonic() + seconds
        while True:
            jobs = self.jobs()
            if sum(job["state"] in ("done", "failed") for job in jobs.values()) >= count:
                return jobs
            assert time.monotonic() < end, "the jobs do not end"
            time.sleep(0.1)

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(
    command: list[str], data: Path, *options: str, env: dict[str, str] | None = None
) -> Iterator[Process]:
    """``vidscan serve`` over a data folder; ``command`` is what runs vidscan."""
    arguments = [*command, "serve", "--data", str(data), "--port", "0", *options]
    process = subprocess.Popen(
        arguments,
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Whoever runs this in the background ignores Ctrl-C, and so would the server.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        url = re.match(r"vidscan: (http://\S+) ", first)
        assert url is not None, first + process.stderr.read()
        with httpx.Client(base_url=url[1], timeout=60, trust_env=False) as client:
            yield Process(process, client)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@dataclass(slots=True)
class Outcome:
    """What became of the jobs of servers that were killed."""

    kills: int = 0
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    unfinished: int = 0
    unknown: int = 0
    """Jobs whose acceptance the client did not hear of, since the server died; they end all the same."""


def kill_at_random(
    command: list[str],
    data: Path,
    content: Callable[[int], bytes],
    kills: int,
    *,
    seed: int,
    options: tuple[str, ...] = (),
    patience_s: float = 2.0,
    env: dict[str, str] | None = None,
) -> Outcome:
    """Sends jobs to a server that is killed ``kills`` times, and lets the last one come to an end."""
    rng, outcome, accepted, number = random.Random(seed), Outcome(), set[str](), 0
    for round in range(kills + 1):
        with serving(command, data, *options, env=env) as server:
            if round == kills:
                while _ended(jobs := server.jobs()) < len(jobs):
                    time.sleep(0.1)
                break
            killer = threading.Timer(rng.uniform(0, patience_s), server.process.kill)
            try:
                while True:  # one at least is accepted before, and one may be on its way when it happens
                    accepted.add(server.post(content(number))["id"])
                    number += 1
                    if not killer.ident:
                        killer.start()
                    time.sleep(rng.uniform(0, patience_s / 8))
            except httpx.TransportError:
                server.process.wait()
            outcome.kills += 1
    outcome.accepted = len(accepted)
    outcome.lost = len(accepted - set(jobs))
    outcome.unknown = len(set(jobs) - accepted)
    outcome.unfinished = sum(job["state"] not in ("done", "failed") for job in jobs.values())
    outcome.doubled = _results(data) - len({job["sha256"] for job in jobs.values()})
    return outcome


def _ended(jobs: dict[str, dict[str, Any]]) -> int:
    return sum(job["state"] in ("done", "failed") for job in jobs.values())


def _results(data: Path) -> int:
    """Reports that were kept: one a content, however often a scan was begun."""
    with sqlite3.connect(data / "jobs.sqlite") as database:
        return int(database.execute("SELECT count(*) FROM results").fetchone()[0])


def clean_environment(root: Path) -> dict[str, str]:
    """This process's, without settings of vidscan."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIDSCAN_")}
    return kept | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

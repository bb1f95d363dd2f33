"""A batch that is killed again and again, for the tests and for ``python -m benchmarks.kills``."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Outcome:
    """What became of the reports."""

    clips: int = 0
    batches: int = 0
    parent_kills: int = 0
    worker_kills: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    wrong_exit_codes: int = 0

    @property
    def kills(self) -> int:
        return self.parent_kills + self.worker_kills


def reports(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file, without the wall times, which differ between any two runs."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for report in found:
        del report["timing_s"]
    return found


def workers_of(parent: int) -> list[int]:
    """Process ids of a batch's workers (Linux); not that of multiprocessing's resource tracker."""
    try:
        tasks = list(Path(f"/proc/{parent}/task").iterdir())
        children = [pid for task in tasks for pid in (task / "children").read_text().split()]
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except OSError:  # gone meanwhile
        return []


def kill_at_random(
    command: list[str], folder: Path, out: Path, kills: int, *, seed: int, env: dict[str, str] | None = None
) -> Outcome:
    """Scans ``folder`` with ``command`` until ``kills`` processes have been killed on the way.

    Every batch is taken up with ``--resume`` until it is through, and then compared with one that was
    left alone. In the life of one parent at most one worker is killed: a file that loses two workers
    is reported as a crash, and rightly so.
    """
    rng = random.Random(seed)
    whole = out.with_name("undisturbed.jsonl")
    start = time.monotonic()
    code = _run([*command, str(folder), "--out", str(whole)], env).wait()
    patience = time.monotonic() - start
    expected = {report["input"]["path"]: report for report in reports(whole)}
    outcome = Outcome(clips=len(expected))
    while outcome.kills < kills:
        out.unlink(missing_ok=True)
        outcome.batches += 1
        finished = None
        while finished is None:
            process = _run([*command, str(folder), "--out", str(out), "--resume"], env)
            finished = _disturb(process, outcome, kills, patience, rng)
        outcome.wrong_exit_codes += finished != code
        found = reports(out)
        names = Counter(report["input"]["path"] for report in found)
        outcome.lost += len(set(expected) - set(names))
        outcome.doubled += sum(count - 1 for count in names.values())
        outcome.different += sum(report != expected.get(report["input"]["path"]) for report in found)
    return outcome


def _run(command: list[str], env: dict[str, str] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _disturb(
    process: subprocess.Popen[bytes], outcome: Outcome, kills: int, patience: float, rng: random.Random
) -> int | None:
    """Kills a worker or not, then the parent or not; the exit code where it came to its end."""
    if outcome.kills < kills and rng.random() < 0.5:
        _sleep(process, rng.uniform(0, patience))
        workers = workers_of(process.pid)
        if process.poll() is None and workers:
            try:
                os.kill(rng.choice(workers), signal.SIGKILL)
                outcome.worker_kills += 1
            except ProcessLookupError:
                pass
    if outcome.kills < kills and rng.random() < 0.7:
        _sleep(process, rng.uniform(0, patience))
        if process.poll() is None:
            process.kill()
            process.wait()
            outcome.parent_kills += 1
            return None
    return process.wait()


def _sleep(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return

"""Workers whose parent is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from vidscan.machine import default_jobs, end_with_parent

_PARENT = """
import multiprocessing, os, sys, time
from tests.test_machine import work
if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1],))
    worker.start()
    time.sleep(60)
"""


def work(told: str) -> None:
    """Says which process it is, and how it ended."""

    def last() -> None:
        with open(told, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write("ended\n")

    end_with_parent(last)
    with open(told, "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{os.getpid()}\n")
    time.sleep(60)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_worker_ends_with_its_parent_however_that_went(tmp_path) -> None:
    told, program = tmp_path / "told", tmp_path / "parent.py"
    program.write_text(_PARENT, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, program, told], env=environment)
    deadline = time.monotonic() + 60
    while not (told.exists() and told.read_text(encoding="utf-8").strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while "ended" not in told.read_text(encoding="utf-8") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert told.read_text(encoding="utf-8").splitlines()[1:] == ["ended"]


def test_nothing_happens_in_a_process_of_its_own() -> None:
    assert multiprocessing.parent_process() is None
    end_with_parent()
    assert default_jobs("cpu") >= 1

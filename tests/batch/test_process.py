"""Worker processes and Ctrl-C: held while one starts, lost never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from vidscan.batch.process import interrupts_held

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


@pytest.fixture(params=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """With another thread, which may be the one that the system gives the signal."""
    done = threading.Event()
    if request.param == "two threads":
        threading.Thread(target=done.wait, daemon=True).start()
    yield
    done.set()


def test_an_interrupt_comes_when_the_hold_is_over(threads: None) -> None:
    inside = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        inside.append(sum(range(1000)))
    assert inside, "it came too early"
    with pytest.raises(KeyboardInterrupt):  # what was before is back
        signal.raise_signal(signal.SIGINT)


def test_what_starts_inside_is_deaf_to_it(threads: None) -> None:
    with interrupts_held():
        child = subprocess.Popen(
            [sys.executable, "-c", "print('up', flush=True); input(); print('on')"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate("\n", timeout=60)[0] == "on\n"
    assert child.returncode == 0

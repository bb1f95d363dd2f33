"""Worker processes and Ctrl-C: held while one starts, lost never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from vidscan.batch.process import interrupts_held

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


@pytest.fixture(autouse=True)
def hearing() -> Iterator[None]:
    """Ctrl-C interrupts, also where a shell started these tests in the background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_here() -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """A thread that was there before the hold: one started in it would not hear the signal either."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        yield pool


@pytest.mark.parametrize("here", [True, False])
def test_an_interrupt_comes_when_the_hold_is_over(here: bool, elsewhere: ThreadPoolExecutor) -> None:
    inside = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        if here:
            interrupt_here()
        else:  # as where the system gives the signal to a thread that does not block it
            elsewhere.submit(interrupt_here).result()
        inside.append(sum(range(1000)))
    assert inside, "it came too early"
    with pytest.raises(KeyboardInterrupt):  # what was before is back
        interrupt_here()


def test_what_starts_inside_is_deaf_to_it() -> None:
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

"""What goes to stderr: the log, and a progress bar where someone is watching."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any


def start_log(quiet: bool, verbose: bool) -> None:
    """Sends the log to stderr: warnings, with ``verbose`` all, with ``quiet`` errors only."""
    import logging

    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="vidscan: %(message)s")


def say(message: str, *, quiet: bool) -> None:
    """A message for people, on stderr."""
    if not quiet:
        print(message, file=sys.stderr)


@contextmanager
def loading(*, quiet: bool, threads: int) -> Iterator[None]:
    """Says on a terminal that libraries and networks are loaded, while they are, and then has them use
    ``threads`` threads: 0 for ``OMP_NUM_THREADS`` where that is set, else for as many as cores were free."""
    from vidscan.threads import CoreTimes, free_cores, use_threads

    shown = not quiet and sys.stderr.isatty()
    before = CoreTimes.now()
    if shown:
        print(_LOADING, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r" + " " * len(_LOADING), end="\r", file=sys.stderr, flush=True)
    if threads or "OMP_NUM_THREADS" not in os.environ:
        use_threads(threads or free_cores(before, CoreTimes.now()))


_LOADING = "Loading ..."


class Progress:
    """A bar over files; silent unless stderr is a terminal.

    Parameters
    ----------
    total
        Files to come.
    quiet
        Show nothing at all.
    rate
        Show files counted and their rate; else a share, which moves within a file too.
    """

    def __init__(self, total: int, *, quiet: bool, rate: bool = False) -> None:
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            counts = "{n_fmt}/{total_fmt} files, {rate_fmt}, " if rate else ""
            self._bar = tqdm(
                total=total,
                unit="file",
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}% |{bar}| " + counts + "{elapsed} < {remaining} {postfix}",
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def within(self, done: int, share: float) -> None:
        """Moves the bar to ``done`` whole files and a share (0..1) of the next."""
        if self._bar is not None:
            self._bar.update(done + share - self._bar.n)

    def advance(self) -> None:
        """One more file is done."""
        if self._bar is not None:
            self._bar.update(1)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Takes the bar away while something else is printed on the same terminal."""
        if self._bar is None:
            yield
            return
        self._bar.clear()
        yield
        self._bar.refresh()


class Paced:
    """Does again and again what takes long: seldom enough that it takes a tenth of the time at most.

    Parameters
    ----------
    act
        What is done.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act, self._next, self._waiting = act, 0.0, True

    def due(self) -> None:
        """There is something new: it is done now, or the next time that it may be."""
        self._waiting = True
        if time.monotonic() >= self._next:
            self.now()

    def now(self) -> None:
        """Does it, where it is due."""
        if not self._waiting:
            return
        start = time.monotonic()
        self._waiting = False
        self._act()
        end = time.monotonic()
        self._next = end + max(_PACE_S, 9 * (end - start))


_PACE_S = 1.0


@contextmanager
def stages(*, quiet: bool) -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Tells of work that comes stage by stage, one bar at a time.

    Gives a function that is called with what comes next and of how many files, and returns what is called
    after each.
    """
    with ExitStack() as bars:

        def stage(name: str, files: int) -> Callable[[], None]:
            bars.close()  # of the stage before
            say(f"vidscan: {name}: {files} files", quiet=quiet)
            return bars.enter_context(Progress(files, quiet=quiet)).advance

        yield stage

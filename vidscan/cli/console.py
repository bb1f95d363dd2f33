"""What goes to stderr: the log, and a progress bar where someone is watching."""

from __future__ import annotations

import sys
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

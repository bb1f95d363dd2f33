"""Stages side by side: what looks at a batch does not wait for what looks at the same batch otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
_AHEAD = 2
"""Batches that a lane may be behind, the one it works at included: bounds the memory."""


class Lane(Generic[T]):
    """Does one thing with every item, in order, in a thread of its own; a context manager.

    Parameters
    ----------
    work
        What to do. Its error is raised by the next :meth:`add`, or by :meth:`wait`.
    threads
        Threads that torch may use for it.
    """

    def __init__(self, work: Callable[[T], None], threads: int) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1, "vidscan-lane", torch.set_num_threads, (threads,))
        self._open: deque[Future[None]] = deque()

    def add(self, item: T) -> None:
        """The next item; waits while the lane is too far behind."""
        while len(self._open) >= _AHEAD:
            self._open.popleft().result()
        self._open.append(self._pool.submit(self._work, item))

    def wait(self) -> None:
        """Until everything is done."""
        while self._open:
            self._open.popleft().result()

    def __enter__(self) -> Lane[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def shared_threads(parts: int) -> Iterator[int]:
    """Torch's threads shared out among ``parts`` that run at once: how many this one gets, until the end.

    Threads that wait for each other while others work cost more than they bring on few cores.
    """
    before = torch.get_num_threads()
    each = max(1, before // parts)
    torch.set_num_threads(each)
    try:
        yield each
    finally:
        torch.set_num_threads(before)

"""A few of many, evenly spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most ``most`` of the indices 0..``count`` - 1, first and last included, rising, none twice."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)


def in_turns(items: Iterable[T], group: Callable[[T], Hashable]) -> list[T]:
    """All of them: the first of every group before the second of any, else in their order."""
    seen: Counter[Hashable] = Counter()
    turns = []
    for item in items:
        turns.append((seen[group(item)], item))
        seen[group(item)] += 1
    return [item for _, item in sorted(turns, key=lambda turn: turn[0])]

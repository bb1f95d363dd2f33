"""A few of many, evenly spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most ``most`` of the indices 0..``count`` - 1, first and last included, rising, none twice."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)

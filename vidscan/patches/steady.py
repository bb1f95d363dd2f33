"""Patch maps averaged over time: chance differs from crop to crop, what a generator left behind stays.

Crops are aligned, so that a cell of the grid looks at the same part of the face in each of them.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

HISTORY_S = 10.0
"""As long as a window of the verdict."""


class SteadyMaps:
    """Running means of the patch maps of tracks, over what was seen of each in the last seconds.

    Parameters
    ----------
    history_s
        How far back maps count.
    """

    def __init__(self, history_s: float = HISTORY_S) -> None:
        self._history = history_s
        self._kept: dict[int, deque[tuple[float, NDArray[np.float32]]]] = {}

    def add(self, track_id: int, time_s: float, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next map (h, w) of a track in, and return the mean (h, w) with those before it.

        Times must not decrease; what is too old is forgotten, in every track.
        """
        for other, maps in list(self._kept.items()):
            while maps and maps[0][0] < time_s - self._history:
                maps.popleft()
            if not maps:
                del self._kept[other]
        own = self._kept.setdefault(track_id, deque())
        own.append((time_s, logits))
        # Summed anew: a running sum would make results depend on what was long forgotten.
        return np.asarray(np.mean([m for _, m in own], axis=0, dtype=np.float64), np.float32)

    def __len__(self) -> int:
        """Tracks that maps are kept of."""
        return len(self._kept)

"""Co-occurrence of neighboring pixels in every color channel.

Nataraj et al., *Detecting GAN generated Fake Images using Co-occurrence Matrices* (EI 2019). They count whole
pictures at 256 levels and show the matrices to a network; a face window has too few pixels for that, so here
are 32 levels and a linear classifier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVELS = 32


def features(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 3072) square roots of the shares of horizontal pixel pairs, channel by channel, of (N, S, S, 3)."""
    found = []
    for window in windows:
        values = window.astype(np.int64) * _LEVELS // 256
        codes = values[:, :-1] * _LEVELS + values[:, 1:]
        counts = [np.bincount(codes[..., c].ravel(), minlength=_LEVELS**2) for c in range(3)]
        found.append(np.sqrt(np.concatenate(counts) / codes[..., 0].size))
    return np.stack(found).astype(np.float32)

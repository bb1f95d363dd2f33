"""Why a window is anomalous: what each group of features carries of its margin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidscan.verdict.one_class import LinearOneClassSVM
from vidscan.verdict.standardiser import Standardiser


def occlusion(
    model: LinearOneClassSVM,
    standardiser: Standardiser,
    x: NDArray[np.floating],
    valid: NDArray[np.bool_],
) -> dict[str, float]:
    """Share of a window's anomaly that each group of features carries.

    What the margin loses when a group is made neutral, at least 0, brought to a sum of 1; all 0 where
    no group raises the margin. Exact where the margin is a sum over groups; else what two groups carry
    only together counts for both.

    ``x`` (d,) evidence vector, ``valid`` (d,) its validity. Groups come in the standardizer's order; a
    missing group has share 0. Raises ValueError where ``x`` and ``valid`` do not fit.
    """
    own = np.array(standardiser.groups)
    named = list(dict.fromkeys(standardiser.groups))
    x, valid = np.asarray(x, np.float64), np.asarray(valid, bool)
    left_out = np.stack([valid, *(valid & (own != group) for group in named)])
    points = standardiser.transform(np.broadcast_to(x, left_out.shape), left_out)
    whole, *others = model.score_samples(points).tolist()
    losses = [max(whole - other, 0.0) for other in others]
    total = sum(losses)
    return {group: loss / total if total > 0 else 0.0 for group, loss in zip(named, losses, strict=True)}

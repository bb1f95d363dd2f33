"""The head that reads every patch alone: where a face was altered, for masks.

It learns from own pairs, whose masks are exact: patches that were altered, against the same patches of the
genuine twin, others of it, and untouched ones beside them. Published clips come without masks, and a whole
forged picture says nothing about places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.patches.classifier import MaskScale
from vidscan.training.descriptions import PairTokens
from vidscan.training.linear_head import Standardised

_STRENGTH = 3.0
"""Inverse of the penalty, beside a loss that is a mean."""


@dataclass(frozen=True, slots=True)
class TokenMap:
    """Weights (taps, width) and bias of the head, and where even odds lie."""

    weight: torch.Tensor
    bias: torch.Tensor
    scale: MaskScale


def fit_token_map(tokens: PairTokens, parts: NDArray[np.int64], taps: int) -> TokenMap:
    """Learn the head from all patches, and its scale from what heads say of people whom they never saw.

    ``parts`` (n,) is the part of the corpus that each patch belongs to; donors of swapped faces may be of
    another. Raises SetupError where one part has all that is to be learned.
    """
    standardised = Standardised.of(tokens.features.astype(np.float32))

    def learned(rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], float]:
        altered = tokens.altered[rows]
        if altered.all() or not altered.any():
            raise SetupError("too few own pairs: without some of them patches have nothing to learn from")
        weights = np.where(altered, 0.5 / altered.sum(), 0.5 / (~altered).sum())
        return standardised.fit(rows, altered, weights, _STRENGTH)

    unseen = np.empty(len(parts))
    for part in np.unique(parts):
        weight, bias = learned(np.flatnonzero(tokens.taught & (parts != part)))
        own = np.flatnonzero(parts == part)
        unseen[own] = tokens.features[own].astype(np.float32) @ weight + bias
    weight, bias = learned(np.flatnonzero(tokens.taught))
    return TokenMap(
        torch.from_numpy(weight).view(taps, -1),
        torch.tensor(bias),
        mask_scale(unseen, tokens.altered, tokens.stands_for),
    )


def mask_scale(
    log_odds: NDArray[np.floating], altered: NDArray[np.bool_], counts: NDArray[np.floating]
) -> MaskScale:
    """Even odds where masks overlap best with exact ones, and the slope that makes labels most likely there.

    As many genuine crops count as forged ones, so that genuine faces light up little.

    Parameters
    ----------
    log_odds, altered, counts
        (n,) of patches, the last how many each stands for; those that stand for none do not count.
    """
    from sklearn.linear_model import LogisticRegression

    order = np.argsort(-log_odds)
    forged = np.where(altered, counts, 0)[order]
    hit, marked = np.cumsum(forged), np.cumsum(counts[order])
    overlap = hit / (forged.sum() + marked - hit)
    even = float(log_odds[order[int(overlap.argmax())]])
    rows = counts > 0
    scaled = LogisticRegression(C=np.inf, fit_intercept=False).fit(
        (log_odds[rows] - even)[:, None], altered[rows], counts[rows]
    )
    return MaskScale(even=even, slope=float(scaled.coef_[0, 0]))

"""From a grid of patch log-odds to one log-odds for the crop.

Chai et al. (ECCV 2020) compare averaging and voting over patches; *top_k* is the multiple-instance
form: a crop is as suspicious as its most suspicious share of patches, which a forgery of the mouth
alone needs.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Pooling = Literal["mean_logit", "mean_probability", "votes", "top_k"]
POOLINGS: tuple[str, ...] = get_args(Pooling)


def pool(logits: Tensor, how: str, top_k: float = 0.25, radius: float | None = None) -> Tensor:
    """Pool patch logits to one log-odds a crop.

    Parameters
    ----------
    logits
        (N, h, w) patch log-odds.
    how
        ``mean_logit``, ``mean_probability``, ``votes`` (share of patches above even odds, as
        log-odds with half a vote added on either side) or ``top_k`` (mean of the highest logits).
    top_k
        Share of the patches that ``top_k`` averages, in (0, 1].
    radius
        Only patches whose center lies within this share of half the crop's side from its center count:
        what is behind the head is no evidence about the face. None counts all.

    Returns
    -------
    Tensor
        (N,) log-odds.
    """
    flat = (
        logits.flatten(1) if radius is None else logits[:, within(logits.shape[1], logits.shape[2], radius)]
    )
    count = flat.shape[1]
    if how == "mean_logit":
        return flat.mean(1)
    if how == "mean_probability":
        return torch.logit(flat.sigmoid().mean(1), eps=1e-6)
    if how == "votes":
        return torch.logit(((flat > 0).sum(1) + 0.5) / (count + 1.0))
    if how == "top_k":
        if not 0 < top_k <= 1:
            raise ValueError("top_k is a share in (0, 1]")
        return flat.topk(max(1, round(top_k * count)), dim=1).values.mean(1)
    raise ValueError(f"unknown pooling {how!r}; one of {', '.join(POOLINGS)}")


def within(height: int, width: int, radius: float) -> Tensor:
    """(h, w) bool: patches whose center is within ``radius`` half sides of the crop's center.

    Raises ValueError where there is none.
    """
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    inside = torch.hypot(y[:, None], x[None]) <= radius
    if not inside.any():
        raise ValueError(f"no patch of a {height} x {width} grid lies within {radius}")
    return inside

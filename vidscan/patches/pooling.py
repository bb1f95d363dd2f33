"""From a grid of patch log-odds to one log-odds for the crop.

Chai et al. (ECCV 2020) compare averaging and voting over patches; *top_k* is the multiple-instance
form: a crop is as suspicious as its most suspicious share of patches, which a forgery of the mouth
alone needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vidscan.faces.align import CropSpec

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
        Only patches whose centre lies within this share of half the crop's side from its centre count:
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
    """(h, w) bool: patches whose centre is within ``radius`` half sides of the crop's centre.

    Raises ValueError where there is none.
    """
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    inside = torch.hypot(y[:, None], x[None]) <= radius
    if not inside.any():
        raise ValueError(f"no patch of a {height} x {width} grid lies within {radius}")
    return inside


@dataclass(frozen=True, slots=True)
class Surround:
    """What lies about the crop, held against it.

    A camera, a codec and a beauty filter treat the face as they treat hair, clothes and wall; a forged
    face differs from them. The mean log-odds of the patches about the face are taken off its own.

    Attributes
    ----------
    weight
        Share of their mean that is taken off.
    reach
        Side of what is looked at, in sides of the crop; over 1.

    Raises
    ------
    ValueError
        For a weight under 0 or a reach that shows nothing beyond the crop.
    """

    weight: float
    reach: float

    def __post_init__(self) -> None:
        if not (self.weight >= 0 and self.reach > 1):
            raise ValueError(f"Surround needs weight >= 0 and reach > 1, got {self.weight}, {self.reach}")

    def view(self, crop: CropSpec) -> CropSpec:
        """What is looked at: wider than the crop, of its scale; the margin is rounded to whole pixels."""
        size = crop.size + 2 * round((self.reach - 1) * crop.size / 2)
        return CropSpec(size, crop.margin * size / crop.size)

    def middle(self, maps: Tensor) -> Tensor:
        """The crop's own part of (..., h, w) maps of the view."""
        return central(maps, self.reach)

    def level(self, logits: Tensor) -> Tensor:
        """(N,) mean of (N, h, w) log-odds beyond the circle that the crop holds."""
        height, width = logits.shape[-2:]
        return logits[:, ~within(height, width, 1 / self.reach)].mean(1)


def central(maps: Tensor, reach: float) -> Tensor:
    """The middle of (..., h, w) maps, ``1 / reach`` of each side."""
    height, width = maps.shape[-2:]
    top, left = ((side - round(side / reach)) // 2 for side in (height, width))
    return maps[..., top : height - top, left : width - left]


def crop_scores(
    logits: Tensor, how: str, top_k: float, radius: float | None, surround: Surround | None
) -> Tensor:
    """(N,) log-odds of crops from their (N, h, w) patch log-odds, or from those of their wider views."""
    if surround is None:
        return pool(logits, how, top_k, radius)
    own = pool(surround.middle(logits), how, top_k, radius)
    return own - surround.weight * surround.level(logits)

"""What red, green and blue weigh in brightness and in color differences (ITU-R BT.601, as in JPEG)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue; they sum to 1."""
BLUE_DIFFERENCE = (-0.168736, -0.331264, 0.5)
"""Cb: blue less luminance, scaled to -0.5..0.5 of the range; the weights sum to 0."""
RED_DIFFERENCE = (0.5, -0.418688, -0.081312)
"""Cr, likewise of red."""


def luminance(images: Tensor) -> Tensor:
    """(N, 1, H, W) brightness of (N, 3, H, W) RGB ``images``, in their range and on their device."""
    import torch

    weights = torch.tensor(LUMINANCE, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True)

"""The two networks that learn their residual filters themselves.

Both read one luminance window at the frame's resolution and give one log-odds. They are small: the point of
either paper is its first or its last layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidscan.color import luminance


class ConstrainedConv2d(nn.Conv2d):
    """Filters that predict the middle pixel from its neighbors: -1 in the middle, the rest sums to 1.

    Bayar & Stamm, *A Deep Learning Approach to Universal Image Manipulation Detection Using a New
    Convolutional Layer* (IH&MMSec 2016). The constraint holds in every pass, and gradients go through it.
    """

    def constrained(self) -> Tensor:
        """(outputs, inputs, k, k) the filters in use."""
        middle = torch.zeros_like(self.weight)
        middle[..., self.kernel_size[0] // 2, self.kernel_size[1] // 2] = 1
        around = self.weight * (1 - middle)
        total = around.sum((2, 3), keepdim=True)
        # Near a sum of 0 the division would throw the filters about.
        sign = torch.where(total < 0, -1.0, 1.0)
        return around / (sign * total.abs().clamp_min(0.05)) - middle

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.constrained(), None)


class ConstrainedNetwork(nn.Module):
    """Constrained filters, three strided convolutions, the average: (N, 3, S, S) RGB 0..255 to (N,)."""

    def __init__(self) -> None:
        super().__init__()
        self.residual = ConstrainedConv2d(1, 5, 5, bias=False)
        self.body = nn.Sequential(
            nn.Conv2d(5, 16, 5, 2, 2),
            nn.BatchNorm2d(16),
            nn.Tanh(),
            nn.Conv2d(16, 24, 3, 2, 1),
            nn.BatchNorm2d(24),
            nn.Tanh(),
            nn.Conv2d(24, 32, 3, 2, 1),
            nn.BatchNorm2d(32),
            nn.Tanh(),
        )
        self.head = nn.Linear(32, 1)

    def forward(self, windows: Tensor) -> Tensor:
        return self.head(self.body(self.residual(luminance(windows))).mean((2, 3)))[:, 0]


class PooledNetwork(nn.Module):
    """Two convolutions and the statistics of their maps: (N, 3, S, S) RGB 0..255 to (N,).

    Rahmouni et al., *Distinguishing Computer Graphics from Natural Images Using Convolution Neural Networks*
    (WIFS 2017): mean, variance, largest and smallest value of every map, and two layers on them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.BatchNorm1d(64), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1)
        )

    def forward(self, windows: Tensor) -> Tensor:
        grey = luminance(windows)
        maps = self.body((grey - grey.mean((2, 3), keepdim=True)) / 32).flatten(2)
        statistics = [maps.mean(2), maps.var(2), maps.amax(2), maps.amin(2)]
        return self.head(torch.cat(statistics, 1))[:, 0]


NETWORKS: dict[str, type[nn.Module]] = {
    "constrained_convolution": ConstrainedNetwork,
    "pooled_statistics": PooledNetwork,
}

"""Xception (Chollet, CVPR 2017), cut after an early block or whole.

There is no ImageNet start for it here: convolutions start at random (:func:`he_start`).
"""

from __future__ import annotations

from torch import Tensor, nn


def he_start(module: nn.Module) -> None:
    """Draw every convolution of ``module`` by He et al. (ICCV 2015), in place."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, nonlinearity="relu")


class SeparableConv(nn.Sequential):
    """A depthwise 3x3 and a pointwise convolution, with batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )


class XceptionBlock(nn.Module):
    """Two (``stride`` 2) or three separable convolutions beside a shortcut.

    The first convolution widens to ``outputs`` channels, or the last where ``widens_last``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        starts_with_relu: bool = True,
        widens_last: bool = False,
    ) -> None:
        super().__init__()
        count = 3 if stride == 1 else 2
        widest = count - 1 if widens_last else 0
        layers: list[nn.Module] = []
        for i in range(count):
            if i > 0 or starts_with_relu:
                layers.append(nn.ReLU())
            layers.append(
                SeparableConv(outputs if i > widest else inputs, outputs if i >= widest else inputs)
            )
        if stride > 1:
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.body = nn.Sequential(*layers)
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.skip = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.skip(x)


ENTRY = ((128, 2), (256, 2), (728, 2))
MIDDLE = ((728, 1),) * 8
"""(channels, stride) of the entry flow's and the middle flow's blocks."""


def _layers(blocks: tuple[tuple[int, int], ...]) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(3, 32, 3, 2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    inputs = 64
    for i, (outputs, stride) in enumerate(blocks):
        layers.append(XceptionBlock(inputs, outputs, stride, starts_with_relu=i > 0))
        inputs = outputs
    return layers


class Xception(nn.Module):
    """Xception cut after ``depth`` residual blocks (1-5)."""

    BLOCKS = (*ENTRY, *MIDDLE[:2])

    def __init__(self, depth: int) -> None:
        super().__init__()
        if not 1 <= depth <= len(self.BLOCKS):
            raise ValueError(f"Xception can be cut after block 1-5, not {depth}")
        self.body = nn.Sequential(*_layers(self.BLOCKS[:depth]), nn.ReLU())
        self.channels = self.BLOCKS[depth - 1][0]
        he_start(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class WholeXception(nn.Module):
    """All fourteen modules of Xception and its global average: (N, 3, H, W) to (N, 2048, 1, 1)."""

    channels = 2048

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_layers((*ENTRY, *MIDDLE)),
            XceptionBlock(728, 1024, 2, widens_last=True),
            SeparableConv(1024, 1536),
            nn.ReLU(),
            SeparableConv(1536, self.channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        he_start(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)

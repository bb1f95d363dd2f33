"""Truncated networks that classify every patch of a crop.

Chai et al., *What makes fake images detectable?* (ECCV 2020), cut an image classifier after an early
block and put a 1x1 convolution on the feature grid: each cell sees only a local patch, so the
classifier can learn only local artefacts, and those are what transfers between generators.

Every network here maps (N, 3, H, W) float, normalised as its registry record says, to (N, 1, h, w)
patch logits (log-odds of *manipulated*).
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding (the ImageNet start was trained with it)."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(
            reversed(x.shape[-2:]), reversed(self.kernel_size), reversed(self.stride), strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class DepthwiseSeparable(nn.Module):
    """First block of EfficientNet-Lite, under timm's parameter names."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_dw = _conv(inputs, inputs, 3, groups=inputs)
        self.bn1 = _norm(inputs)
        self.conv_pw = _conv(inputs, outputs, 1)
        self.bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al. 2018), under timm's parameter names."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        expanded = 6 * inputs
        self.conv_pw = _conv(inputs, expanded, 1)
        self.bn1 = _norm(expanded)
        self.conv_dw = _conv(expanded, expanded, kernel, stride, groups=expanded)
        self.bn2 = _norm(expanded)
        self.conv_pwl = _conv(expanded, outputs, 1)
        self.bn3 = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn1(self.conv_pw(x)))
        y = self.bn3(self.conv_pwl(F.relu6(self.bn2(self.conv_dw(y)))))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 cut after ``depth`` stages (1-4): stride 4, 8, 16, 16; field 19, 67, 147, 339 px."""

    STAGES = ((24, 2, 3, 2), (40, 2, 5, 2), (80, 3, 3, 2), (112, 3, 5, 1))
    """(channels, blocks, kernel, stride) of stages 1-4."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        if not 1 <= depth <= len(self.STAGES):
            raise ValueError(f"EfficientNet-Lite0 can be cut after stage 1-4, not {depth}")
        self.conv_stem = _conv(3, 32, 3, 2)
        self.bn1 = _norm(32)
        stages: list[nn.Module] = [nn.Sequential(DepthwiseSeparable(32, 16))]
        inputs = 16
        for outputs, blocks, kernel, stride in self.STAGES[:depth]:
            stage = [
                InvertedResidual(inputs if i == 0 else outputs, outputs, kernel, stride if i == 0 else 1)
                for i in range(blocks)
            ]
            stages.append(nn.Sequential(*stage))
            inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.channels = inputs

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(F.relu6(self.bn1(self.conv_stem(x))))


class _SeparableConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )


class _XceptionBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, starts_with_relu: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(3 if stride == 1 else 2):
            if i > 0 or starts_with_relu:
                layers.append(nn.ReLU())
            layers.append(_SeparableConv(inputs if i == 0 else outputs, outputs))
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


class Xception(nn.Module):
    """Xception (Chollet 2017) cut after ``depth`` residual blocks (1-5)."""

    BLOCKS = ((128, 2), (256, 2), (728, 2), (728, 1), (728, 1))
    """(channels, stride) of blocks 1-5."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        if not 1 <= depth <= len(self.BLOCKS):
            raise ValueError(f"Xception can be cut after block 1-5, not {depth}")
        layers: list[nn.Module] = [
            nn.Conv2d(3, 32, 3, 2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]
        inputs = 64
        for i, (outputs, stride) in enumerate(self.BLOCKS[:depth]):
            layers.append(_XceptionBlock(inputs, outputs, stride, starts_with_relu=i > 0))
            inputs = outputs
        self.body = nn.Sequential(*layers, nn.ReLU())
        self.channels = inputs

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class ResNet18(nn.Module):
    """torchvision's ResNet-18 cut after layer ``depth`` (1-4)."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        from torchvision.models import resnet18

        if not 1 <= depth <= 4:
            raise ValueError(f"ResNet-18 can be cut after layer 1-4, not {depth}")
        net = resnet18(weights=None)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(*[getattr(net, f"layer{i}") for i in range(1, depth + 1)])
        self.channels = 64 * 2 ** (depth - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.stem(x))


ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "xception": Xception,
    "resnet18": ResNet18,
}


class PatchNetwork(nn.Module):
    """A truncated network with a 1x1 convolution as head.

    Parameters
    ----------
    architecture
        A key of :data:`ARCHITECTURES`.
    depth
        Where to cut; see the architecture.
    dropout
        Probability of dropping a feature channel before the head, in training only.
    """

    def __init__(self, architecture: str, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture {architecture!r}; one of {', '.join(ARCHITECTURES)}")
        self.architecture, self.depth = architecture, depth
        self.features = ARCHITECTURES[architecture](depth)
        channels = self.features.channels
        assert isinstance(channels, int)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(channels, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

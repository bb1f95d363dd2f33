"""Truncated networks that classify every patch of a crop.

Chai et al., *What makes fake images detectable?* (ECCV 2020), cut an image classifier after an early
block and put a 1x1 convolution on the feature grid: each cell sees only a local patch, so the
classifier can learn only local artifacts, and those are what transfers between generators.

Every network here maps (N, 3, H, W) float, normalized as its registry record says, to (N, 1, h, w)
patch logits (log-odds of *manipulated*).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidscan.patches.xception import Xception
from vidscan.types import CellGrid


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


def _relu6(x: Tensor) -> Tensor:
    # In place: on a CPU, fetching new memory for every activation costs as much as a convolution.
    return F.relu6(x, inplace=True)


class DepthwiseSeparable(nn.Module):
    """First block of EfficientNet-Lite, under timm's parameter names."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_dw = _conv(inputs, inputs, 3, groups=inputs)
        self.bn1 = _norm(inputs)
        self.conv_pw = _conv(inputs, outputs, 1)
        self.bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(_relu6(self.bn1(self.conv_dw(x)))))


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
        y = _relu6(self.bn1(self.conv_pw(x)))
        y = self.bn3(self.conv_pwl(_relu6(self.bn2(self.conv_dw(y)))))
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
        return self.blocks(_relu6(self.bn1(self.conv_stem(x))))


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
"""What makes the features of each network from its ``depth``."""


class PatchNetwork(nn.Module):
    """A truncated network with 1x1 convolutions as head: the field stays the network's.

    Parameters
    ----------
    architecture
        A key of :data:`ARCHITECTURES`.
    depth
        Where to cut; see the architecture.
    dropout
        Probability of dropping a feature channel before the head, in training only.
    hidden
        Channels of the head's inner layers; none makes it linear in the features.
    """

    def __init__(
        self, architecture: str, depth: int, dropout: float = 0.0, hidden: Sequence[int] = ()
    ) -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"unknown architecture {architecture!r}; one of {', '.join(ARCHITECTURES)}")
        self.architecture, self.depth = architecture, depth
        self.features = ARCHITECTURES[architecture](depth)
        channels: int = self.features.channels  # type: ignore[assignment]
        self.dropout = nn.Dropout2d(dropout)
        inner: list[nn.Module] = []
        for width in hidden:
            inner += [nn.Conv2d(channels, width, 1), nn.ReLU()]
            channels = width
        last = nn.Conv2d(channels, 1, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.head: nn.Module = nn.Sequential(*inner, last) if inner else last

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))


_FURTHER = 512
"""Pixels by which :func:`receptive_grid` widens its strips: a multiple of every network's stride."""
_STRIP = 64


@torch.no_grad()
def receptive_grid(network: nn.Module, size: int) -> CellGrid:
    """Which crop pixels the fields of a network's cells are centered on.

    Padding that is not the same on both sides moves the centers: EfficientNet-Lite0's second stage has
    cell i at 8i + 7, not at 8i + 3.5, in crops of 224 pixels. Found out by where a bright column spreads
    to in a copy whose weights are all positive.

    Parameters
    ----------
    network
        Maps (N, 3, H, W) to (N, 1, h, w), as :class:`PatchNetwork` does, the same across as down.
    size
        Side of the crops; odd sizes may be padded otherwise than even ones.
    """
    # In double precision convolutions are plain: none mixes neighboring pixels before it multiplies.
    copy = deepcopy(network).cpu().double().eval()
    for name, values in [*copy.named_parameters(), *copy.named_buffers()]:
        if name.endswith(("bias", "running_mean")):
            values.zero_()
        elif name.endswith("running_var"):
            values.fill_(1)
        elif values.is_floating_point():
            values.fill_(1 / values[0].numel())
    here = copy(torch.zeros(1, 3, size, size, dtype=torch.float64)).shape[-1]
    width = size + _FURTHER
    more = copy(torch.zeros(1, 3, _STRIP, width, dtype=torch.float64)).shape[-1] - here
    stride = _FURTHER // more
    columns = width // 2 + torch.arange(stride)
    strips = torch.zeros(stride, 3, _STRIP, width, dtype=torch.float64)
    strips[torch.arange(stride), :, :, columns] = 1
    reached = (copy(strips) > 0)[:, 0].any(1).byte()
    # A column reaches the cells whose fields hold it. Over one whole stride of columns the middle of
    # those cells is, on average, exactly the columns' mean in units of cells.
    first = reached.argmax(1)
    last = reached.shape[1] - 1 - reached.flip(1).argmax(1)
    middle = float((first + last).double().mean()) / 2
    return CellGrid(float(stride), float(columns.double().mean()) - stride * middle)

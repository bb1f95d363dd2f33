"""Whole networks that give one log-odds a crop: what the patch classifier is compared with.

Each maps (N, 3, H, W) to (N, channels, 1, 1), so that the 1x1 convolution of
:class:`vidscan.patches.networks.PatchNetwork` is their last, fully connected layer and their patch map is
a single cell. They start from random weights (He et al. 2015). As they look at the whole crop at once,
nothing keeps them from learning what only our own forgeries have.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidscan.patches.xception import WholeXception, he_start

_MESO_GRID = 7
"""Side of MesoNet's last feature map at our crops of 224 pixels (8 at the paper's 256)."""


def _meso_tail(inputs: int) -> list[nn.Module]:
    """The layers that Meso-4 and MesoInception-4 share, all but the last fully connected one.

    Crops of another size than 224 pixels are averaged to the same grid. The second dropout is
    :class:`PatchNetwork`'s.
    """
    return [
        *_meso_layer(inputs, 16, 5, 2),
        *_meso_layer(16, 16, 5, 4),
        nn.AdaptiveAvgPool2d(_MESO_GRID),
        nn.Dropout(0.5),
        nn.Conv2d(16, 16, _MESO_GRID),
        nn.LeakyReLU(0.1),
    ]


def _meso_layer(inputs: int, outputs: int, kernel: int, shrink: int) -> list[nn.Module]:
    """Unlike most networks, MesoNet normalizes after the ReLU."""
    return [
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.BatchNorm2d(outputs),
        nn.MaxPool2d(shrink),
    ]


class Meso4(nn.Sequential):
    """Meso-4 (Afchar et al., *MesoNet*, WIFS 2018)."""

    channels = 16

    def __init__(self) -> None:
        super().__init__(*_meso_layer(3, 8, 3, 2), *_meso_layer(8, 8, 5, 2), *_meso_tail(8))
        he_start(self)


class MesoInception(nn.Module):
    """MesoNet's inception layer: a 1x1 convolution beside 3x3 ones of dilation 1, 2 and 3.

    ``widths`` are the channels of the four branches.
    """

    def __init__(self, inputs: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        branches = [nn.Sequential(nn.Conv2d(inputs, widths[0], 1), nn.ReLU())]
        for dilation, width in enumerate(widths[1:], 1):
            branches.append(
                nn.Sequential(
                    nn.Conv2d(inputs, width, 1),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
                    nn.ReLU(),
                )
            )
        self.branches = nn.ModuleList(branches)
        self.end = nn.Sequential(nn.BatchNorm2d(sum(widths)), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.end(torch.cat([branch(x) for branch in self.branches], 1))


class MesoInception4(nn.Sequential):
    """MesoInception-4 (Afchar et al., *MesoNet*, WIFS 2018)."""

    channels = 16

    def __init__(self) -> None:
        super().__init__(MesoInception(3, (1, 4, 4, 2)), MesoInception(11, (2, 4, 4, 2)), *_meso_tail(12))
        he_start(self)


class SimpleNet(nn.Sequential):
    """A plain network of the kind that early forgery detectors were.

    Four times a 3x3 convolution, batch norm, ReLU and 2x2 max pooling, with 32, 64, 128 and 256
    channels, and the global average: 0.39 million parameters. No paper's in particular.
    """

    channels = 256

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (32, 64, 128, self.channels):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            inputs = outputs
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1))
        he_start(self)


class WholeResNet(nn.Module):
    """torchvision's ResNet-18 or ResNet-50 (He et al., CVPR 2016) without its last layer."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        from torchvision.models import resnet18, resnet50

        net = {18: resnet18, 50: resnet50}[layers](weights=None)
        self.channels = net.fc.in_features
        net.fc = nn.Identity()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[..., None, None]


WHOLE_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "meso4": Meso4,
    "mesoinception4": MesoInception4,
    "simplenet": SimpleNet,
    "resnet18_whole": lambda: WholeResNet(18),
    "resnet50_whole": lambda: WholeResNet(50),
    "xception_whole": WholeXception,
}

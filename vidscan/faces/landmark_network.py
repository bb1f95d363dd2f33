"""The landmark network: one small residual network for landmarks, action units, eyes, gaze and pose.

Plain convolutions, because at this size they run faster on a CPU than depthwise ones; flattened
features rather than an average, because landmarks are about places.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidscan.faces.units import MAX_INTENSITY, UNITS

SIZE = 112
"""Side of the input crop in pixels."""
MARGIN = 1.45
"""Side of the crop as a multiple of the face (:class:`vidscan.faces.geometry.CropSpec`)."""
POINTS = 68
GAZE_SCALE = 30.0
"""Degrees that a gaze output of 1 stands for."""

_WIDTHS = (16, 32, 64, 112)
_BLOCKS = (1, 3, 2)
_REDUCED = 48
_STATE = 160
_PLACES_SCALE = 0.1
"""Landmarks move by little, from many features: at full scale a step of Adam would throw them about."""
_STATES = len(UNITS) + 2 + 4 + 6 + 1


@dataclass(frozen=True, slots=True)
class NetworkOutput:
    """What the network says of N crops, as tensors that gradients flow through.

    Attributes
    ----------
    landmarks
        (N, 68, 3) x, y and depth as shares of the crop's side; x and y from its center.
    units
        (N, 17) intensities 0..5, not clipped.
    openness
        (N, 2) 0..1, not clipped, left and right eye as seen in the image.
    gaze
        (N, 2, 2) yaw and pitch of either eye in units of ``GAZE_SCALE`` degrees.
    rotation
        (N, 3, 3) rotation of the head in the crop.
    confidence
        (N,) log-odds that the crop shows a face in its place.
    """

    landmarks: Tensor
    units: Tensor
    openness: Tensor
    gaze: Tensor
    rotation: Tensor
    confidence: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)), inplace=True)


class LandmarkNetwork(nn.Module):
    """(N, 3, 112, 112) RGB 0..255 to :class:`NetworkOutput`; normalizes its input itself."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, _WIDTHS[0], 5, 2)]
        for before, width, blocks in zip(_WIDTHS, _WIDTHS[1:], _BLOCKS, strict=False):
            layers += [_conv(before, width, 3, 2), *(_Residual(width) for _ in range(blocks))]
        layers.append(_conv(_WIDTHS[-1], _REDUCED, 1))
        self.body = nn.Sequential(*layers)
        features = _REDUCED * (SIZE // 16) ** 2
        self.dropout = nn.Dropout(0.1)
        self.places = nn.Linear(features, POINTS * 3)
        self.state = nn.Sequential(
            nn.Linear(features, _STATE), nn.ReLU(inplace=True), nn.Linear(_STATE, _STATES)
        )

    def forward(self, crops: Tensor) -> NetworkOutput:
        return self.heads(self.body((crops - 127.5) / 64.0))

    def heads(self, features: Tensor) -> NetworkOutput:
        """From the body's features (N, 48, 7, 7); apart, so that training can run the body alone in bf16."""
        flat = self.dropout(features.flatten(1))
        units, openness, gaze, rotation, confidence = self.state(flat).split([len(UNITS), 2, 4, 6, 1], dim=1)
        return NetworkOutput(
            landmarks=_PLACES_SCALE * self.places(flat).view(-1, POINTS, 3),
            units=units * MAX_INTENSITY,
            openness=openness,
            gaze=gaze.reshape(-1, 2, 2),
            rotation=rotation_from_six(rotation),
            confidence=confidence[:, 0],
        )


def rotation_from_six(values: Tensor) -> Tensor:
    """(N, 6) to (N, 3, 3) rotations by Gram-Schmidt: continuous everywhere (Zhou et al. 2019)."""
    # From the identity, so that an untrained head looks at the camera and never divides by nothing.
    first = F.normalize(values[:, :3] + values.new_tensor([1.0, 0, 0]), dim=1)
    second = values[:, 3:] + values.new_tensor([0.0, 1, 0])
    second = F.normalize(second - (first * second).sum(1, keepdim=True) * first, dim=1)
    third = torch.linalg.cross(first, second)
    return torch.stack([first, second, third], dim=2)

"""How the neurons of a face network behave, layer by layer.

Wang et al., *FakeSpotter: A Simple yet Robust Baseline for Spotting AI-Synthesized Fake Faces* (IJCAI 2020):
a network that was trained for something else about faces answers forged ones with another share of active
neurons. Here it is the landmark network, which scanning has at hand.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.faces.align import CropSpec, align, box_transform
from vidscan.faces.landmark_network import MARGIN, SIZE, LandmarkNetwork
from vidscan.models import ModelRecord, with_weights

ALIGNED = CropSpec(size=SIZE, margin=MARGIN)
"""The landmark network's crop."""


class Neurons:
    """Layer-wise behavior of a landmark network.

    Parameters
    ----------
    record
        Registry record of kind ``landmarks``.
    thresholds
        (layers,) activation from which a neuron counts as active; None until they are known.
    """

    def __init__(self, record: ModelRecord, thresholds: Tensor | None = None) -> None:
        self._network = with_weights(LandmarkNetwork, record.load())
        self.thresholds = thresholds

    @torch.inference_mode()
    def _layers(self, crops: NDArray[np.uint8]) -> list[Tensor]:
        """(N, neurons) activations of every layer, of (N, 112, 112, 3) RGB."""
        x = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127.5) / 64.0
        found = []
        for layer in self._network.body:
            x = layer(x)
            found.append(x.flatten(1))
        return found

    def learn(self, crops: NDArray[np.uint8]) -> None:
        """Set each layer's threshold to its mean activation over genuine ``crops`` (N, 112, 112, 3)."""
        total, count = None, 0
        for start in range(0, len(crops), 32):
            part = crops[start : start + 32]
            sums = torch.stack([layer.mean(1).sum() for layer in self._layers(part)])
            total, count = sums if total is None else total + sums, count + len(part)
        if total is None:
            raise ValueError("no crops to learn from")
        self.thresholds = total / count

    def features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, layers) share of active neurons, of (N, 112, 112, 3) RGB crops of :data:`ALIGNED`."""
        if self.thresholds is None:
            raise ValueError("the thresholds are not known")
        found = []
        for start in range(0, len(crops), 32):
            layers = self._layers(crops[start : start + 32])
            active = [(x > t).float().mean(1) for x, t in zip(layers, self.thresholds, strict=True)]
            found.append(torch.stack(active, 1).numpy())
        return np.concatenate(found)


def aligned(image: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(112, 112, 3) crop of :data:`ALIGNED` out of ``image`` (H, W, 3), by the detector's ``box``."""
    crop = align(
        torch.from_numpy(image[None]), np.zeros(1, np.int64), box_transform(box[None], ALIGNED), ALIGNED
    )
    return crop[0].permute(1, 2, 0).round().to(torch.uint8).numpy()

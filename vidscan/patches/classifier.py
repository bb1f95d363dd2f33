"""From frames and faces to patch maps: crop, normalize, classify, pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vidscan.color import luminance
from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec, align, face_transforms
from vidscan.fusion import fuse_batch_norm
from vidscan.models import ModelRecord, with_weights
from vidscan.patches.networks import PatchNetwork
from vidscan.patches.pooling import POOLINGS, pool
from vidscan.types import CellGrid, Face, PatchMap


def normalise(crops: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """(N, 3, H, W) RGB 0..255 to the range a network was trained with, channels last in memory.

    Training, evaluation and scanning all call this.
    """
    shift = torch.tensor(mean, device=crops.device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=crops.device).view(1, 3, 1, 1)
    return ((crops - shift) / scale).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, slots=True)
class MaskScale:
    """How patch log-odds become mask probabilities.

    Attributes
    ----------
    smooth
        Standard deviation of a Gaussian, in patches.
    even
        Log-odds that become probability .5.
    slope
        How fast it rises there.
    """

    smooth: float = 0.0
    even: float = 0.0
    slope: float = 1.0

    def probability(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w) probability 0..1 of every patch of a map (h, w).

        Where even odds lie for a patch is not where they lie for a crop, which is judged by its most
        suspicious patches.
        """
        import cv2

        smooth = cv2.GaussianBlur(logits, (0, 0), self.smooth) if self.smooth > 0 else logits
        return np.asarray(1 / (1 + np.exp(-self.slope * (smooth - self.even))), np.float32)


class PatchClassifier:
    """A trained patch network with its preprocessing and pooling, as its registry record says.

    Parameters
    ----------
    record
        Registry record of kind ``patches``.
    device
        ``cpu`` or ``cuda[:n]``.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """

    def __init__(self, record: ModelRecord, device: str = "cpu", batch: int = 32) -> None:
        settings = record.settings
        try:
            architecture, depth = settings["architecture"], settings["depth"]
            hidden = settings.get("hidden", ())
            network = with_weights(lambda: PatchNetwork(architecture, depth, hidden=hidden), record.load())
            self.spec = CropSpec(size=settings["crop"]["size"], margin=settings["crop"]["margin"])
            self.mean, self.std = list(settings["mean"]), list(settings["std"])
            self.pooling, self.top_k = settings["pooling"], float(settings["top_k"])
            self.radius = float(settings["radius"]) if settings.get("radius") is not None else None
            self.mask = MaskScale(**settings.get("mask", {}))
            grid = settings.get("grid")
            self.grid = None if grid is None else CellGrid(float(grid["stride"]), float(grid["offset"]))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"registry record of {record.name} does not fit its weights: {error}"
            ) from error
        if self.pooling not in POOLINGS:
            raise WeightsError(f"{record.name} names the unknown pooling {self.pooling!r}")
        fuse_batch_norm(network)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.record, self.device, self.batch = record, device, batch

    def transforms(self, faces: Sequence[Face]) -> NDArray[np.float64]:
        """(N, 2, 3) maps from frame pixels to crop pixels."""
        return face_transforms(faces, self.spec)

    def crops(
        self, images: NDArray[np.uint8], index: NDArray[np.int64], transforms: NDArray[np.float64]
    ) -> Tensor:
        """Aligned crops (N, 3, S, S) float32 0..255 of frames (T, H, W, 3), on the device.

        ``index`` (N,) says which frame each of the ``transforms`` (N, 2, 3) belongs to.
        """
        return align(torch.from_numpy(images).to(self.device), index, transforms, self.spec)

    @torch.no_grad()
    def logits(self, crops: Tensor) -> Tensor:
        """(N, 3, S, S) crops to (N, h, w) patch log-odds, on the CPU."""
        parts = [
            self.network(normalise(part.to(self.device), self.mean, self.std))[:, 0].float().cpu()
            for part in crops.split(self.batch)
        ]
        return torch.cat(parts)

    def pool(self, logits: Tensor) -> Tensor:
        """(N,) pooled log-odds, by the pooling the record names."""
        return pool(logits, self.pooling, self.top_k, self.radius)

    def maps(self, logits: Tensor, transforms: NDArray[np.float64]) -> list[PatchMap]:
        """Bundle logits, pooled scores and geometry."""
        scores = self.pool(logits).tolist()
        return [
            PatchMap(values, score, to_crop, self.spec.size)
            for values, score, to_crop in zip(logits.numpy(), scores, transforms, strict=True)
        ]


def crop_quality(crops: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sharpness and brightness of crops (N, 3, S, S).

    Returns
    -------
    tuple
        (N,) mean absolute Laplacian of the luminance in the middle half, in gray levels, and (N,)
        mean luminance there, 0..255.
    """
    grey = luminance(crops)
    size = grey.shape[-1]
    grey = grey[..., size // 4 : -size // 4, size // 4 : -size // 4]
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=crops.device).view(1, 1, 3, 3)
    laplacian = F.conv2d(grey, kernel).abs().mean((1, 2, 3))
    return laplacian.cpu().numpy(), grey.mean((1, 2, 3)).cpu().numpy()

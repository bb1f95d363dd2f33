"""A foundation encoder with few trained parameters: how a face was made, read from its tokens.

The encoder is frozen. Its patch tokens at several depths are described region by region (mean and spread
over the inner face, its border, what lies outside, mouth, eyes, nose), and linear heads on these say how
unlike genuine faces the crop is: one knows whole generated pictures, one regions of real footage that were
altered, and a crop is as suspicious as either finds it. Frozen encoders with linear heads carry over to
unseen generators better than networks trained whole: Ojha et al., *Towards Universal Fake Image Detectors
that Generalize Across Generative Models* (CVPR 2023). Pooling by region follows where forgeries lie.

A third head reads every patch alone, and says where the crop was altered: masks come from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec
from vidscan.models import ModelRecord, with_weights
from vidscan.patches.classifier import MaskScale, normalise
from vidscan.patches.vision_transformer import PATCH, VisionTransformer, unpacked
from vidscan.types import CellGrid

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet, RGB 0..255: what the encoder was trained with."""
SPEC = CropSpec(size=224, margin=1.4)
"""The crop: 16 x 16 patches, of which the face takes about 11 x 11."""

REGIONS = ("inner", "border", "outside", "mouth", "eyes", "nose")
"""Parts of the crop that are described one by one; they overlap."""

_CENTRE = (8.0, 8.6)
_RADII = (4.2, 5.6)
_INNER, _EDGE = 0.8, 1.15


@lru_cache(maxsize=4)
def region_weights(side: int = 16) -> Tensor:
    """(6, side ** 2) float32: how much each patch counts in each of :data:`REGIONS`; rows sum to 1.

    The face is an ellipse in the aligned crop of :data:`SPEC`, in patches from the top left.
    """
    y, x = np.mgrid[:side, :side] * (16 / side) + 8 / side
    radius = np.hypot((x - _CENTRE[0]) / _RADII[0], (y - _CENTRE[1]) / _RADII[1])
    within = {
        "inner": radius < _INNER,
        "border": (radius >= _INNER) & (radius < _EDGE),
        "outside": radius >= _EDGE,
        "mouth": (y > 11) & (y < 14) & (x > 6) & (x < 11),
        "eyes": (y > 6) & (y < 10) & (radius < 0.95),
        "nose": (y > 8) & (y < 12) & (x > 6) & (x < 10),
    }
    weights = np.stack([within[name].ravel() for name in REGIONS]).astype(np.float32)
    return torch.from_numpy(weights / weights.sum(1, keepdims=True))


def describe(tokens: Tensor, kept: Tensor | None = None) -> Tensor:
    """(N, taps, 2, 6, width) mean and standard deviation by region of tokens (N, taps, patches, width).

    ``kept`` (patches,) says which of the 16 x 16 patches the tokens are; all where None. A region without a
    patch is described as zeros.
    """
    if kept is None:
        weights = region_weights(round(tokens.shape[2] ** 0.5)).to(tokens.device)
    else:
        weights = region_weights().to(tokens.device)[:, kept]
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
    mean = weights @ tokens
    spread = (weights @ tokens.square() - mean.square()).clamp(min=1e-6).sqrt()
    return torch.stack([mean, spread], 2)


class Encoder:
    """The frozen encoder: aligned crops to descriptions.

    Parameters
    ----------
    tensors
        Of a :class:`~vidscan.patches.vision_transformer.VisionTransformer`, matrices int8 with scales.
    taps
        Depths that are read.
    device
        ``cpu`` or ``cuda[:n]``.
    batch
        Crops at once.
    mean, std
        Of RGB 0..255, taken off and divided by.

    Raises
    ------
    WeightsError
        Where the tensors do not fit.
    """

    def __init__(
        self,
        tensors: dict[str, Tensor],
        taps: tuple[int, ...],
        device: str = "cpu",
        batch: int = 8,
        *,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        try:
            side, width = SPEC.size // PATCH, tensors["cls_token"].shape[-1]
            network = with_weights(lambda: VisionTransformer(taps, side, width), unpacked(tensors))
        except (KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(f"the encoder's tensors do not fit: {error}") from error
        self.network = network.to(device)
        self.device, self.batch = device, batch
        self.mean, self.std = list(mean), list(std)

    @torch.inference_mode()
    def describe(self, crops: Tensor) -> Tensor:
        """(N, d) float32 descriptions, on the CPU, of crops (N, 3, 224, 224) RGB 0..255."""
        return torch.cat([describe(tokens).flatten(1).cpu() for tokens in self.tokens(crops)])

    @torch.inference_mode()
    def tokens(self, crops: Tensor) -> Iterator[Tensor]:
        """Batch by batch, on the device, tokens (n, taps, 256, width) of crops as in :meth:`describe`."""
        for part in crops.split(self.batch):
            yield self.network(normalise(part.to(self.device), self.mean, self.std))


@dataclass(frozen=True, slots=True)
class EncoderReading:
    """What the heads say of crops.

    Attributes
    ----------
    deviations
        (N,) how unlike genuine faces they are, by the head that finds more: in standard deviations of genuine
        train clips, as judged by heads that never saw their sources. 0 is their median, higher is more like a
        forgery.
    maps
        (N, 16, 16) float32 log-odds that a patch was altered, row 0 at the top of the crop.
    """

    deviations: NDArray[np.float64]
    maps: NDArray[np.float32]


@lru_cache(maxsize=4)
def cells_within(spec: CropSpec, side: int = 16) -> tuple[slice, CellGrid]:
    """Rows (and columns) of a map whose centers lie in another aligned crop, and where in it they lie."""
    ratio = spec.size * SPEC.margin / (spec.margin * SPEC.size)
    stride = SPEC.size / side * ratio
    first = spec.size / 2 - (side - 1) / 2 * stride  # center of the outermost cell, the crop's edge is 0
    cut = max(0, int(np.ceil(-first / stride)))
    return slice(cut, side - cut), CellGrid(stride, first + cut * stride - 0.5)


class EncoderClassifier:
    """The encoder with its trained heads, as its registry record says.

    Parameters
    ----------
    record
        Registry record of kind ``encoder``.
    device
        ``cpu`` or ``cuda[:n]``.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """

    spec = SPEC

    def __init__(self, record: ModelRecord, device: str = "cpu") -> None:
        tensors = record.load()
        try:
            weight, bias = tensors.pop("head.weight"), tensors.pop("head.bias")
            map_weight, map_bias = tensors.pop("map.weight"), tensors.pop("map.bias")
            taps = tuple(int(tap) for tap in record.settings["taps"])
            mean, std = ([float(v) for v in record.settings[name]] for name in ("mean", "std"))
            self.mask = MaskScale(**record.settings["mask"])
            if CropSpec(**record.settings["crop"]) != SPEC:
                raise ValueError(f"crops are not {SPEC}")
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(
                f"registry record of {record.name} does not fit its weights: {error}"
            ) from error
        self.encoder = Encoder(tensors, taps, device, mean=mean, std=std)
        width = self.encoder.network.cls_token.shape[-1]
        if weight.ndim != 2 or weight.shape[1] != len(taps) * 2 * len(REGIONS) * width or not len(weight):
            raise WeightsError(f"the heads of {record.name} have {tuple(weight.shape)} weights")
        if bias.shape != weight.shape[:1]:
            raise WeightsError(f"{record.name} has {len(weight)} heads and {bias.numel()} biases")
        if map_weight.shape != (len(taps), width) or map_bias.shape != ():
            raise WeightsError(f"the map's head of {record.name} has {tuple(map_weight.shape)} weights")
        self.weight, self.bias = weight, bias
        self._map_weight = map_weight.to(device)
        self._map_bias = float(map_bias)
        self.record, self.device = record, device

    def read(self, crops: Tensor) -> EncoderReading:
        """What the heads say of crops (N, 3, 224, 224) RGB 0..255."""
        deviations, maps = [], []
        for tokens in self.encoder.tokens(crops):
            description = describe(tokens).flatten(1).cpu()
            deviations.append((description @ self.weight.T + self.bias).amax(1).double())
            altered = torch.einsum("ntpw,tw->np", tokens, self._map_weight) + self._map_bias
            maps.append(altered.unflatten(1, (SPEC.size // PATCH, -1)).cpu())
        return EncoderReading(torch.cat(deviations).numpy(), torch.cat(maps).numpy())

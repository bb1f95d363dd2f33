"""A foundation encoder with few trained parameters: how a face was made, read from its tokens.

The encoder is frozen. Its patch tokens at several depths are described region by region (mean and spread
over the inner face, its border, what lies outside, mouth, eyes, nose), and linear heads on these say how
unlike genuine faces the crop is: one knows whole generated pictures, one regions of real footage that were
altered, and a crop is as suspicious as either finds it. Frozen encoders with linear heads carry over to
unseen generators better than networks trained whole: Ojha et al., *Towards Universal Fake Image Detectors
that Generalize Across Generative Models* (CVPR 2023). Pooling by region follows where forgeries lie.

Two more heads read native crops: upright, in the frame's own pixels, with regions where they lie in them.
Aligning a face resamples it and blurs the finest traces; what both kinds of crop say errs in different ways.

A last head reads every patch of an aligned crop alone, and says where it was altered: masks come from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec, apply_affine
from vidscan.faces.geometry import native_transforms
from vidscan.models import ModelRecord, with_weights
from vidscan.patches.classifier import MaskScale, normalise
from vidscan.patches.vision_transformer import PATCH, VisionTransformer, unpacked
from vidscan.types import CellGrid

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet, RGB 0..255: what the encoder was trained with."""
SPEC = CropSpec(size=224, margin=1.4)
"""The crop: 16 x 16 patches, of which the face takes about 11 x 11."""

LARGEST = 240.0
"""Side in pixels of a face, as :data:`SPEC` measures it, above which native crops are reduced to that: heads
learn from faces no larger."""

REGIONS = ("inner", "border", "outside", "mouth", "eyes", "nose")
"""Parts of the crop that are described one by one; they overlap."""

_CENTRE = (8.0, 8.6)
_RADII = (4.2, 5.6)
_INNER, _EDGE = 0.8, 1.15
_MIDDLES = {
    "inner": (8.0, 8.6),
    "border": (8.0, 13.5),
    "outside": (8.0, 16.0),
    "mouth": (8.5, 12.5),
    "eyes": (8.0, 8.0),
    "nose": (8.0, 10.0),
}


@lru_cache(maxsize=4)
def region_weights(side: int = 16) -> Tensor:
    """(6, side ** 2) float32: how much each patch counts in each of :data:`REGIONS`; rows sum to 1.

    The face is an ellipse in the aligned crop of :data:`SPEC`, in patches from the top left.
    """
    y, x = np.mgrid[:side, :side] * (16 / side) + 8 / side
    return _shares(_within(x.ravel(), y.ravel()).astype(np.float32))


def native_maps(to_aligned: NDArray[np.floating], frame: tuple[int, int]) -> NDArray[np.float64]:
    """(N, 2, 3) maps from a frame of a width and height to native crops, from those to aligned ones."""
    return native_transforms(to_aligned, SPEC, frame, LARGEST)


def native_region_weights(to_frame: NDArray[np.floating], to_aligned: NDArray[np.floating]) -> Tensor:
    """(N, 6, 256) float32: as :func:`region_weights` in native crops, by where patches lie when aligned.

    ``to_frame`` and ``to_aligned`` (N, 2, 3) map native pixels to the frame's, and these to aligned crops. A
    region too small to hold the middle of a patch is the patch nearest to it.
    """
    centres = np.arange(16) * PATCH + (PATCH - 1) / 2
    grid = np.stack(np.meshgrid(centres, centres), -1).reshape(1, -1, 2)
    places = (apply_affine(to_aligned, apply_affine(to_frame, grid)) + 0.5) / PATCH
    x, y = places[..., 0], places[..., 1]
    counts = _within(x, y).astype(np.float32)
    middles = np.array([_MIDDLES[name] for name in REGIONS])[:, None]
    distance = np.hypot(x[:, None] - middles[..., 0], y[:, None] - middles[..., 1])
    nearest = np.eye(counts.shape[-1], dtype=np.float32)[distance.argmin(-1)]
    return _shares(np.where(counts.any(-1, keepdims=True), counts, nearest))


def _within(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(..., 6, P) which patches, by their places (..., P) in the aligned crop, belong to each region."""
    radius = np.hypot((x - _CENTRE[0]) / _RADII[0], (y - _CENTRE[1]) / _RADII[1])
    within = {
        "inner": radius < _INNER,
        "border": (radius >= _INNER) & (radius < _EDGE),
        "outside": radius >= _EDGE,
        "mouth": (y > 11) & (y < 14) & (x > 6) & (x < 11),
        "eyes": (y > 6) & (y < 10) & (radius < 0.95),
        "nose": (y > 8) & (y < 12) & (x > 6) & (x < 10),
    }
    return np.stack([within[name] for name in REGIONS], -2)


def _shares(counts: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(counts / counts.sum(-1, keepdims=True))


def some_region_weights(kept: Tensor) -> Tensor:
    """(6, M) as :func:`region_weights` where only the patches ``kept`` (M,) are there.

    A region without a patch is described as zeros.
    """
    weights = region_weights().to(kept.device)[:, kept]
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-6)


def describe(tokens: Tensor, weights: Tensor | None = None) -> Tensor:
    """(N, taps, 2, 6, width) mean and standard deviation by region of tokens (N, taps, patches, width).

    ``weights`` (6, patches) or (N, 6, patches) say what counts in which region: :func:`region_weights` where
    None.
    """
    if weights is None:
        weights = region_weights(round(tokens.shape[2] ** 0.5))
    weights = weights.to(tokens.device)
    if weights.ndim == 3:
        weights = weights[:, None]
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
    def describe(self, crops: Tensor, weights: Tensor | None = None) -> Tensor:
        """(N, d) float32 descriptions, on the CPU, of crops (N, 3, 224, 224) RGB 0..255.

        ``weights`` (N, 6, 256) of :func:`native_region_weights` for native crops, None for aligned ones.
        """
        parts = repeat(None) if weights is None else weights.split(self.batch)
        return torch.cat(
            [
                describe(tokens, own).flatten(1).cpu()
                for tokens, own in zip(self.tokens(crops), parts, strict=False)
            ]
        )

    @torch.inference_mode()
    def tokens(self, crops: Tensor) -> Iterator[Tensor]:
        """Batch by batch, on the device, tokens (n, taps, 256, width) of crops as in :meth:`describe`."""
        for part in crops.split(self.batch):
            yield self.network(normalise(part.to(self.device), self.mean, self.std))


@dataclass(frozen=True, slots=True)
class EncoderReading:
    """What the heads say of aligned crops.

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
    heads
        Tensors in the place of the record's, by name.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """

    spec = SPEC

    def __init__(
        self, record: ModelRecord, device: str = "cpu", heads: Mapping[str, Tensor] | None = None
    ) -> None:
        tensors = record.load() | dict(heads or {})
        try:
            weight, bias = tensors.pop("head.weight"), tensors.pop("head.bias")
            map_weight, map_bias = tensors.pop("map.weight"), tensors.pop("map.bias")
            native = None
            if "native.weight" in tensors:
                native = tensors.pop("native.weight"), tensors.pop("native.bias")
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
        for pair in ((weight, bias), native):
            if pair is not None:
                _check_heads(record.name, *pair, len(taps) * 2 * len(REGIONS) * width)
        if map_weight.shape != (len(taps), width) or map_bias.shape != ():
            raise WeightsError(f"the map's head of {record.name} has {tuple(map_weight.shape)} weights")
        self.weight, self.bias = weight, bias
        self._native = native
        self._map_weight = map_weight.to(device)
        self._map_bias = float(map_bias)
        self.record, self.device = record, device

    @property
    def reads_native(self) -> bool:
        """Whether there are heads for native crops."""
        return self._native is not None

    def read(self, crops: Tensor) -> EncoderReading:
        """What the heads say of aligned crops (N, 3, 224, 224) RGB 0..255."""
        deviations, maps = [], []
        for tokens in self.encoder.tokens(crops):
            deviations.append(_greatest(describe(tokens), self.weight, self.bias))
            altered = torch.einsum("ntpw,tw->np", tokens, self._map_weight) + self._map_bias
            maps.append(altered.unflatten(1, (SPEC.size // PATCH, -1)).cpu())
        return EncoderReading(torch.cat(deviations).numpy(), torch.cat(maps).numpy())

    def read_native(self, crops: Tensor, weights: Tensor) -> NDArray[np.float64]:
        """(N,) deviations, as of :class:`EncoderReading`, of native crops (N, 3, 224, 224) RGB 0..255.

        ``weights`` (N, 6, 256) are those of :func:`native_region_weights`. Raises ValueError where there are
        no heads for them.
        """
        if self._native is None:
            raise ValueError(f"{self.record.name} has no heads for native crops")
        return _greatest(self.encoder.describe(crops, weights), *self._native).numpy()


def _check_heads(name: str, weight: Tensor, bias: Tensor, numbers: int) -> None:
    if weight.ndim != 2 or weight.shape[1] != numbers or not len(weight):
        raise WeightsError(f"the heads of {name} have {tuple(weight.shape)} weights")
    if bias.shape != weight.shape[:1]:
        raise WeightsError(f"{name} has {len(weight)} heads and {bias.numel()} biases")


def _greatest(descriptions: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N,) what the head that finds more says of descriptions (N, ...)."""
    return (descriptions.flatten(1).cpu() @ weight.T + bias).amax(1).double()

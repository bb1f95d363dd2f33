"""Where a picture was resampled and its surroundings were not: the instrument.

From the six characteristics of every patch (:mod:`vidscan.forensics.resampling_features`) to a mask as Bunk
et al. (CVPR Workshops 2017) do it: a bilateral filter, Otsu's threshold, a random walker from the sure
patches, and the union over the characteristics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidscan.errors import SetupError, WeightsError, lacking
from vidscan.forensics.base import Finding, insufficient, looked
from vidscan.forensics.material import Material
from vidscan.forensics.resampling_features import (
    CHARACTERISTICS,
    PATCH,
    LearnedResampling,
    ResamplingHeads,
    cut,
    features,
    patch_grid,
)
from vidscan.forensics.windows import grey
from vidscan.models import load_registry, with_weights

KIND = "forensic_resampling"
"""Of the registry record: both networks, their parameters under ``radon.`` and ``learned.``."""
CONTRAST = 0.35
"""Two sides of a map whose mean probabilities differ by less are one: Otsu splits everything."""
_MAX_SHARE = 0.6
_COHERENT = 0.8
"""Share of the deviating side that its largest region holds: what scatters over the frame is no splice."""
_MIN_AREA = 0.75
"""Area under the curve below which a classifier's map is not read."""


def segment(probability: NDArray[np.floating]) -> tuple[NDArray[np.bool_], float]:
    """The deviating side of a map (h, w) of probabilities 0..1, and how far both sides' means lie apart.

    The smaller side deviates: a region without the trace in a picture that has it is as telling. Nothing
    where the sides differ by less than :data:`CONTRAST`, or the smaller one is scattered.

    Raises SetupError without scikit-image.
    """
    try:
        from skimage.filters import threshold_otsu
        from skimage.segmentation import random_walker
    except ImportError as error:
        raise SetupError(lacking("scikit-image is missing", "forensics")) from error

    nothing = np.zeros(probability.shape, bool)
    # Neighboring patches share most of their pixels: a patch that stands alone is an error.
    steady = cv2.medianBlur(np.asarray(probability, np.float32), 5)
    smooth = np.asarray(cv2.bilateralFilter(steady, 5, 0.2, 2.0))
    if min(smooth.shape) < 2 or np.ptp(smooth) < CONTRAST:
        return nothing, 0.0
    level = threshold_otsu(smooth)
    low, high = float(smooth[smooth <= level].mean()), float(smooth[smooth > level].mean())
    if high - low < CONTRAST:
        return nothing, high - low
    seeds = np.zeros(smooth.shape, np.int64)
    seeds[smooth <= (low + level) / 2] = 1
    seeds[smooth >= (high + level) / 2] = 2
    mask = (
        random_walker(smooth, seeds, beta=90, mode="cg_j", tol=1e-6) == 2
        if (seeds == 0).any()
        else seeds == 2
    )
    if mask.mean() > 0.5:
        mask = ~mask
    _, _, regions, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    largest = regions[1:, cv2.CC_STAT_AREA].max(initial=0)
    return (mask, high - low) if largest >= _COHERENT * max(mask.sum(), 1) else (nothing, high - low)


def _over_frame(
    mask: NDArray[np.bool_], rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """(H / 8, W / 8) of a frame (H, W): what the nearest patch of ``mask`` (h, w) says."""
    nearest = []
    for starts, side in ((rows, shape[0]), (columns, shape[1])):
        places = np.arange(side // 8) * 8 + 4 - PATCH // 2
        nearest.append(np.abs(places[:, None] - starts).argmin(1))
    return mask[np.ix_(*nearest)].astype(np.float32)


class Resampling:
    """Resampled regions by Laplacian, Radon and Fourier transform."""

    name = "resampling"
    title = "Resampled regions"
    source = (
        "Bunk et al., Detection and Localization of Image Forgeries using Resampling Features and Deep "
        "Learning, CVPR Workshops 2017"
    )
    _part = "radon"

    def examine(self, material: Material) -> Finding:
        frame = material.frames[len(material.frames) // 2]
        rows, columns = patch_grid(frame.image.shape[:2])
        if len(rows) < 4 or len(columns) < 4:
            return insufficient(self, "too_small", f"The picture has too few patches of {PATCH} pixels.")
        found = self.probabilities(cut(grey(frame.image), rows.tolist(), columns.tolist()))
        maps = found.T.reshape(len(CHARACTERISTICS), len(rows), len(columns))
        union = np.zeros(maps.shape[1:], bool)
        traces: list[tuple[float, str]] = []
        for name, one in zip(CHARACTERISTICS, maps, strict=True):
            if self._judged.get(name, 0.0) < _MIN_AREA:
                continue
            mask, contrast = segment(one)
            if mask.any():
                traces.append((contrast, name))
                union |= mask
        score = max((contrast for contrast, _ in traces), default=0.0)
        if union.mean() > _MAX_SHARE:
            # Characteristics that each mark another part say nothing of where.
            score = 0.0
        return looked(
            self,
            _message([name for _, name in sorted(traces, reverse=True)], float(union.mean()), score),
            min(score, 1.0),
            map=_over_frame(union, rows, columns, frame.image.shape[:2]) if score else None,
            map_time_s=frame.time_s,
        )

    @torch.inference_mode()
    def probabilities(self, patches: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, 6) of luminance patches (N, 64, 64)."""
        parts = [self._network(self._inputs(patches[i : i + 128])) for i in range(0, len(patches), 128)]
        return torch.cat(parts).sigmoid().double().numpy()

    def _inputs(self, patches: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(features(patches))

    _make: Callable[[], nn.Module] = ResamplingHeads

    @cached_property
    def _judged(self) -> dict[str, float]:
        """Area under the curve by characteristic, on patches of pictures left out."""
        judged: dict[str, float] = load_registry().get(KIND).settings["judged"][self._part]
        return judged

    @cached_property
    def _network(self) -> nn.Module:
        record = load_registry().get(KIND)
        prefix = f"{self._part}."
        tensors = {k.removeprefix(prefix): v for k, v in record.load().items() if k.startswith(prefix)}
        try:
            return with_weights(type(self)._make, tensors)
        except RuntimeError as error:
            raise WeightsError(f"the weights of {record.name} do not fit: {error}") from error


class LearnedResamplingMap(Resampling):
    """The same with learned features."""

    name = "resampling_learned"
    title = "Resampled regions, learned features"
    source = (
        "Bunk et al. (CVPR Workshops 2017) with the first layer of Bayar & Stamm, A Deep Learning Approach "
        "to Universal Image Manipulation Detection Using a New Convolutional Layer, IH&MMSec 2016"
    )
    _part = "learned"
    _make = LearnedResampling

    def _inputs(self, patches: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(patches)


def _message(traces: list[str], share: float, score: float) -> str:
    if not traces:
        return "No part of the picture is resampled otherwise than the rest."
    if not score:
        return "Parts of the picture seem resampled, but they cover most of it: no region stands out."
    return (
        f"{share:.0%} of the picture differs from the rest ({', '.join(traces)}). Focus, motion and coding "
        "differ across a frame too, and a strongly compressed clip keeps no trace."
    )

"""Why a crop was scored as it was: maps over aligned crops, and the crops that are worth a look.

``patches`` shows the patch classifier's own answer. The other two go by gradient, with captum:
``gradcam`` (Selvaraju et al., *Grad-CAM*, ICCV 2017) and ``saliency`` (Simonyan et al., *Deep inside
convolutional networks*, 2013), both of the pooled score. Where the network's head is linear in its
features, as the shipped one's is, the Grad-CAM map is by construction the patch log-odds less their
bias, cut off at zero.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidscan.errors import InputError, NoFaceError, SetupError, VidscanError, lacking
from vidscan.faces.align import to_frame
from vidscan.media.source import reopen
from vidscan.patches.classifier import PatchClassifier, normalise
from vidscan.patches.networks import receptive_grid
from vidscan.report.pictures import crops_of, strongest
from vidscan.report.words import timecode
from vidscan.types import CellGrid, FrameMaps, ModelRef, Report, VideoInfo

if TYPE_CHECKING:
    from vidscan.scanner import Scanner

Method = Literal["patches", "gradcam", "saliency"]
METHODS: tuple[str, ...] = get_args(Method)

_SMOOTH = 0.01
"""Standard deviation by which saliency is smoothed, as a share of the crop's side."""
_NEAR_S = 0.5
"""A crop at a time may be so far from it."""


# --------------------------------------------------------------------------- maps


def explain(crops: Tensor, classifier: PatchClassifier, method: str) -> NDArray[np.float32]:
    """One map a crop.

    Parameters
    ----------
    crops
        (N, 3, S, S) float RGB 0..255, as :meth:`PatchClassifier.crops` cuts them.
    classifier
        Its network, preprocessing and pooling are explained; its state is left as it was.
    method
        One of :data:`METHODS`. ``patches``: the probability that each patch is manipulated. ``gradcam``:
        positive evidence in the last feature grid. ``saliency``: the absolute gradient by the
        input, its largest channel, slightly smoothed.

    Returns
    -------
    (N, h, w) float32, 0..1, row 0 at the top of the crop. Probabilities are as they are and can be
    compared between crops; the other maps are shares of each crop's own peak (all 0 where nothing speaks
    for a manipulation). ``patches`` and ``gradcam`` have the network's grid, ``saliency`` the crop's.

    Raises
    ------
    SetupError
        Where captum is missing; ``patches`` does not need it.
    ValueError
        For an unknown method.
    """
    if method == "patches":
        return classifier.logits(crops).sigmoid().numpy()
    attribute = {"gradcam": _gradcam, "saliency": _saliency}.get(method)
    if attribute is None:
        raise ValueError(f"unknown method {method!r}; one of {', '.join(METHODS)}")
    captum = _captum()
    network = _Pooled(classifier)
    parts = []
    for part in crops.split(classifier.batch):
        # The network's own weights ask for no gradient, so the input has to.
        given = part.to(classifier.device).detach().clone().requires_grad_(True)
        parts.append(attribute(captum, network, given).detach().float().cpu().numpy())
    maps = np.concatenate(parts)
    peaks = maps.max(axis=(1, 2), keepdims=True)
    return (maps / np.where(peaks > 0, peaks, 1)).astype(np.float32)


class _Pooled(nn.Module):
    """Crops (N, 3, S, S) in 0..255 to their pooled log-odds (N,), with gradients."""

    def __init__(self, classifier: PatchClassifier) -> None:
        super().__init__()
        self.network = classifier.network
        self._classifier = classifier

    def forward(self, crops: Tensor) -> Tensor:
        classifier = self._classifier
        logits = self.network(normalise(crops, classifier.mean, classifier.std))[:, 0]
        # Counted votes have no gradient; the mean of what is counted stands in for them.
        return logits.mean((1, 2)) if classifier.pooling == "votes" else classifier.pool(logits)


def _gradcam(captum: Any, network: _Pooled, crops: Tensor) -> Tensor:
    cam = captum.LayerGradCam(network, network.network.features)
    return cam.attribute(crops, relu_attributions=True)[:, 0]


def _saliency(captum: Any, network: _Pooled, crops: Tensor) -> Tensor:
    strongest = captum.Saliency(network).attribute(crops, abs=True).amax(1)
    sigma = _SMOOTH * crops.shape[-1]
    smooth = [cv2.GaussianBlur(one.cpu().numpy(), (0, 0), sigma) for one in strongest]
    return torch.from_numpy(np.stack(smooth))


def _captum() -> Any:
    try:
        from captum import attr
    except ImportError as error:
        raise SetupError(lacking("gradcam and saliency need captum", "explain")) from error
    return attr


# --------------------------------------------------------------------------- crops


@dataclass(frozen=True, slots=True)
class Crop:
    """One aligned face of a clip."""

    track_id: int
    frame_index: int
    time_s: float
    score: float
    """0 genuine .. 1 manipulated, of this crop alone."""
    pixels: NDArray[np.float32]
    """(3, S, S) RGB 0..255."""


def telling_crops(
    path: str | os.PathLike[str],
    scanner: Scanner,
    count: int = 5,
    *,
    at_s: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Crop]:
    """The crops of a clip that speak most for a manipulation, the strongest first.

    The clip is scanned as ``check`` scans it, then decoded once more up to the last crop wanted. Of
    each track at most one crop is taken from any half second.

    Parameters
    ----------
    count
        At most so many crops.
    at_s
        Take the classified frame nearest to this time instead, and all faces in it (``count`` at most).
    progress
        Called with the share of the scan done, 0..1.

    Raises
    ------
    InputError
        Where the clip cannot be scanned; NoFaceError where no face is found, or none within half a
        second of ``at_s``.
    """
    places = _Places()
    report = scanner.scan(path, masks=places, frames=True, progress=progress)
    raise_error(report)
    looks = [
        frame
        for frame in report.frames
        if frame.score is not None and (frame.index, frame.track_id) in places.to_crop
    ]
    if at_s is not None and looks:
        nearest = min(looks, key=lambda look: abs(look.time_s - at_s))
        looks = [f for f in looks if f.index == nearest.index and abs(f.time_s - at_s) <= _NEAR_S]
    if not looks:
        where = "" if at_s is None else f" within half a second of {timecode(at_s)}"
        raise NoFaceError(f"{report.input.path}: no face found{where}")
    chosen = strongest(looks, count)
    wanted = {(look.index, look.track_id): look for look in chosen}
    to_crop = {key: places.to_crop[key] for key in wanted}
    pixels: dict[tuple[int, int], Tensor] = {}
    with reopen(path, report) as source:
        for chunk in source:
            pixels |= crops_of(chunk, to_crop, scanner.classifier)
            if len(pixels) == len(wanted):
                break
    return [
        Crop(look.track_id, look.index, look.time_s, look.score or 0.0, pixels[key].cpu().numpy())
        for key, look in wanted.items()
    ]


class _Places:
    """A mask sink that keeps where the crops of the classified frames lie, and writes nothing."""

    def __init__(self) -> None:
        self.to_crop: dict[tuple[int, int], NDArray[np.float64]] = {}

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """One of these is for one clip."""

    def write(self, frame: FrameMaps) -> str | None:
        """Notes the geometry of a classified frame."""
        if not frame.interpolated:
            for face in frame.faces:
                self.to_crop[frame.index, face.track_id] = face.to_crop
        return None

    def close(self, models: Sequence[ModelRef]) -> None:
        """Nothing is open."""


def raise_error(report: Report) -> None:
    """Raises what kept a clip from being scanned, with its code; InputError unless it is a bug of ours."""
    if report.error is not None:
        kind = VidscanError if report.error.code == VidscanError.code else InputError
        problem = kind(report.error.message)
        problem.code = report.error.code
        raise problem


# --------------------------------------------------------------------------- pictures


def explain_crops(crops: Sequence[Crop], classifier: PatchClassifier, method: str) -> NDArray[np.float32]:
    """:func:`explain` for crops of a clip, (N, S, S): every cell laid where its field is centered."""
    pixels = torch.from_numpy(np.stack([crop.pixels for crop in crops]))
    size = pixels.shape[-1]
    maps = explain(pixels, classifier, method)
    if maps.shape[-1] == size:
        return maps
    grid, still = _patch_grid(classifier.network, size), np.eye(2, 3)
    return np.stack([to_frame(own, still, size, (size, size), grid)[0] for own in maps])


@lru_cache(maxsize=2)
def _patch_grid(network: nn.Module, size: int) -> CellGrid:
    """Worked out once for all clips of a set: it takes seconds."""
    return receptive_grid(network, size)


def mean_of_clips(
    clips: Sequence[tuple[Sequence[Crop], NDArray[np.float32]]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean face and mean map of a set of clips, each of which counts once.

    Parameters
    ----------
    clips
        Crops and their maps (n, h, w) of each clip; n may differ between clips.

    Returns
    -------
    (3, S, S) RGB 0..255, and (h, w).
    """
    faces = [np.mean([crop.pixels for crop in crops], axis=0) for crops, _ in clips]
    maps = [own.mean(axis=0) for _, own in clips]
    return np.mean(faces, axis=0).astype(np.float32), np.mean(maps, axis=0).astype(np.float32)

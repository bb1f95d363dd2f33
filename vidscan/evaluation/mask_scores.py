"""How well a clip's masks agree with the exact ones: overlap, ranking of pixels, pointing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.batch.engine import Identity
from vidscan.digests import digest
from vidscan.faces.align import to_frame
from vidscan.outputs import Replacement, write_text
from vidscan.report.masks import render
from vidscan.scanner import Scanner
from vidscan.types import FrameMaps, ModelRef, Report, ScanSettings, VideoInfo

_LEVELS = 256
_HALF = 128
"""Smallest gray level that stands for a probability above one half."""


def overlap(predicted: NDArray[np.bool_], exact: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape; 1 where both are empty."""
    union = int((predicted | exact).sum())
    return int((predicted & exact).sum()) / union if union else 1.0


def pixel_auc(genuine: NDArray[np.int64], forged: NDArray[np.int64]) -> float | None:
    """Area under the ROC curve over pixels, from how many have each gray level.

    ``genuine`` and ``forged`` (256,) counts. None where a side has no pixel.
    """
    total = int(genuine.sum()) * int(forged.sum())
    below = np.cumsum(genuine) - genuine
    return float((forged * (below + 0.5 * genuine)).sum() / total) if total else None


def pointing(mask: NDArray[np.uint8], exact: NDArray[np.bool_]) -> float:
    """Share of the hottest pixels of ``mask`` (one, but for ties) that are forged; 0 for an empty mask."""
    peak = mask.max()
    return float(exact[mask == peak].mean()) if peak else 0.0


@dataclass(frozen=True, slots=True)
class MaskScores:
    """One clip's analyzed frames against its exact masks.

    Attributes
    ----------
    frames
        Frames compared: analyzed ones, whose exact mask is not empty.
    iou
        Mean over frames of the overlap at probability .5, in the whole frame.
    face_auc, frame_auc
        Area under the ROC curve over all pixels of the faces' network crops, and of the whole frames;
        None where these are all forged, or all genuine.
    pointing
        Mean over frames of :func:`pointing`.
    """

    frames: int
    iou: float
    face_auc: float | None
    frame_auc: float | None
    pointing: float


NO_MASK = MaskScores(0, 0.0, 0.5, 0.5, 0.0)
"""Where the pipeline found no face there is no mask, and every pixel ranks the same."""


class Comparison:
    """A mask sink that compares with exact masks and writes nothing.

    Parameters
    ----------
    exact
        (T, H, W) bool, a mask for every frame of the clip.
    """

    def __init__(self, exact: NDArray[np.bool_]) -> None:
        self._exact = exact
        self._overlaps: list[float] = []
        self._hits: list[float] = []
        self._face = np.zeros((2, _LEVELS), np.int64)
        self._frame = np.zeros((2, _LEVELS), np.int64)

    def begin(self, info: VideoInfo, sha256: str, path: object) -> None:
        """One comparison is for one clip."""

    def write(self, frame: FrameMaps) -> str | None:
        """Takes an analyzed frame; those in which faces were only followed are passed over."""
        if frame.interpolated or not frame.faces or frame.index >= len(self._exact):
            return None
        height, width = self._exact.shape[1:]
        exact = np.zeros(frame.shape, bool)
        exact[:height, :width] = self._exact[frame.index][: frame.shape[0], : frame.shape[1]]
        if not exact.any():
            return None
        mask = render(frame.shape, frame.faces)
        crops = np.zeros(frame.shape, bool)
        for face in frame.faces:
            crops |= to_frame(face.probability, face.to_crop, face.crop_size, frame.shape)[1]
        self._overlaps.append(overlap(mask >= _HALF, exact))
        self._hits.append(pointing(mask, exact))
        for forged in (0, 1):
            side = exact == bool(forged)
            self._frame[forged] += np.bincount(mask[side], minlength=_LEVELS)
            self._face[forged] += np.bincount(mask[side & crops], minlength=_LEVELS)
        return None

    def close(self, models: Sequence[ModelRef]) -> None:
        """The scores are ready."""

    @property
    def scores(self) -> MaskScores:
        """What the frames so far add up to."""
        if not self._overlaps:
            return NO_MASK
        return MaskScores(
            len(self._overlaps),
            float(np.mean(self._overlaps)),
            pixel_auc(*self._face),
            pixel_auc(*self._frame),
            float(np.mean(self._hits)),
        )


def exact_masks_path(clip: Path) -> Path:
    """Where the exact masks of a forged clip are kept."""
    return clip.with_suffix(".masks.npz")


def save_exact_masks(clip: Path, masks: Sequence[NDArray[np.uint8]]) -> None:
    """Keep what is forged of each frame beside the clip.

    ``masks`` are T times (H, W) uint8, 255 times the share of each pixel that is forged. A pixel counts
    as forged where its share is above half of the largest in the clip: in most clips that is one half,
    in clips that were forged at little strength it is less.
    """
    stack = np.stack(masks)
    forged = stack > stack.max() / 2
    with Replacement(exact_masks_path(clip)) as part, part.open() as file:
        np.savez_compressed(file, forged=np.packbits(forged, axis=-1), width=np.int64(forged.shape[-1]))


def load_exact_masks(clip: Path) -> NDArray[np.bool_]:
    """(T, H, W) bool, as :func:`save_exact_masks` kept them."""
    with np.load(exact_masks_path(clip), allow_pickle=False) as data:
        return np.unpackbits(data["forged"], axis=-1, count=int(data["width"])).astype(bool)


def region_px(clip: Path) -> float:
    """Side of a square as large as what is forged, in pixels: mean over the frames with something forged.

    0 where no frame has.
    """
    sides = np.sqrt(load_exact_masks(clip).sum(axis=(1, 2)))
    return float(sides[sides > 0].mean()) if sides.any() else 0.0


def scores_path(clip: Path, identity: Identity) -> Path:
    """Where the scores of a clip are kept, by what it was scanned with."""
    models = sorted((model.name, model.sha256) for model in identity.models)
    return clip.with_suffix(f".{digest([models, asdict(identity.settings)])}.json")


def load_scores(path: Path) -> MaskScores:
    """What :class:`MaskScanner` kept; :data:`NO_MASK` where the clip could not be scanned."""
    return MaskScores(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else NO_MASK


class MaskScanner:
    """A scanner for the batch engine that leaves a clip's mask scores beside it."""

    def __init__(self, settings: ScanSettings | None = None, *, device: str = "auto") -> None:
        self._scanner = Scanner(settings, device=device)
        self.settings, self.device = self._scanner.settings, self._scanner.device
        self.models = self._scanner.models

    def scan(self, path: str | Path, *, sha256: str | None = None) -> Report:
        """Scan a clip that has exact masks; ``sha256`` is its content's where that is known."""
        clip = Path(path)
        comparison = Comparison(load_exact_masks(clip))
        report = self._scanner.scan(clip, masks=comparison, sha256=sha256)
        if report.error is None:
            place = scores_path(clip, Identity(self.settings, self.device, self.models))
            write_text(place, json.dumps(asdict(comparison.scores)) + "\n")
        return replace(report, frames=())

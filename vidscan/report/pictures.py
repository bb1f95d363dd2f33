"""The pictures of an HTML report: its most telling crops with their maps, and small frames to hover over.

They are cut in a second reading of the clip, so that scanning holds no picture back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.media.source import reopen
from vidscan.report.shown import shown
from vidscan.report.spool import RegionSpool
from vidscan.report.telling import MAX_TELLING, TellingCrop, suspicious
from vidscan.spread import evenly
from vidscan.types import FaceMap, FrameChunk, FrameReport, Report

if TYPE_CHECKING:
    from torch import Tensor

    from vidscan.patches.classifier import PatchClassifier

_APART_S = 0.4
"""Crops of one face nearer in time tell the same."""
_THUMBNAILS = 60
_THUMBNAIL_PX = 240


def gather_pictures(
    path: Path, report: Report, spool: RegionSpool, classifier: PatchClassifier
) -> tuple[list[TellingCrop], dict[int, NDArray[np.uint8]]]:
    """The most telling of the suspicious crops, strongest first, and thumbnails (h, w, 3) RGB by frame index.

    Parameters
    ----------
    path
        The clip that was scanned.
    report
        With its frames.
    spool
        What the same scan wrote.
    classifier
        The one that scored the crops: it cuts them again.

    Raises
    ------
    InputError
        Where the clip can no longer be read.
    """
    report = shown(report)
    chosen = strongest(suspicious(report), MAX_TELLING)
    wanted = {(f.index, f.track_id): f for f in chosen}
    regions: dict[tuple[int, int], FaceMap] = {}
    for frame in spool:
        for region in frame.faces:
            if (frame.index, region.track_id) in wanted:
                regions[frame.index, region.track_id] = region
    to_crop = {key: region.to_crop for key, region in regions.items()}
    thumbs = _spread([f.index for f in report.frames if f.score is not None])
    crops: dict[tuple[int, int], NDArray[np.uint8]] = {}
    small: dict[int, NDArray[np.uint8]] = {}
    last = max([*thumbs, *(index for index, _ in regions)], default=-1)
    with reopen(path, report) as source:
        for chunk in source:
            end = chunk.first_index + len(chunk.times)
            for key, pixels in crops_of(chunk, to_crop, classifier).items():
                crops[key] = pixels.round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
            for number in thumbs:
                if chunk.first_index <= number < end:
                    small[number] = _thumbnail(chunk.image(number - chunk.first_index))
            if end > last:
                break
    telling = [
        TellingCrop(f.time_s, f.track_id, f.score, crops[key], regions[key].probability)
        for key, f in wanted.items()
        if key in crops and f.score is not None
    ]
    return telling, small


def strongest(frames: Sequence[FrameReport], count: int) -> list[FrameReport]:
    """At most ``count`` frames, those of the highest score, no two of one face within half a second."""
    chosen: list[FrameReport] = []
    for frame in sorted(frames, key=lambda f: (-(f.score or 0.0), f.index, f.track_id)):
        if len(chosen) == count:
            break
        if all(frame.track_id != o.track_id or abs(frame.time_s - o.time_s) >= _APART_S for o in chosen):
            chosen.append(frame)
    return chosen


def crops_of(
    chunk: FrameChunk, to_crop: Mapping[tuple[int, int], NDArray[np.float64]], classifier: PatchClassifier
) -> dict[tuple[int, int], Tensor]:
    """Crops (3, S, S) RGB 0..255 of the chunk's frames, by frame index and track.

    ``to_crop`` are the maps (2, 3) from frame to crop pixels, of any frames.
    """
    keys = [key for key in to_crop if 0 <= key[0] - chunk.first_index < len(chunk.times)]
    if not keys:
        return {}
    index = np.array([key[0] - chunk.first_index for key in keys])
    crops = classifier.crops(chunk.images, index, np.stack([to_crop[key] for key in keys]))
    return dict(zip(keys, crops, strict=True))


def _spread(indices: Sequence[int]) -> list[int]:
    """At most sixty of the frames, evenly spread."""
    unique = sorted(set(indices))
    return [unique[i] for i in evenly(len(unique), _THUMBNAILS)]


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    factor = min(1.0, _THUMBNAIL_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

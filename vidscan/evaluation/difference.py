"""What was changed in a clip, from its difference to the clip that it was made of.

Both show the same footage, but each was encoded on its own, and often scaled and recoloured a little. The
difference is therefore taken at equal times and equal size, less the clip's usual difference of each
color, as the root mean square of a small neighborhood. Half of the pixels lie below the median, which is
what encoding alone makes different: :data:`TIMES_NOISE` times that, and :data:`LEAST_LEVELS` gray levels at
least, is called changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.errors import InputError
from vidscan.media import open_video
from vidscan.training.derive import FPS

TIMES_NOISE = 4.0
LEAST_LEVELS = 6.0
"""Grey levels; black and still grounds have hardly any noise of their own."""
LOCAL_SHARE = 0.8
"""Of all changed pixels of a frame so many lie in one region, else the change has no place."""
MOST_OF_FRAME = 0.4
"""A region that covers more is no place either."""
LEAST_FRAMES = 0.5
"""Share of a clip's frames whose change has a place, below which the clip is not used."""
_IN_STEP = 0.7
"""Where another frame differs by less than this share of the frame at the same time, they run apart."""
_SAMPLE_EVERY = 8
_THUMBNAIL = (96, 54)
_SAME_TIME_S = 1e-3
_FINE_SIGMA = 1.0
"""Pixels; takes out what differs from pixel to pixel."""
_NEAR, _CLOSE, _SPECK, _LEAST_SIDE = 1 / 100, 1 / 25, 1 / 50, 1 / 25
"""Shares of the shorter side: neighborhood, gaps closed, specks dropped, side of the smallest region."""


class NoPlaceError(InputError):
    """Two clips differ everywhere, nowhere, or do not run in step."""

    code = "no_place"


@dataclass(frozen=True, slots=True)
class Noise:
    """How two clips differ where nothing was changed."""

    offset: NDArray[np.float32]
    """(3,) usual signed difference of R, G and B, in gray levels."""
    level: float
    """Median of :func:`local_difference`, in gray levels."""

    @property
    def threshold(self) -> float:
        """Grey levels from which on a pixel counts as changed."""
        return max(TIMES_NOISE * self.level, LEAST_LEVELS)


def difference_masks(forged: Path, genuine: Path) -> list[NDArray[np.uint8]]:
    """For each frame of ``forged`` an (H, W) uint8 mask, 255 where it was changed.

    Masks are empty where nothing was changed, where the change has no place, and where ``genuine`` has no
    frame at that time. A region is filled up to its convex hull: where old and new skin are alike there is
    no difference to see.

    Raises
    ------
    NoPlaceError
        Where the clips do not correspond frame by frame, or fewer than half of the frames have a mask.
    InputError
        Where a clip cannot be read.
    """
    noise = measure_noise(forged, genuine)
    masks, local, seen = [], 0, 0
    for image, other in _pairs(forged, genuine):
        mask = None if other is None else changed_region(local_difference(image, other, noise.offset), noise)
        seen += 1
        local += mask is not None and bool(mask.any())
        masks.append(np.zeros(image.shape[:2], np.uint8) if mask is None else mask)
    if local < LEAST_FRAMES * seen:
        raise NoPlaceError(f"the change has a place in {local} of {seen} frames only")
    return masks


def measure_noise(forged: Path, genuine: Path) -> Noise:
    """How two clips of the same footage differ where nothing was changed, from every eighth frame.

    Raises NoPlaceError where they do not run in step.
    """
    offsets, levels, small = [], [], []
    for number, (image, other) in enumerate(_pairs(forged, genuine)):
        if number % _SAMPLE_EVERY == 0 and other is not None:
            own = np.median(_signed(image, other), axis=(0, 1)).astype(np.float32)
            offsets.append(own)
            levels.append(np.median(local_difference(image, other, own)))
            small.append((_thumbnail(image), _thumbnail(other)))
    if not small:
        raise NoPlaceError("no frame has a counterpart at its time")
    every = np.stack([_thumbnail(image) for _, image in _frames(genuine)])
    apart = [
        np.abs(every - image).mean((1, 2)).min() < _IN_STEP * np.abs(other - image).mean()
        for image, other in small
    ]
    if np.mean(apart) > 1 - LEAST_FRAMES:
        raise NoPlaceError("the clips do not correspond frame by frame")
    return Noise(np.median(offsets, axis=0).astype(np.float32), float(np.median(levels)))


def local_difference(
    image: NDArray[np.uint8], other: NDArray[np.uint8], offset: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(H, W) root mean square of the difference about each pixel, in gray levels.

    ``image`` and ``other`` (H, W, 3) RGB uint8; ``offset`` (3,) is taken off first.
    """
    fine = cv2.GaussianBlur(_signed(image, other) - offset, (0, 0), _FINE_SIGMA)
    near = max(1.0, _NEAR * min(image.shape[:2]))
    return np.asarray(np.sqrt(cv2.GaussianBlur((fine**2).mean(2), (0, 0), near)), np.float32)


def changed_region(difference: NDArray[np.float32], noise: Noise) -> NDArray[np.uint8] | None:
    """(H, W) uint8 mask of the one region that was changed, empty where none was.

    None where the change has no place: it is scattered, or covers too much of the frame.
    """
    short = min(difference.shape)
    above = (difference > noise.threshold).astype(np.uint8)
    hot = cv2.morphologyEx(above, cv2.MORPH_OPEN, _disc(_SPECK * short))
    closed = cv2.morphologyEx(hot, cv2.MORPH_CLOSE, _disc(_CLOSE * short))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    areas = stats[1:, cv2.CC_STAT_AREA]
    mask = np.zeros(difference.shape, np.uint8)
    if not len(areas) or areas.max() < (_LEAST_SIDE * short) ** 2:
        return mask
    region = (labels == 1 + int(areas.argmax())).astype(np.uint8)
    outline = np.concatenate(cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0])
    cv2.fillConvexPoly(mask, cv2.convexHull(outline), 255)
    inside = int(hot[mask > 0].sum())
    if inside < LOCAL_SHARE * int(hot.sum()) or (mask > 0).mean() > MOST_OF_FRAME:
        return None
    return mask


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _signed(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    return image.astype(np.float32) - other


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)


def _frames(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    with open_video(path) as video:
        for chunk in video:
            yield from zip(chunk.times.tolist(), chunk.images, strict=True)


def _pairs(forged: Path, genuine: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Each frame of ``forged``, and that of ``genuine`` nearest in time, scaled to its size.

    None where that is further away than half of a frame of ``genuine`` lasts.
    """
    with open_video(genuine) as video:
        reach_s = 0.5 / (video.info.fps or FPS) + _SAME_TIME_S
    others = _frames(genuine)
    before = after = next(others, None)
    for time_s, image in _frames(forged):
        while after is not None and after[0] < time_s:
            before, after = after, next(others, None)
        near = [f for f in (before, after) if f is not None and abs(f[0] - time_s) <= reach_s]
        if not near:
            yield image, None
            continue
        other = min(near, key=lambda f: abs(f[0] - time_s))[1]
        if other.shape != image.shape:
            height, width = image.shape[:2]
            other = np.asarray(cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        yield image, other

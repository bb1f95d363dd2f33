"""Where the faces of a clip are, for forging: the first of two passes over the clip."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.detect import Detector
from vidscan.faces.geometry import TEMPLATE_SIDE, CropSpec, crop_transform
from vidscan.faces.track import FaceTracker
from vidscan.media import VideoSource

_FACE = CropSpec(int(TEMPLATE_SIDE), 1.0)
_SMOOTH_S = 0.05
"""Standard deviation in seconds by which points are smoothed: a paste that trembles looks pasted."""


@dataclass(frozen=True, slots=True)
class TrackPath:
    """One face through a clip, in frame pixels.

    Attributes
    ----------
    frames
        (T,) int64, rising: index of each frame that shows the face.
    times
        (T,) float64 seconds.
    boxes
        (T, 4) float64 x0, y0, x1, y1.
    points
        (T, 5, 2) float64, in the order of :class:`vidscan.types.Detection`.
    """

    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    points: NDArray[np.float64]

    @property
    def sides(self) -> NDArray[np.float64]:
        """(T,) side of the face's canonical square in pixels of the frame."""
        maps = crop_transform(self.points, _FACE, self.boxes)
        return TEMPLATE_SIDE / np.sqrt(np.linalg.det(maps[:, :, :2]))

    def smoothed(self) -> TrackPath:
        """The same with boxes and points smoothed over time, symmetrically: nothing lags."""
        return replace(
            self,
            boxes=_smooth(self.times, self.boxes, _SMOOTH_S),
            points=_smooth(self.times, self.points, _SMOOTH_S),
        )


def find_tracks(
    source: VideoSource, detector: Detector, progress: Callable[[float], None] | None = None
) -> dict[int, TrackPath]:
    """Track every face of a clip, as scanning does; 128 bytes are kept for each face and frame.

    Parameters
    ----------
    source
        The clip; read to its end.
    detector
        Finds the faces.
    progress
        Called with the share done, 0..1.

    Returns
    -------
    dict
        By track id, as reports number them.
    """
    tracker = FaceTracker(detector)
    rows: dict[int, array[float]] = defaultdict(lambda: array("d"))
    for chunk in source:
        for face in tracker.update(chunk):
            rows[face.track_id].extend([face.frame_index, face.time_s, *face.box, *face.points.ravel()])
        if progress is not None and source.info.duration_s:
            progress(min(1.0, float(chunk.times[-1]) / source.info.duration_s))
    paths = {}
    for track_id, values in rows.items():
        table = np.frombuffer(values, np.float64).reshape(-1, 16)
        paths[track_id] = TrackPath(
            table[:, 0].astype(np.int64), table[:, 1], table[:, 2:6], table[:, 6:].reshape(-1, 5, 2)
        )
    return paths


def largest(paths: dict[int, TrackPath]) -> int:
    """Id of the track that covers most: its faces' areas summed over its frames."""
    return max(paths, key=lambda track_id: float((paths[track_id].sides ** 2).sum()))


def _smooth(times: NDArray[np.float64], values: NDArray[np.float64], sigma_s: float) -> NDArray[np.float64]:
    """Gaussian mean over time with windows cut symmetrically, so that ends do not lag either."""
    total, weight = values.copy(), np.ones(len(times))
    shape = (-1,) + (1,) * (values.ndim - 1)
    for step in range(1, (len(times) + 1) // 2):
        middle = slice(step, len(times) - step)
        reach = np.maximum(times[2 * step :] - times[middle], times[middle] - times[: -2 * step])
        if reach.min() > 3 * sigma_s:
            break
        share = np.exp(-0.5 * (reach / sigma_s) ** 2)
        total[middle] += share.reshape(shape) * (values[: -2 * step] + values[2 * step :])
        weight[middle] += 2 * share
    return total / weight.reshape(shape)

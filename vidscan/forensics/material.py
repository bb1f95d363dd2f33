"""What the instruments look at: a few whole frames of a clip or picture, and where its faces are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.coded import Strip, read_strip
from vidscan.media.sniff import PathLike, is_picture
from vidscan.media.source import VideoSource, open_video
from vidscan.spread import evenly
from vidscan.types import VideoInfo

MAX_FRAMES = 6
MAX_SECONDS = 30.0
"""Only so much of a clip is looked at, from its start."""
MAX_PIXELS = 3072 * 4096
"""Of a larger frame only the middle is looked at."""
_GRID = 16
"""Windows begin on the grid of coded blocks, so that its phase is the frame's."""

Box = tuple[float, float, float, float]
T = TypeVar("T")


def area(box: Box) -> float:
    """Pixels that a box (x0, y0, x1, y1) covers."""
    return (box[2] - box[0]) * (box[3] - box[1])


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One whole frame, never resized.

    Attributes
    ----------
    index, time_s
        In the clip, in presentation order, and in seconds.
    image
        (H, W, 3) RGB uint8, upright.
    faces
        Boxes (x0, y0, x1, y1) in pixels of ``image``; may reach beyond it. Empty where none is known.
    window
        Where in the frame ``image`` is (x0, y0, x1, y1); all of it but for frames of more than
        :data:`MAX_PIXELS` pixels.
    """

    index: int
    time_s: float
    image: NDArray[np.uint8]
    faces: tuple[Box, ...]
    window: tuple[int, int, int, int]


class Material:
    """One clip or picture; frames are decoded when they are first asked for, and kept.

    Parameters
    ----------
    path
        The file.
    faces
        Boxes (x0, y0, x1, y1) by frame index, where a scan has found them; frames that have some are
        sampled, else frames spread over time.
    stream, embedded, max_pixels, max_duration_s
        As :func:`vidscan.media.open_video` takes them.

    Attributes
    ----------
    info : VideoInfo
    kind : ``picture`` or ``clip``
    measured
        What :func:`once` keeps.

    Raises
    ------
    InputError
        As :func:`vidscan.media.open_video`.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        faces: Mapping[int, Sequence[Box]] | None = None,
        stream: int | None = None,
        embedded: bool = False,
        max_pixels: int = 8192 * 8192,
        max_duration_s: float = 0.0,
    ) -> None:
        self.path = Path(path)
        self.stream, self.embedded, self.max_pixels = stream, embedded, max_pixels
        self.max_seconds = min(max_duration_s or MAX_SECONDS, MAX_SECONDS)
        self.measured: dict[Callable[[Material], Any], Any] = {}
        self._faces = {index: tuple(boxes) for index, boxes in (faces or {}).items() if boxes}
        with self._opened() as source:
            self.info: VideoInfo = source.info
        picture = is_picture(self.info.container, self.info.duration_s)
        self.kind: Literal["picture", "clip"] = "picture" if picture else "clip"

    @cached_property
    def frames(self) -> tuple[SampledFrame, ...]:
        """At most :data:`MAX_FRAMES` frames of the first :data:`MAX_SECONDS` seconds, in time order."""
        rate = self.info.fps or 25.0
        length = min(self.info.duration_s or self.max_seconds, self.max_seconds)
        known = sorted(index for index in self._faces if index < length * rate)
        if known:
            wanted = {known[n] for n in evenly(len(known), MAX_FRAMES)}
        else:
            total = max(1, int(length * rate))
            wanted = set(evenly(total, MAX_FRAMES))
        found: list[SampledFrame] = []
        first: SampledFrame | None = None
        with self._opened() as source:
            for chunk in source:
                if first is None:
                    first = self._frame(chunk.first_index, float(chunk.times[0]), chunk.image(0))
                here = range(chunk.first_index, chunk.first_index + len(chunk.times))
                for offset, index in enumerate(here):
                    if index in wanted:
                        found.append(self._frame(index, float(chunk.times[offset]), chunk.image(offset)))
                if here.stop > max(wanted):
                    break
        # A header may promise more frames than there are; not one frame at all is an error above.
        return tuple(found) or ((first,) if first is not None else ())

    @cached_property
    def strip(self) -> Strip | None:
        """The clip's coded frames (:func:`vidscan.forensics.coded.read_strip`); None of a picture."""
        if self.kind == "picture":
            return None
        return read_strip(
            self.path,
            self.max_seconds,
            stream=self.stream,
            embedded=self.embedded,
            max_pixels=self.max_pixels,
        )

    def _opened(self) -> VideoSource:
        return open_video(
            self.path,
            max_pixels=self.max_pixels,
            max_duration_s=self.max_seconds,
            stream=self.stream,
            embedded=self.embedded,
        )

    def _frame(self, index: int, time_s: float, image: NDArray[np.uint8]) -> SampledFrame:
        x0, y0, x1, y1 = window(image.shape[1], image.shape[0])
        faces = tuple(
            (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0) for box in self._faces.get(index, ())
        )
        return SampledFrame(index, time_s, image[y0:y1, x0:x1].copy(), faces, (x0, y0, x1, y1))


def once(measure: Callable[[Material], T]) -> Callable[[Material], T]:
    """Decorates what several instruments ask of a material: measured for the first of them, and kept."""

    @wraps(measure)
    def measured(material: Material) -> T:
        if measure not in material.measured:
            material.measured[measure] = measure(material)
        found: T = material.measured[measure]
        return found

    return measured


def window(width: int, height: int) -> tuple[int, int, int, int]:
    """The middle (x0, y0, x1, y1) of a frame, of at most :data:`MAX_PIXELS` pixels, on the block grid."""
    if width * height <= MAX_PIXELS:
        return 0, 0, width, height
    scale = (MAX_PIXELS / (width * height)) ** 0.5
    sides = [int(side * scale) // _GRID * _GRID for side in (width, height)]
    if min(sides) < _GRID:  # a ribbon: its whole short side, and as much of the long one as fits
        short = min(width, height)
        sides = [min(side, MAX_PIXELS // short) for side in (width, height)]
    x0, y0 = ((side - kept) // 2 // _GRID * _GRID for side, kept in zip((width, height), sides, strict=True))
    return x0, y0, x0 + sides[0], y0 + sides[1]

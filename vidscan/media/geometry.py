"""From the frame as it is coded to the frame as players show it: pixel aspect, mirror, quarter turns."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_SQUARE_WITHIN = 0.01
"""Pixels that are nearer to square are taken for square: the ratio is a matter of rounding."""
_MOST_ASPECT = 4


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a frame is shown; sizes are pixels before the turn.

    Attributes
    ----------
    coded_width, coded_height
        As the decoder gives the frame.
    width, height
        After stretching to square pixels: one side grows, none loses detail.
    mirrored
        Left and right are exchanged, before the turn.
    rotation
        Clockwise degrees: 0, 90, 180 or 270.
    """

    coded_width: int
    coded_height: int
    width: int
    height: int
    mirrored: bool = False
    rotation: int = 0

    @property
    def plain(self) -> bool:
        """Whether a turn is all that is needed."""
        return not self.mirrored and (self.width, self.height) == (self.coded_width, self.coded_height)

    @property
    def shown(self) -> tuple[int, int]:
        """(width, height) upright."""
        turned = self.rotation in (90, 270)
        return (self.height, self.width) if turned else (self.width, self.height)

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Mirror and turn a stretched (height, width, ...) frame; contiguous."""
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, -self.rotation // 90))


def geometry(stream: VideoStream, frame: VideoFrame | None) -> Geometry:
    """What the container, the codec and the first frame (None where there is none) say."""
    context = stream.codec_context
    width, height = stretched(context.width, context.height, stream.sample_aspect_ratio)
    mirrored, rotation = _orientation(stream, frame)
    return Geometry(context.width, context.height, width, height, mirrored, rotation)


def stretched(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size with square pixels of a frame whose pixels are ``aspect`` times as wide as high."""
    if not aspect or abs(aspect - 1) < _SQUARE_WITHIN or not 1 <= _MOST_ASPECT * aspect <= _MOST_ASPECT**2:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def matrix_orientation(matrix: NDArray[np.int32]) -> tuple[bool, int]:
    """(mirrored, clockwise degrees) of the (9,) display matrix of ISO/IEC 14496-12; odd turns count as 0."""
    a, b, _, c, d = (float(v) for v in matrix[:5])
    mirrored = a * d - b * c < 0
    # The mirror comes first: what is left without it is a turn.
    degrees = np.degrees(np.arctan2(-b, -a) if mirrored else np.arctan2(b, a))
    nearest = round(degrees / 90) * 90
    return mirrored, int(nearest % 360) if abs(degrees - nearest) < 1 else 0


def _orientation(stream: VideoStream, frame: VideoFrame | None) -> tuple[bool, int]:
    # The display matrix is a side datum of the first frame; old QuickTime files have a tag instead.
    from av.sidedata.sidedata import Type

    tag = stream.metadata.get("rotate")
    if tag:
        with suppress(ValueError):
            degrees = float(tag)
            nearest = round(degrees / 90) * 90
            return False, nearest % 360 if abs(degrees - nearest) < 1 else 0
    side_data: Any = {} if frame is None else frame.side_data
    data = side_data.get(Type.DISPLAYMATRIX)
    return (False, 0) if data is None else matrix_orientation(np.frombuffer(data, np.int32))

"""Decoded frames that become RGB only when somebody looks at them: half of a clip's frames nobody does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidscan.media.geometry import Geometry
from vidscan.media.quantiser import quantiser_map
from vidscan.media.tone import ToneMapper
from vidscan.types import FrameChunk

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class Converter:
    """Makes upright RGB of the decoded frames of one clip; may be called from several threads.

    Parameters
    ----------
    geometry
        How frames are shown.
    tone
        For high dynamic range.
    """

    def __init__(self, geometry: Geometry, tone: ToneMapper | None) -> None:
        from av.video.reformatter import VideoReformatter

        self._geometry, self._tone = geometry, tone
        # One for all frames: it keeps its tables.
        self._reformatter = VideoReformatter()
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of upright frames."""
        width, height = self._geometry.shown
        return height, width

    def rgb(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) uint8."""
        width, height = self._geometry.width, self._geometry.height
        if self._tone is not None:
            return self._geometry.upright(self._tone.rgb(frame, width, height))
        how: dict[str, Any] = {} if self._geometry.plain else {"interpolation": "BICUBIC"}
        with self._lock:
            image: Any = self._reformatter.reformat(frame, width, height, "rgb24", **how).to_ndarray()
        return self._geometry.upright(image)

    def quantiser(self, frame: VideoFrame) -> NDArray[np.uint8] | None:
        """(h, w) uint8, upright; None where the decoder does not tell."""
        found = quantiser_map(frame)
        return None if found is None else self._geometry.upright(found)


class DeferredChunk(FrameChunk):
    """A :class:`~vidscan.types.FrameChunk` whose frames are converted one by one, on request, and kept.

    Parameters
    ----------
    first_index, times
        As in :class:`~vidscan.types.FrameChunk`.
    frames
        As they come from the decoder.
    converter
        Makes RGB of them.
    tells
        Whether the decoder was asked for quantizers.
    """

    def __init__(
        self,
        first_index: int,
        times: NDArray[np.float64],
        frames: list[VideoFrame],
        converter: Converter,
        *,
        tells: bool,
    ) -> None:
        self.first_index, self.times = first_index, times
        self._frames, self._converter, self._tells = frames, converter, tells
        self._converted: dict[int, NDArray[np.uint8]] = {}
        self._told: dict[int, NDArray[np.uint8] | None] = {}
        self._lock = threading.Lock()

    @property
    def images(self) -> NDArray[np.uint8]:
        return np.stack([self._converter.rgb(frame) for frame in self._frames])

    @property
    def quantisers(self) -> NDArray[np.uint8] | None:
        maps = [self.quantiser(row) for row in range(len(self._frames))]
        known = [found for found in maps if found is not None]
        alike = len(known) == len(maps) and len({found.shape for found in known}) == 1
        return np.stack(known) if alike else None

    @property
    def shape(self) -> tuple[int, int]:
        return self._converter.shape

    def image(self, row: int) -> NDArray[np.uint8]:
        with self._lock:
            if row not in self._converted:
                self._converted[row] = self._converter.rgb(self._frames[row])
            return self._converted[row]

    def quantiser(self, row: int) -> NDArray[np.uint8] | None:
        with self._lock:
            if self._tells and row not in self._told:
                self._told[row] = self._converter.quantiser(self._frames[row])
            return self._told.get(row)

    def part(self, start: int, stop: int) -> DeferredChunk:
        taken = DeferredChunk(
            self.first_index + start,
            self.times[start:stop].copy(),
            self._frames[start:stop],
            self._converter,
            tells=self._tells,
        )
        # A frame can be asked for its quantizers only once.
        taken._told = {row - start: told for row, told in self._told.items() if start <= row < stop}
        return taken

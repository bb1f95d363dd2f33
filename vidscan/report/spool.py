"""Masks of a clip kept on disk in small form, for whoever draws once the verdict is known."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from vidscan.types import CellGrid, FaceMap, FrameMaps, ModelRef, VideoInfo

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_FRAME = struct.Struct("<qdII?HI")
"""Index, time in seconds, height, width, interpolated, faces, bytes of grids behind them."""
_REGION = struct.Struct("<qHHi6d?2dq")
"""Track, grid's height and width, crop's side, map to the crop, cells placed (stride, offset), where the
grid is kept."""


class RegionSpool:
    """A mask sink that keeps the grids and where they belong, in a temporary file without a name.

    Grids are kept in half precision, and once only where they are carried from frame to frame: an hour
    of one face takes some hundred megabytes at most. Memory does not grow with the clip. Iterating
    yields the frames with a face in their order, as often as wanted, also while the clip is still being
    scanned. Another clip replaces the one before.
    """

    def __init__(self) -> None:
        self._file: BinaryIO | None = tempfile.TemporaryFile(prefix="vidscan-")  # noqa: SIM115
        self._end = 0
        self._last: dict[int, tuple[bytes, int]] = {}

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """Forgets what it kept."""
        self._opened().truncate(0)
        self._end = 0
        self._last = {}

    def write(self, frame: FrameMaps) -> str | None:
        """Keeps a frame; see :class:`vidscan.sinks.FrameSink`."""
        if not frame.faces:
            return None
        file = self._opened()
        file.seek(self._end)
        heads = []
        at = self._end + _FRAME.size + len(frame.faces) * _REGION.size
        grids = []
        last = {}
        for region in frame.faces:
            cells = np.ascontiguousarray(region.probability, "<f2").tobytes()
            kept = self._last.get(region.track_id)
            if kept is None or kept[0] != cells:
                kept = (cells, at)
                grids.append(cells)
                at += len(cells)
            last[region.track_id] = kept
            placed = region.grid or CellGrid(0.0, 0.0)
            heads.append(
                _REGION.pack(
                    region.track_id,
                    *region.probability.shape,
                    region.crop_size,
                    *np.asarray(region.to_crop, np.float64).ravel(),
                    region.grid is not None,
                    placed.stride,
                    placed.offset,
                    kept[1],
                )
            )
        # Tracks that are not in this frame are forgotten: a long film has any number of them.
        self._last = last
        size = sum(map(len, grids))
        head = _FRAME.pack(
            frame.index, frame.time_s, *frame.shape, frame.interpolated, len(frame.faces), size
        )
        file.write(b"".join([head, *heads, *grids]))
        self._end = at
        return None

    def close(self, models: Sequence[ModelRef]) -> None:
        """The clip is complete; the spool stays readable."""

    def __iter__(self) -> Iterator[FrameMaps]:
        self._opened()
        at = 0
        while at < self._end:
            index, time_s, height, width, interpolated, count, size = _FRAME.unpack(
                self._read(at, _FRAME.size)
            )
            heads = self._read(at + _FRAME.size, count * _REGION.size)
            at += _FRAME.size + len(heads) + size
            faces = tuple(self._region(*head) for head in _REGION.iter_unpack(heads))
            yield FrameMaps(index, time_s, (height, width), faces, interpolated)

    def _region(
        self,
        track_id: int,
        height: int,
        width: int,
        crop_size: int,
        *rest: float,
    ) -> FaceMap:
        *affine, placed, stride, offset, at = rest
        cells = np.frombuffer(self._read(int(at), 2 * height * width), "<f2")
        return FaceMap(
            track_id,
            cells.reshape(height, width).astype(np.float32),
            np.array(affine).reshape(2, 3),
            crop_size,
            CellGrid(stride, offset) if placed else None,
        )

    def _read(self, at: int, count: int) -> bytes:
        file = self._opened()
        file.seek(at)
        return file.read(count)

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the spool was released")
        return self._file

    @property
    def bytes(self) -> int:
        """What it takes on the disk."""
        return self._end

    def release(self) -> None:
        """Give the disk space back; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

"""Localisation masks: where in the frame a manipulation is seen, as pictures or as one lossless video.

The scanner hands over what it found to a :class:`vidscan.sinks.FrameSink`; :class:`MaskWriter` is the
one that writes files.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.align import to_window
from vidscan.outputs import Replacement
from vidscan.paths import clip_name
from vidscan.types import FaceMap, FrameMaps, ModelRef, VideoInfo

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from vidscan.media import VideoWriter

T = TypeVar("T")
MaskFormat = Literal["png", "video"]

INDEX_NAME = "masks.json"
"""The file beside the pictures that says what they show."""

VIDEO_NAME = "masks.mkv"
"""The video that holds the masks of a clip."""

_SCALE = 255
_OURS = re.compile(rf"\d{{6,}}\.png|{re.escape(INDEX_NAME)}|{re.escape(VIDEO_NAME)}")

_BYTES: dict[MaskFormat, tuple[float, int]] = {"png": (0.34, 26_000), "video": (0.18, 16_000)}
"""For each pixel, and for each frame: a face that fills the frame takes less, were every patch at odds with
its neighbors."""
_BYTES_PER_ENTRY = 1200
"""In the index and around the pixels."""

_log = logging.getLogger(__name__)


class MaskWriter:
    """Writes ``FOLDER/<stem>-<first 8 of the sha256>/`` with the masks of a clip and ``masks.json``.

    As pictures there is ``<index>.png`` for every frame with a face. As a video there is ``masks.mkv``
    (FFV1, gray, lossless), with the times of the clip's frames and black where there is no face, so
    that it runs in step with the clip.

    ``masks.json`` appears when the clip is complete. It is written as the frames come: memory does not
    grow with the clip. Used as a context manager, the writer removes what is left of a clip that was
    broken off; so does the next clip.

    Parameters
    ----------
    folder
        Made where missing.
    every
        Only frames whose index is a multiple of this are written; 0 and 1 write all.
    format
        ``png`` or ``video``.

    Raises
    ------
    ValueError
        Another format.
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: int = 0, format: MaskFormat = "png") -> None:
        if format not in ("png", "video"):
            raise ValueError(f"masks are written as png or video, not {format!r}")
        self.folder, self.format = Path(folder), format
        self._every = max(1, every)
        self._clip: Path | None = None
        self._index: _Index | None = None
        self._film: VideoWriter | None = None
        self._fps = 25.0
        self._written = 0

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """Makes the clip's folder and removes masks of an earlier run from it."""
        self._abandon()
        self._clip = self.folder / clip_name(path, sha256)
        self._clip.mkdir(parents=True, exist_ok=True)
        for old in self._clip.iterdir():
            # Masks of another model or another --every would contradict the new masks.json.
            if _OURS.fullmatch(old.name):
                old.unlink()
        _log.info(disk_use(info, self._every, self.format, self._clip))
        self._fps, self._written = info.fps or 25.0, 0
        head: dict[str, Any] = {"sha256": sha256, "width": info.width, "height": info.height}
        head |= {
            "scale": _SCALE,
            "meaning": "gray level / scale is the probability that the pixel is manipulated",
            "format": self.format,
            "every": self._every,
        }
        self._index = _Index(self._clip / INDEX_NAME, head)

    def write(self, frame: FrameMaps) -> str | None:
        """Writes one mask; see :class:`vidscan.sinks.FrameSink`."""
        if self._clip is None or self._index is None:
            raise RuntimeError("begin() comes before write()")
        if frame.index % self._every or (not frame.faces and self.format == "png"):
            return None
        mask = render(frame.shape, frame.faces)
        entry: dict[str, Any] = {"index": frame.index, "time_s": round(float(frame.time_s), 6)}
        if self.format == "video":
            name = VIDEO_NAME
            self._append(mask, frame.time_s)
            entry |= {"file": name, "position": self._written}
        else:
            name = f"{frame.index:06d}.png"
            _write_picture(self._clip / name, mask)
            entry |= {"file": name}
        self._written += 1
        if not frame.faces:
            return None
        tracks = sorted({face.track_id for face in frame.faces})
        self._index.add(entry | {"tracks": tracks, "interpolated": bool(frame.interpolated)})
        return f"{self._clip.name}/{name}"

    def close(self, models: Sequence[ModelRef]) -> None:
        """Finishes the video and ``masks.json``."""
        if self._index is None:
            return
        if self._film is not None:
            self._film.close()
        self._index.close({"models": [{"name": model.name, "sha256": model.sha256} for model in models]})
        self._clip = self._index = self._film = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Throw away a clip that was not closed."""
        self._abandon()

    def _append(self, mask: NDArray[np.uint8], time_s: float) -> None:
        from vidscan.media import VideoWriter

        if self._film is None:
            assert self._clip is not None
            height, width = mask.shape
            self._film = VideoWriter(
                self._clip / VIDEO_NAME,
                width,
                height,
                fps=self._fps,
                codec="ffv1",
                pix_fmt="gray",
                metadata={"comment": "masks by vidscan"},
            )
        self._film.write(mask, time_s)

    def _abandon(self) -> None:
        if self._film is not None:
            self._film.__exit__(RuntimeError, None, None)  # an exit by an exception leaves no file
        if self._index is not None:
            self._index.abandon()
        self._clip = self._index = self._film = None


class _Index:
    """``masks.json`` while it is being written: one frame a line, complete JSON at the end."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self._part = Replacement(path)
        self._file: IO[str] = self._part.open("w", encoding="utf-8", newline="\n")
        self._file.write(json.dumps(head, indent=1).removesuffix("\n}") + ',\n "frames": [')
        self._first = True

    def add(self, entry: dict[str, Any]) -> None:
        self._file.write(("\n  " if self._first else ",\n  ") + json.dumps(entry))
        self._first = False

    def close(self, tail: dict[str, Any]) -> None:
        self._file.write("\n ],\n" + json.dumps(tail, indent=1).removeprefix("{\n") + "\n")
        self._file.close()
        self._part.commit()

    def abandon(self) -> None:
        with suppress(OSError):  # closing tries again to write what a full disk refused
            self._file.close()
        self._part.abandon()


def _write_picture(path: Path, mask: NDArray[np.uint8]) -> None:
    from vidscan.media import write_png

    write_png(path, mask)


# --------------------------------------------------------------------------- disk use


def estimate_bytes(info: VideoInfo, every: int = 0, format: MaskFormat = "png") -> int | None:
    """Bytes that the masks of a clip take at most, as if a face filled every frame.

    None where the container does not tell how long the clip is. A picture is one frame.
    """
    if info.fps is None and info.duration_s is None:
        frames = 1
    elif info.fps is None or info.duration_s is None:
        return None
    else:
        frames = math.ceil(info.fps * info.duration_s / max(1, every)) + 1
    pixels, (each, fixed) = info.width * info.height, _BYTES[format]
    return frames * (min(math.ceil(each * pixels) + fixed, pixels) + _BYTES_PER_ENTRY)


def disk_use(info: VideoInfo, every: int, format: MaskFormat, folder: Path) -> str:
    """What the masks of a clip will take in ``folder``, which exists, in words."""
    free = _size(shutil.disk_usage(folder).free)
    most = estimate_bytes(info, every, format)
    known = "take a size that is not known beforehand" if most is None else f"take at most {_size(most)}"
    return f"masks in {folder} {known}; {free} are free"


def _size(count: int) -> str:
    power = min(3, max(1, int(math.log10(max(count, 1))) // 3))
    return f"{count / 1000**power:.3g} {('kB', 'MB', 'GB')[power - 1]}"


# --------------------------------------------------------------------------- drawing


def render(shape: tuple[int, int], maps: Sequence[FaceMap]) -> NDArray[np.uint8]:
    """One frame's mask: (H, W) uint8, 255 is probability 1; where faces overlap the larger wins.

    Edges of the picture are not followed: a guided filter (He, Sun & Tang, PAMI 2013) lowered the overlap
    with exact masks.

    Parameters
    ----------
    shape
        (H, W) of the frame.
    maps
        Its faces.
    """
    mask = np.zeros(shape, np.uint8)
    for region in maps:
        window = to_window(region.probability, region.to_crop, region.crop_size, shape, region.grid)
        if window is None:
            continue
        part = mask[window.rows, window.columns]
        np.maximum(part, np.rint(np.clip(window.values, 0, 1) * _SCALE).astype(np.uint8), out=part)
    return mask

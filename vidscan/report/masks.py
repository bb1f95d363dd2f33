"""Localisation masks: where in the frame a manipulation is seen, one 8-bit PNG a frame.

The scanner hands over what it found to a :class:`MaskSink`; :class:`MaskWriter` is the one
that writes files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vidscan.types import ModelRef, VideoInfo

INDEX_NAME = "masks.json"
"""The file beside the pictures that says what they show."""

_SCALE = 255
_OURS = re.compile(r"\d{6,}\.png")


@dataclass(frozen=True, slots=True)
class MaskRegion:
    """What is known of one face of one frame.

    Attributes
    ----------
    track_id
        The track the face belongs to.
    probability
        (h, w) float32 in 0..1, a grid over the whole square crop, row 0 at its top.
    to_crop
        (2, 3) float64 affine map from frame pixels to crop pixels.
    crop_size
        Side of the crop in pixels.
    """

    track_id: int
    probability: NDArray[np.float32]
    to_crop: NDArray[np.float64]
    crop_size: int


class MaskSink(Protocol):
    """Takes the masks of one clip after the other."""

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """A clip starts."""

    def write(
        self,
        frame_index: int,
        time_s: float,
        shape: tuple[int, int],
        maps: Sequence[MaskRegion],
        interpolated: bool,
    ) -> str | None:
        """A frame with at least one face; ``shape`` is its (height, width).

        ``interpolated`` says that the maps were carried over from analysed frames. Returns
        the picture's name relative to the mask folder, None where the frame is left out.
        """

    def close(self, models: Sequence[ModelRef]) -> None:
        """The clip ends."""


class MaskWriter:
    """Writes ``FOLDER/<stem>-<first 8 of the sha256>/<index>.png`` and ``masks.json``.

    Parameters
    ----------
    folder
        Made where missing.
    every
        Only frames whose index is a multiple of this are written; 0 and 1 write all.
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: int = 0) -> None:
        self.folder = Path(folder)
        self._every = max(1, every)
        self._clip: Path | None = None
        self._head: dict[str, Any] = {}
        self._frames: list[dict[str, Any]] = []

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """Makes the clip's folder and removes masks of an earlier run from it."""
        self._clip = self.folder / f"{_safe_stem(path)}-{sha256[:8]}"
        self._clip.mkdir(parents=True, exist_ok=True)
        for old in self._clip.iterdir():
            # Masks of another model or another --every would contradict the new masks.json.
            if _OURS.fullmatch(old.name) or old.name == INDEX_NAME:
                old.unlink()
        self._head = {"sha256": sha256, "width": info.width, "height": info.height}
        self._frames = []

    def write(
        self,
        frame_index: int,
        time_s: float,
        shape: tuple[int, int],
        maps: Sequence[MaskRegion],
        interpolated: bool,
    ) -> str | None:
        """Writes one picture; see :class:`MaskSink`."""
        from vidscan.media import write_png

        if self._clip is None:
            raise RuntimeError("begin() comes before write()")
        if frame_index % self._every or not maps:
            return None
        name = f"{frame_index:06d}.png"
        hidden = self._clip / f".{name}.part.png"
        write_png(hidden, render(shape, maps))
        hidden.replace(self._clip / name)
        self._frames.append(
            {
                "index": frame_index,
                "time_s": round(float(time_s), 6),
                "file": name,
                "tracks": sorted({region.track_id for region in maps}),
                "interpolated": bool(interpolated),
            }
        )
        return f"{self._clip.name}/{name}"

    def close(self, models: Sequence[ModelRef]) -> None:
        """Writes ``masks.json``."""
        if self._clip is None:
            return
        index = {
            **self._head,
            "scale": _SCALE,
            "meaning": "grey level / scale is the probability that the pixel is manipulated",
            "models": [{"name": model.name, "sha256": model.sha256} for model in models],
            "every": self._every,
            "frames": self._frames,
        }
        hidden = self._clip / f".{INDEX_NAME}.part"
        hidden.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        hidden.replace(self._clip / INDEX_NAME)
        self._clip, self._frames = None, []


def render(shape: tuple[int, int], maps: Sequence[MaskRegion]) -> NDArray[np.uint8]:
    """One frame's mask: (H, W) uint8, 255 is probability 1; where faces overlap the larger wins."""
    from vidscan.faces.align import to_frame

    mask = np.zeros(shape, np.float32)
    for region in maps:
        pasted, _ = to_frame(region.probability, region.to_crop, region.crop_size, shape)
        np.maximum(mask, pasted, out=mask)
    return np.clip(np.rint(mask * _SCALE), 0, _SCALE).astype(np.uint8)


def _safe_stem(path: str | os.PathLike[str]) -> str:
    """The clip's name without suffix, in characters that every file system takes."""
    stem = re.sub(r"[^\w.-]+", "_", Path(path).stem, flags=re.ASCII).lstrip(".-")
    return stem[:80] or "clip"

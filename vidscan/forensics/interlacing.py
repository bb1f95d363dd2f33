"""Interlaced and de-interlaced video, and parts of the frame that do not go along.

W. Wang and H. Farid, *Exposing Digital Forgeries in Interlaced and Deinterlaced Video*, IEEE TIFS 2007. In
interlaced video the motion between the two fields of a frame goes on into the next frame; de-interlacing
makes the lines of one field out of their neighbors, which shows in how well these predict them. A part that
was pasted in from other footage does neither.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.base import NO_STRIP, Finding, insufficient, looked, not_applicable
from vidscan.forensics.coded import FieldPair
from vidscan.forensics.material import Material

_BLOCK = 32
_LEAST_ROWS = 96
_COMBED = 1.6
"""Lines of two fields differ by so many times what lines of one field do where there is combing."""
_LEAST_SHARE = 0.03
"""Of the textured blocks that must be combed for a clip to count as interlaced."""
_TEXTURE = 2.0
"""Mean square of gray levels below which a block tells nothing."""
_MOTION = 30.0
"""Mean square of gray levels from frame to frame from which a block counts as moving."""
_LEAST_MOVING = 20
_MADE = 0.2
"""Logarithm of the ratio of prediction errors by which one field counts as made out of the other."""


class Interlacing:
    """Tells interlaced, de-interlaced and progressive video, and maps where a frame deviates from its own."""

    name = "interlacing"
    title = "Interlacing"
    source = "W. Wang, H. Farid: Exposing Digital Forgeries in Interlaced and Deinterlaced Video. TIFS 2007"

    def examine(self, material: Material) -> Finding:
        """Clips only; the score is how far parts of the frame contradict the rest."""
        strip = material.strip
        if strip is None:
            return not_applicable(self, NO_STRIP)
        if not strip.pairs or strip.pairs[0].first.shape[0] < _LEAST_ROWS:
            return insufficient(self, "too_small", f"It has too few frames, or under {_LEAST_ROWS} lines.")
        combed, textured = (np.stack(maps) for maps in zip(*map(combing, strip.pairs), strict=True))
        if combed.sum() >= max(3, _LEAST_SHARE * textured.sum()):
            return self._interlaced(strip.pairs)
        return self._deinterlaced(strip.pairs)

    def _interlaced(self, pairs: tuple[FieldPair, ...]) -> Finding:
        ratios = np.stack([field_motion(pair) for pair in pairs])
        known = np.isfinite(ratios)
        if known.sum() < _LEAST_MOVING:
            return insufficient(self, "no_motion", "It is interlaced, but too little moves to tell more.")
        usual = float(np.median(ratios[known]))
        torn = np.where(known, np.clip(1 - 4 * ratios / max(usual, 1e-3), 0, 1), 0)
        shown = (torn.sum(axis=0) / np.maximum(known.sum(axis=0), 1)).astype(np.float32)
        score = float(np.mean(torn[known] > 0.5))
        message = (
            "Interlaced video: the motion between the fields of a frame goes on into the next frame."
            if score < 0.2
            else f"Interlaced video, but in {100 * score:.0f} % of what moves the fields do not go together: "
            "it was edited, scaled, or put together from several sources."
        )
        return looked(self, message, score, map=shown, map_time_s=pairs[0].time_s)

    def _deinterlaced(self, pairs: tuple[FieldPair, ...]) -> Finding:
        logs = np.stack([parity(pair.first) for pair in pairs])
        known = np.isfinite(logs).sum(axis=0) > 0
        if not known.any():
            return insufficient(self, "no_detail", "There is too little detail to compare lines.")
        local = np.nanmedian(logs[:, known], axis=0)
        usual = float(np.median(local))
        if abs(usual) < _MADE:
            return not_applicable(self, "Progressive video, or scaled since: no trace of interlacing.")
        apart = np.clip((abs(usual) - np.sign(usual) * local) / abs(usual), 0, 1)
        shown = np.zeros(known.shape, np.float32)
        shown[known] = apart
        score = float(np.mean(apart > 0.75))
        field = "odd" if usual > 0 else "even"
        message = f"De-interlaced video: the {field} lines were made out of their neighbours"
        if score >= 0.1:
            message += (
                f", but not in {100 * score:.0f} % of the frame (see the map): that part has another origin."
            )
        else:
            message += ", everywhere alike."
        return looked(self, message, score, map=shown, map_time_s=pairs[0].time_s)


def combing(pair: FieldPair) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(h, w) blocks in which fields are torn apart, and blocks that have texture at all."""
    plane = pair.first.astype(np.float32)
    between = _blocks(np.square(plane[1:-1] - (plane[:-2] + plane[2:]) / 2))
    within = _blocks(np.square(plane[:-2] - plane[2:]) / 2)
    textured = between > _TEXTURE
    return textured & (between > _COMBED * np.maximum(within, 1e-6)), textured


def parity(plane: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(h, w) logarithm of how much worse even lines are predicted by their neighbors than odd ones.

    NaN in blocks without detail. Above 0 the odd lines are the made ones.
    """
    lines = plane.astype(np.float32)
    error = np.square(lines[1:-1] - (lines[:-2] + lines[2:]) / 2)  # of lines 1, 2, 3 ...
    rows = len(error) // 2 * 2
    odd, even = _blocks(error[:rows:2], _BLOCK // 2), _blocks(error[1:rows:2], _BLOCK // 2)
    known = odd + even > _TEXTURE
    # A quantum of noise, so that lines that are exactly the mean of others do not weigh infinitely.
    return np.where(known, np.log((even + 0.1) / (odd + 0.1)), np.nan)


def field_motion(pair: FieldPair) -> NDArray[np.float64]:
    """(h, w) difference of a frame's fields over that from the frame to the next; NaN without motion.

    Both are mean squares of gray levels, the first less the detail that lines of one field have as well.
    """
    first, second = pair.first.astype(np.float32), pair.second.astype(np.float32)
    onward = _blocks(np.square(second[1:-1] - first[1:-1]))
    between = _blocks(np.square(first[1:-1] - (first[:-2] + first[2:]) / 2))
    within = _blocks(np.square(first[:-2] - first[2:]) / 4)
    return np.where(onward > _MOTION, np.maximum(between - within, 0) / np.maximum(onward, 1e-6), np.nan)


def _blocks(values: NDArray[np.floating], rows: int = _BLOCK) -> NDArray[np.float32]:
    """Mean over blocks of (rows, 32)."""
    height, width = max(1, values.shape[0] // rows), max(1, values.shape[1] // _BLOCK)
    cut = values[: height * rows, : width * _BLOCK].astype(np.float32)
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.float32)

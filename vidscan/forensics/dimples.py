"""JPEG dimples: one pixel of every 8 x 8 block that is a little too dark or too bright.

S. Agarwal and H. Farid, *Photo Forensics from JPEG Dimples*, WIFS 2017. Encoders of many cameras round DCT
coefficients down (or up) instead of to the nearest step. All cosines are positive in the corner of a block:
the errors add up there. A part that was pasted in or painted over lacks the dimples of its surroundings.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.base import Finding, graded, insufficient, looked
from vidscan.forensics.blocks import SIDE, luminance, tiles
from vidscan.forensics.material import Material, SampledFrame

_LEAST_BLOCKS = 256
_CLIP = 8.0
"""Grey levels: edges count no more than that."""
_NONE, _PLAIN = 6.0, 24.0
"""Standard errors by which a phase stands out: what chance and content reach, and what leaves no doubt."""
_LOCAL = 9
"""Side in blocks of what the map looks at together."""


class Dimples:
    """Measures the dimple: its place in the block, and how plain it is, overall and over the picture."""

    name = "jpeg_dimples"
    title = "JPEG dimples"
    source = "S. Agarwal, H. Farid: Photo Forensics from JPEG Dimples. WIFS 2017"

    def examine(self, material: Material) -> Finding:
        """The map is of the first sampled frame; the strength is that of all."""
        residuals = [_residual(frame) for frame in material.frames]
        if min(residual.shape[0] * residual.shape[1] for residual in residuals) < _LEAST_BLOCKS:
            return insufficient(self, "too_small", "The picture has too few 8 x 8 blocks to tell.")
        strength, phase = dimple(np.concatenate([residual.reshape(-1, SIDE, SIDE) for residual in residuals]))
        score = graded(abs(strength), _NONE, _PLAIN)
        if score == 0:
            message = "No dimples: not coded by a camera that rounds down or up, or re-encoded since."
            return looked(self, message, score)
        shade = "dark" if strength < 0 else "bright"
        place = f"column {phase[1]}, row {phase[0]} of each 8 x 8 block"
        message = (
            f"A {shade} dimple at {place}: coded by an encoder that rounds {'down' if strength < 0 else 'up'}"
            ", as those of many cameras do. Where the map stays clear, something may have been pasted in."
        )
        if phase not in ((0, 0), (0, 7), (7, 0), (7, 7)):
            message += " It is not in the corner of the block: the picture was cropped after it was coded."
        shown = _map(residuals[0], phase, np.sign(strength))
        return looked(self, message, score, map=shown, map_time_s=material.frames[0].time_s)


def dimple(residual: NDArray[np.float32]) -> tuple[float, tuple[int, int]]:
    """How far one phase of the block stands out, in standard errors (negative: dark), and its (row, column).

    ``residual`` is (N, 8, 8): high-pass filtered luminance by block.
    """
    mean = residual.mean(axis=0, dtype=np.float64)
    error = residual.std(axis=0, dtype=np.float64) / np.sqrt(len(residual))
    depth = mean - np.median(mean)
    # The deepest, not the surest: a deep dimple has faint, sure ripples about it.
    row, column = (int(n) for n in np.unravel_index(int(np.abs(depth).argmax()), depth.shape))
    return float(depth[row, column] / max(error[row, column], _CLIP / len(residual))), (row, column)


def _residual(frame: SampledFrame) -> NDArray[np.float32]:
    """(h, w, 8, 8) luminance less its 3 x 3 median, by block."""
    plane = luminance(frame.image)
    median = cv2.medianBlur(plane.astype(np.uint8), 3).astype(np.float32)
    return np.asarray(tiles(np.clip(plane - median, -_CLIP, _CLIP)), np.float32)


def _map(residual: NDArray[np.float32], phase: tuple[int, int], sign: float) -> NDArray[np.float32]:
    """How much of the dimple each place has, 1 that of the picture's better half or more."""
    depth = sign * (residual[:, :, phase[0], phase[1]] - residual.mean(axis=(2, 3)))
    local = cv2.blur(depth.astype(np.float32), (_LOCAL, _LOCAL), borderType=cv2.BORDER_REFLECT)
    usual = float(np.quantile(local, 0.75))
    return np.clip(local / max(usual, 1e-6), 0, 1).astype(np.float32)

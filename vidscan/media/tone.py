"""High dynamic range to what everything else expects: BT.709 with gamma, as on an ordinary display.

A frame goes from its transfer function to light, from its primaries to those of BT.709, and back through
the inverse of BT.1886. White of ordinary video is 203 cd/m2 in either system (ITU-R BT.2408), so that what
fits into BT.709 keeps its values; highlights are rolled off. References: ITU-R BT.2100 (PQ, HLG and its
system gamma for 1000 cd/m2), BT.1886, BT.2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
"""Transfer functions of high dynamic range by their number in ITU-T H.273."""
PRIMARIES = {1: "BT.709", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_CORNERS = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Chromaticities (x, y) of red, green and blue; white is D65."""
_D65 = (0.3127, 0.3290)
_WHITE = 203.0
_PEAK = 1000.0 / _WHITE
_LEVELS = 4096
_KNEE = 0.9
"""Of BT.709's signal range: what lies above makes room for highlights."""


class ToneMapper:
    """Turns decoded HDR frames into BT.709 RGB.

    Parameters
    ----------
    transfer, primaries
        Numbers of ITU-T H.273; other primaries than those known count as BT.2020.
    """

    def __init__(self, transfer: int, primaries: int) -> None:
        self._hlg = transfer == 18
        code = np.linspace(0, 1, _LEVELS)
        self._light = (_hlg(code) if self._hlg else _pq(code)).astype(np.float32)
        corners = _CORNERS.get(primaries, _CORNERS[9])
        to_xyz = _to_xyz(corners)
        self._luminance = to_xyz[1].astype(np.float32)
        self._matrix = (np.linalg.inv(_to_xyz(_CORNERS[1])) @ to_xyz).astype(np.float32)
        # Indexed by the root of light: steps are then about as fine as the eye's, and the codec's.
        self._code = _signal(np.linspace(0, 1, _LEVELS) ** 2 * _PEAK)

    def rgb(self, frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB uint8."""
        import cv2

        deep: Any = frame.to_ndarray(width=width, height=height, format="rgb48le", interpolation="BICUBIC")
        light = self._light[deep >> 4]
        if self._hlg:
            # The display's system gamma, on luminance: hues stay.
            luminance = cv2.transform(light, self._luminance[None])
            light *= (_PEAK * np.maximum(luminance, 1e-6) ** np.float32(0.2))[..., None]
        light = cv2.transform(light, self._matrix)
        np.clip(light, 0, _PEAK, out=light)
        place = np.sqrt(light * np.float32(1 / _PEAK)) * np.float32(_LEVELS - 1)
        return self._code[(place + np.float32(0.5)).astype(np.uint16)]


def _hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scene light, 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the display, 1 at the white of ordinary video."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = code ** (1 / m2)
    return 10_000 / _WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _signal(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    """BT.1886's signal, 0..255; straight up to the knee, above it bent so that the peak is white."""
    signal = light ** (1 / 2.4)
    above = np.maximum(signal - _KNEE, 0)
    most, room = _PEAK ** (1 / 2.4) - _KNEE, 1 - _KNEE
    bent = _KNEE + above / (1 + above * (1 / room - 1 / most))
    return np.rint(255 * np.where(signal > _KNEE, bent, signal)).astype(np.uint8)


def _to_xyz(corners: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """(3, 3) from linear RGB to CIE XYZ."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in corners]).T
    x, y = _D65
    white = np.array([x / y, 1, (1 - x - y) / y])
    return columns * np.linalg.solve(columns, white)

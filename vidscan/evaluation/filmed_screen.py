"""What a camera sees of a screen that shows a clip.

Every pixel of the screen is three colored stripes with a dark gap below; the camera, slightly turned and out
of focus, samples them anew (moiré), with its own exposure, a reflection and noise. Nothing of the clip's own
pixels is left but what a person would see.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_STRIPES = 3
_GAP = 0.4
"""Light in the gap between rows of pixels."""
_GAMMA = 2.2
_LIGHT = ((np.arange(256) / 255) ** _GAMMA).astype(np.float32)
"""Of every gray level."""


class FilmedScreen:
    """One take: screen, camera and hand stay as they are from frame to frame.

    Parameters
    ----------
    rng
        Draws the take, and the noise of every frame.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._focus = rng.uniform(1.0, 1.8)
        """Blur in stripes."""
        self._corners = rng.uniform(-0.02, 0.02, (4, 2))
        self._turn, self._zoom = np.radians(rng.uniform(-1.5, 1.5)), rng.uniform(1.02, 1.08)
        self._gain = rng.uniform(0.85, 1.1) * rng.uniform(0.95, 1.05, 3)
        self._falloff, self._reflection = rng.uniform(0.0, 0.2), rng.uniform(0.0, 0.03)
        self._noise = rng.uniform(1.0, 3.0)
        """Gray levels."""
        self._pattern: NDArray[np.float32] | None = None
        """(H, W, 3) what becomes of white."""

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of (H, W, 3) RGB; all frames of a take are of one size."""
        height, width = image.shape[:2]
        if self._pattern is None:
            # The picture hardly changes within a stripe, so both are sampled apart and multiplied.
            stripes = np.tile(_pixel(), (height, width, 1))
            self._pattern = self._seen(cv2.GaussianBlur(stripes, (0, 0), self._focus), _STRIPES)
            self._pattern *= self._light(width, height)
        light = self._seen(cv2.GaussianBlur(_LIGHT[image], (0, 0), self._focus / _STRIPES), 1)
        shown = np.clip(light * self._pattern + self._reflection, 0, 1)
        levels = 255 * cv2.pow(shown, 1 / _GAMMA)
        levels += self._noise * self._rng.standard_normal(levels.shape, np.float32)
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)

    def _seen(self, shown: NDArray, stripes: int) -> NDArray[np.float32]:
        """(H, W, 3) what the camera samples of a screen's (H * stripes, W * stripes, 3) float32."""
        height, width = (side // stripes for side in shown.shape[:2])
        place, size = self._map(width, height, stripes), (width, height)
        return np.asarray(
            cv2.warpPerspective(shown, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    def _map(self, width: int, height: int, stripes: int) -> NDArray[np.float32]:
        """(3, 3) from the screen to the camera's pixels; each of the screen's is so many ``stripes`` wide."""
        size = np.array([width, height], np.float64)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
        turn = np.array([[np.cos(self._turn), -np.sin(self._turn)], [np.sin(self._turn), np.cos(self._turn)]])
        shown = (corners - size / 2) @ turn.T * self._zoom + size / 2 + self._corners * size
        return np.asarray(
            cv2.getPerspectiveTransform((corners * stripes).astype(np.float32), shown.astype(np.float32))
        )

    def _light(self, width: int, height: int) -> NDArray[np.float32]:
        """(H, W, 3) what the camera takes in of each point: less towards the corners."""
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        falloff = 1 - self._falloff * (x**2 + y**2) / 2
        return (falloff[..., None] * self._gain).astype(np.float32)


def _pixel() -> NDArray[np.float32]:
    """(3, 3, 3) rows, columns and colors of a pixel, of mean 1 in each color."""
    pixel = np.repeat(np.eye(_STRIPES)[None], _STRIPES, axis=0)
    pixel[-1] *= _GAP
    return (pixel / pixel.mean((0, 1))).astype(np.float32)

"""8 x 8 blocks: luminance, residuals and DCT coefficients of pictures, as JPEG has them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.forensics.material import Material, window
from vidscan.media.sniff import PathLike

SIDE = 8

_FREQUENCIES = np.arange(SIDE)
BASIS: NDArray[np.float64] = np.sqrt(np.where(_FREQUENCIES == 0, 1, 2) / SIDE)[:, None] * np.cos(
    np.pi * (2 * _FREQUENCIES[None] + 1) * _FREQUENCIES[:, None] / (2 * SIDE)
)
"""(8, 8) orthonormal DCT-II: row u is the cosine of frequency u."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Luminance of a picture as DCT coefficients.

    Attributes
    ----------
    levels
        (h, w, 8, 8) int32, in steps of ``steps``; rows are vertical frequencies.
    steps
        (8, 8) the quantization table; ones for pixels that came from no JPEG file.
    """

    levels: NDArray[np.int32]
    steps: NDArray[np.int32]


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) of an (H, W, 3) RGB picture, 0..255, as JPEG defines it."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[..., 0], np.float32)


def tiles(plane: NDArray[np.floating], side: int = SIDE) -> NDArray[np.floating]:
    """(h, w, side, side) whole tiles of an (H, W) plane, from its top left; a view where it can be one."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    cut = plane[: rows * side, : columns * side]
    return cut.reshape(rows, side, columns, side).swapaxes(1, 2)


def joined(blocks: NDArray[np.floating]) -> NDArray[np.floating]:
    """The plane (H, W) that :func:`tiles` gave."""
    rows, columns, side, _ = blocks.shape
    return blocks.swapaxes(1, 2).reshape(rows * side, columns * side)


def dct(blocks: NDArray[np.floating]) -> NDArray[np.float32]:
    """DCT-II of every block (..., 8, 8)."""
    basis = BASIS.astype(np.float32)
    return np.asarray(basis @ blocks.astype(np.float32) @ basis.T, np.float32)


def idct(coefficients: NDArray[np.floating]) -> NDArray[np.float32]:
    """What :func:`dct` came from."""
    basis = BASIS.astype(np.float32)
    return np.asarray(basis.T @ coefficients.astype(np.float32) @ basis, np.float32)


def coefficients(material: Material) -> Coefficients:
    """Of a JPEG file its own coefficients, of anything else those of the first sampled frame's pixels."""
    found = jpeg_coefficients(material.path) if material.info.codec == "jpeg" else None
    if found is None:
        plane = luminance(material.frames[0].image)
        levels = np.rint(dct(tiles(plane) - 128)).astype(np.int32)
        return Coefficients(levels, np.ones((SIDE, SIDE), np.int32))
    return found


def jpeg_coefficients(path: PathLike) -> Coefficients | None:
    """The luminance of a JPEG file as it is coded; None where it has none of 8 bits.

    They are had from the decoded luminance, which no color conversion has touched: the rounding of pixels is
    smaller than half a step but for the finest tables and for clipped blocks.
    """
    from PIL import Image

    with suppress(Exception), Image.open(path) as image:
        image.draft("YCbCr" if image.mode == "RGB" else "L", None)  # type: ignore[arg-type]
        if image.mode not in ("YCbCr", "L"):
            return None
        table = image.quantization[0]  # type: ignore[attr-defined]
        plane = np.asarray(image, np.uint8)
        x0, y0, x1, y1 = window(plane.shape[1], plane.shape[0])
        plane = plane[y0:y1, x0:x1] if plane.ndim == 2 else plane[y0:y1, x0:x1, 0]
        steps = np.array(table, np.int32).reshape(SIDE, SIDE)
        levels = np.rint(dct(tiles(plane.astype(np.float32)) - 128) / steps).astype(np.int32)
        return Coefficients(levels, steps)
    return None

"""Spectra: periodic traces of up-sampling, such as the checkerboard of transposed convolutions.

X. Zhang, S. Karaman, S.-F. Chang, *Detecting and Simulating Artifacts in GAN Fake Images*, WIFS 2019; J.
Frank et al., *Leveraging Frequency Analysis for Deep Fake Image Recognition*, ICML 2020. A layer that doubles
the resolution repeats its own grid: single frequencies stand out of a spectrum that is smooth in photographs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from vidscan.forensics.base import Finding, graded, insufficient, looked
from vidscan.forensics.blocks import luminance
from vidscan.forensics.material import Material, SampledFrame, once

SIDE = 64
"""Of a tile, in pixels."""
_STRIDE = 32
_MOST_TILES = 400
"""Of one frame, spread over it."""
_LEAST_TILES = 12
_GRID = SIDE // 8
"""Multiples of this bin are frequencies of the 8 x 8 blocks of JPEG and most video."""
_LOWEST = 6
"""Bins about 0 that are the picture's own."""
_NONE, _PLAIN = 0.6, 2.4
"""Nats by which a peak stands out of the spectrum about it: what photographs reach, and what is plain."""
_MARKED = 6
_SHOWN = 4


class Spectrum:
    """Looks for single frequencies that stand out, and that the blocks of the coding do not explain."""

    name = "spectrum"
    title = "Periodic traces in the spectrum"
    source = "X. Zhang, S. Karaman, S.-F. Chang: Detecting and Simulating Artifacts in GAN Images. WIFS 2019"

    def examine(self, material: Material) -> Finding:
        """Looks at faces where there are some, else at whole frames."""
        spectrum = material_spectrum(material)
        if spectrum is None:
            return insufficient(self, "too_small", f"No face or frame holds enough tiles of {SIDE} pixels.")
        risen = peaks(spectrum)
        places = _strongest(risen)
        score = graded(float(risen[places[0]]), _NONE, _PLAIN)
        message = "No frequency stands out beyond the blocks of the coding."
        shown = [place for place in places if risen[place] > _NONE]
        if shown:
            row, column = (abs(n - SIDE // 2) for n in shown[0])
            what = f"every {_length(row)} pixels down and {_length(column)} across"
            message = (
                f"A pattern that repeats {what} stands out: up-sampling layers of generators leave such, and "
                "so do screens, grids, fabrics and enlargement."
            )
        return looked(self, message, score, map=_drawn(spectrum, shown), over_frame=False)


def mean_spectrum(frames: Iterable[SampledFrame]) -> NDArray[np.float64] | None:
    """(64, 64) mean logarithm of the power of high-pass tiles, zero frequency in the middle.

    Of the faces where frames have some that hold a tile, else of the frames. None with under 12 tiles.
    """
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)[None]
    total, count = np.zeros((SIDE, SIDE)), 0
    for plane in _regions(tuple(frames)):
        found = _tiles(plane)
        if len(found):
            flat = (found - found.mean(axis=(1, 2), keepdims=True)) * window
            total += np.log(np.abs(np.fft.fft2(flat)) ** 2 + 1.0).sum(axis=0)
            count += len(found)
    return np.fft.fftshift(total / count) if count >= _LEAST_TILES else None


@once
def material_spectrum(material: Material) -> NDArray[np.float64] | None:
    """:func:`mean_spectrum` of the sampled frames."""
    return mean_spectrum(material.frames)


def detrended(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """(64, 64) nats by which each frequency stands above the median of those about it."""
    risen = spectrum - median_filter(spectrum, size=7, mode="wrap")
    # Upright and level edges draw lines through the middle: there only points along the line count.
    for near in range(SIDE // 2 - 1, SIDE // 2 + 2):
        risen[near] -= median_filter(risen[near], size=9, mode="wrap")
        risen[:, near] -= median_filter(risen[:, near], size=9, mode="wrap")
    return np.asarray(risen, np.float64)


def peaks(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """(64, 64) the same, 0 near frequency 0; of the coding's own frequencies only what exceeds their kind.

    The edges of blocks make peaks at the multiples of an eighth along the axes, dimples at all of them;
    doubling the resolution makes peaks at a half alone.
    """
    risen = detrended(spectrum)
    offset = np.abs(np.arange(SIDE) - SIDE // 2)
    # A tile's window spreads a frequency over its neighbors.
    multiples = np.minimum(offset % _GRID, -offset % _GRID) <= 1
    on_grid = multiples[:, None] & multiples[None]
    odd = multiples & ((offset + 1) // _GRID % 2 == 1) & (offset > _LOWEST)
    middle = SIDE // 2
    usual = float(max(risen[middle, odd].max(), risen[odd, middle].max(), risen[np.ix_(odd, odd)].max()))
    risen = np.where(on_grid, risen - max(usual, 0.0), risen)
    near = np.hypot(offset[:, None], offset[None]) <= _LOWEST
    return np.where(near, 0.0, np.maximum(risen, 0.0))


def _regions(frames: tuple[SampledFrame, ...]) -> Iterator[NDArray[np.float32]]:
    faces = []
    for frame in frames:
        height, width = frame.image.shape[:2]
        for box in frame.faces:
            x0, y0, x1, y1 = (round(side) for side in box)
            x0, y0, x1, y1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
            if min(x1 - x0, y1 - y0) >= SIDE:
                faces.append(frame.image[y0:y1, x0:x1])
    for image in faces or [frame.image for frame in frames]:
        plane = luminance(np.ascontiguousarray(image))
        yield plane - cv2.GaussianBlur(plane, (0, 0), 1.5)


def _tiles(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 64, 64), overlapping by half, at most 400 of them."""
    rows = range(0, plane.shape[0] - SIDE + 1, _STRIDE)
    columns = range(0, plane.shape[1] - SIDE + 1, _STRIDE)
    places = [(row, column) for row in rows for column in columns]
    step = max(1, -(-len(places) // _MOST_TILES))
    cut = [plane[row : row + SIDE, column : column + SIDE] for row, column in places[::step]]
    return np.stack(cut) if cut else np.empty((0, SIDE, SIDE), np.float32)


def _strongest(risen: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Places of the strongest frequencies, each with its mirror image counted once."""
    half = risen.copy()
    half[SIDE // 2 + 1 :] = -1.0
    order = np.argsort(half, axis=None)[::-1][:_MARKED]
    return [(int(n) // SIDE, int(n) % SIDE) for n in order]


def _length(bins: int) -> str:
    return f"{SIDE / bins:.3g}" if bins else "no"


def _drawn(spectrum: NDArray[np.float64], places: list[tuple[int, int]]) -> NDArray[np.float32]:
    """The spectrum as a gray picture, four pixels a bin, with rings about places and their mirror images."""
    low, high = np.quantile(spectrum, [0.01, 0.995])
    grey = np.clip((spectrum - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    drawn = cv2.resize(grey, None, fx=_SHOWN, fy=_SHOWN, interpolation=cv2.INTER_NEAREST)
    for row, column in places:
        for y, x in ((row, column), (-row % SIDE, -column % SIDE)):
            cv2.circle(drawn, (x * _SHOWN + 2, y * _SHOWN + 2), 9, 1.0, 1, cv2.LINE_AA)
    return np.asarray(drawn, np.float32)

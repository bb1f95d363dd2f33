"""Where the 478 landmarks lie on an average face, for forging where no landmark model is installed.

The file next to this module is the mean of MediaPipe's face mesh over some thousand aligned genuine
faces, in pixels of the 112 px square of :data:`vidscan.faces.geometry.TEMPLATE`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.geometry import CropSpec, apply_affine

MEAN_FACE = Path(__file__).with_name("mean_face.safetensors")


@cache
def _mean_face() -> NDArray[np.float32]:
    from safetensors.numpy import load_file

    return load_file(MEAN_FACE)["landmarks"]


def mean_landmarks(spec: CropSpec) -> NDArray[np.float32]:
    """(478, 2) float32 landmarks of the average face in pixels of an aligned crop.

    Good to a few percent of a frontal face; profiles and open mouths need real landmarks.
    """
    return spec.from_template(_mean_face().astype(np.float64)).astype(np.float32)


_MAX_STRETCH = 1.6
"""Beyond this the five points are those of a profile, or wrong, and the average face stays as it is."""


def fitted_landmarks(points: NDArray[np.floating], spec: CropSpec) -> NDArray[np.float32]:
    """(478, 2) float32 landmarks of the average face, stretched affinely onto five points.

    Parameters
    ----------
    points
        (5, 2) the detector's points in pixels of the crop.
    spec
        The crop.
    """
    known = np.column_stack([spec.points, np.ones(5)])
    solution = np.linalg.lstsq(known, np.asarray(points, np.float64), rcond=None)[0]
    stretch = np.linalg.svd(solution[:2], compute_uv=False)
    if stretch[0] > _MAX_STRETCH or stretch[1] < 1 / _MAX_STRETCH:
        return mean_landmarks(spec)
    return apply_affine(solution.T, mean_landmarks(spec)).astype(np.float32)

"""Where the 478 landmarks lie on an average face, for forging where no landmark model is installed.

The file next to this module is the mean of MediaPipe's face mesh over some thousand aligned genuine
faces, in pixels of the 112 px square of :data:`vidscan.faces.align.TEMPLATE`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.align import CropSpec

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

"""Real pictures and real footage whose history the tests then write themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vidscan.media import open_video

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """(448, 448, 3) RGB of a person; made smaller, so that no earlier compression shows."""
    from skimage.data import astronaut

    return np.asarray(cv2.resize(astronaut(), (448, 448), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="session")
def footage() -> list[NDArray[np.uint8]]:
    """150 frames (320, 320, 3) RGB of a person who moves, made smaller as well."""
    with open_video(ROOT / "examples" / "genuine.mp4") as source:
        images = [image for chunk in source for image in chunk.images]
    return [
        np.asarray(cv2.resize(i, (320, 320), interpolation=cv2.INTER_AREA), np.uint8) for i in images[:150]
    ]

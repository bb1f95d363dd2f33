"""A short clip of a face that moves, cut from the example: 12 frames of 240 x 240 pixels."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.media import VideoWriter, open_video

EXAMPLE = Path(__file__).parents[2] / "examples" / "genuine.mp4"
FPS, COUNT, SIDE = 25, 12, 240


@cache
def moving_face() -> NDArray[np.uint8]:
    """(12, 240, 240, 3) RGB: a face of about 95 pixels, every second frame of the example."""
    with open_video(EXAMPLE) as source:
        chunks = []
        for chunk in source:
            chunks.append(chunk.images[:, :SIDE, 60 : 60 + SIDE])
            if sum(map(len, chunks)) >= 2 * COUNT:
                break
    return np.ascontiguousarray(np.concatenate(chunks)[: 2 * COUNT : 2])


def write_moving_face(path: Path) -> Path:
    """The same as a file, without loss."""
    with VideoWriter(path, SIDE, SIDE, fps=FPS, codec="ffv1") as writer:
        for image in moving_face():
            writer.write(image)
    return path

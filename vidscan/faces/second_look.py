"""A second look where nobody was found for sure: at faces that lie on their side or fill the frame.

Detectors are trained on upright faces with something around them. Pictures that were turned without saying
so, and faces that reach the frame's edges, are found once the frame is turned, or made smaller with a margin.
What is found is reported in the frame as it is: the five points tell how the face is turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidscan.types import Detection

if TYPE_CHECKING:
    from vidscan.faces.detect import Detector

_SURE = 0.98
"""Confidence from which a first find is left alone."""
_FOUND = 0.995
"""Confidence that a second look needs: it looks several times, at what rarely is a face."""
_SHRUNK = 0.5

Place = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps (N, 2) points of the changed picture to the frame."""


class SecondLook:
    """A detector (:class:`vidscan.faces.detect.Detector`) that looks again.

    Parameters
    ----------
    detector
        Looks at frames as they are, and at the changed ones.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def detect(
        self, images: NDArray[np.uint8], near: NDArray[np.floating] | None = None
    ) -> list[list[Detection]]:
        """See :meth:`vidscan.faces.detect.Detector.detect`; known faces need no second look."""
        if near is not None:
            return self._detector.detect(images, near)
        found = self._detector.detect(images)
        return [
            faces if _surest(faces) >= _SURE else self._again(image, faces)
            for image, faces in zip(images, found, strict=True)
        ]

    def _again(self, image: NDArray[np.uint8], first: list[Detection]) -> list[Detection]:
        """The surest look's faces; the first ones where no other look is sure."""
        best, surest = first, _FOUND
        for picture, place in (_with_margin(image), *(_turned(image, turns) for turns in (1, 3, 2))):
            faces = self._detector.detect(picture[None])[0]
            if _surest(faces) > surest:
                best, surest = [_placed(face, place) for face in faces], _surest(faces)
        return best


def _surest(faces: list[Detection]) -> float:
    return max((face.confidence for face in faces), default=0.0)


def _with_margin(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Place]:
    """The frame at half its size within gray, and the way back."""
    import cv2

    height, width = image.shape[:2]
    wide, high = max(1, round(width * _SHRUNK)), max(1, round(height * _SHRUNK))
    left, top = (width - wide) // 2, (height - high) // 2
    canvas = np.full_like(image, 127)
    canvas[top : top + high, left : left + wide] = cv2.resize(
        image, (wide, high), interpolation=cv2.INTER_AREA
    )
    ratio, corner = np.array([width / wide, height / high]), np.array([left, top])
    # Pixels' edges stay where they are, not their centers.
    return canvas, lambda points: (points - corner + 0.5) * ratio - 0.5


def _turned(image: NDArray[np.uint8], turns: int) -> tuple[NDArray[np.uint8], Place]:
    """The frame after anticlockwise quarter turns, and the way back."""
    last = np.array([image.shape[1] - 1, image.shape[0] - 1])

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points[:, 0], points[:, 1]
        if turns == 2:
            return last - points
        return np.stack([last[0] - y, x] if turns == 1 else [y, last[1] - x], axis=1)

    return np.ascontiguousarray(np.rot90(image, turns)), place


def _placed(face: Detection, place: Place) -> Detection:
    corners = place(face.box.astype(np.float64).reshape(2, 2))
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    points = place(face.points.astype(np.float64))
    return replace(face, box=box.astype(np.float32), points=points.astype(np.float32))

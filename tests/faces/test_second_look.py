"""A second look at faces that lie on their side or fill the frame; how many faces are left out."""

from __future__ import annotations

import numpy as np
import pytest

from vidscan.faces.second_look import SecondLook
from vidscan.faces.track import FaceTracker
from vidscan.types import Detection, FrameChunk

FACE = np.array([[30, 40], [50, 40], [40, 52], [33, 62], [47, 62]], np.float32)
BOX = np.array([25, 30, 55, 70], np.float32)


class Upright:
    """Finds the one face where a frame's marks say that it is upright, with room around it."""

    def __init__(self, confidence: float = 0.999) -> None:
        self.confidence, self.looks = confidence, 0

    def detect(self, images):
        self.looks += len(images)
        return [[Detection(BOX, FACE, self.confidence)] if self.sees(image) else [] for image in images]

    @staticmethod
    def sees(image):
        return image[40, 30, 0] == 200 and image[40, 50, 0] == 210


def marked() -> np.ndarray:
    image = np.zeros((80, 100, 3), np.uint8)
    image[40, 30, 0], image[40, 50, 0] = 200, 210
    return image


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_face_is_found_where_it_is_however_it_lies(turns: int) -> None:
    detector = Upright()
    frame = np.ascontiguousarray(np.rot90(marked(), turns))
    ((face,),) = SecondLook(detector).detect(frame[None])
    left, right = np.rint(face.points[:2]).astype(int)
    assert (frame[left[1], left[0], 0], frame[right[1], right[0], 0]) == (200, 210)
    width, height = (30, 40) if turns % 2 == 0 else (40, 30)
    assert (face.box[2:] - face.box[:2]).tolist() == [width, height]
    assert (face.points.min(0) >= face.box[:2]).all() and (face.points.max(0) <= face.box[2:]).all()
    # Whoever is found at once costs no second look.
    assert detector.looks == (1 if turns == 0 else 5)


def test_an_unsure_second_look_changes_nothing() -> None:
    frame = np.ascontiguousarray(np.rot90(marked()))
    assert SecondLook(Upright(0.99)).detect(frame[None]) == [[]]


def test_a_face_that_fills_the_frame_is_found_smaller() -> None:
    class Small(Upright):
        @staticmethod
        def sees(image):
            return image[0, 0, 0] == 127  # the margin

    frame = np.zeros((80, 100, 3), np.uint8)
    ((face,),) = SecondLook(Small()).detect(frame[None])
    np.testing.assert_allclose(face.box, (BOX - [25, 20, 25, 20] + 0.5) * 2 - 0.5)


def test_faces_beyond_the_limit_are_counted() -> None:
    class Crowd:
        def detect(self, images):
            boxes = [np.array([x, 10, x + 40, 60], np.float32) for x in range(0, 350, 50)]
            return [[Detection(box, FACE - FACE[0] + box[:2] + 10, 0.99) for box in boxes] for _ in images]

    image = np.random.default_rng(0).integers(0, 255, (1, 80, 400, 3)).astype(np.uint8)
    for limit, left_out in ((7, 0), (8, 0), (5, 2)):
        tracker = FaceTracker(Crowd(), max_faces=limit)
        faces = tracker.update(FrameChunk(0, np.zeros(1), image))
        assert len(faces) == min(limit, 7) and tracker.left_out == left_out

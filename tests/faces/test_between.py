from __future__ import annotations

import numpy as np
import pytest

from vidscan.faces.between import Between
from vidscan.types import Face, FrameChunk


def face(index: int, x: float, track_id: int = 0) -> Face:
    box = np.array([x, 10, x + 20, 30], np.float32)
    return Face(index, index / 25, track_id, box, box[[0, 1]] + np.zeros((5, 2), np.float32), 1.0, True)


def chunk(first: int, count: int) -> FrameChunk:
    return FrameChunk(first, (first + np.arange(count)) / 25, np.zeros((count, 4, 4, 3), np.uint8))


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_faces_move_evenly_between_followed_frames(size: int) -> None:
    """However the clip is cut into chunks; the last frame holds its face."""
    followed = [face(0, 0), face(3, 30), face(6, 30)]
    between, done = Between(3), []
    for first in range(0, 8, size):
        count = min(size, 8 - first)
        done += between.add(
            chunk(first, count), [f for f in followed if first <= f.frame_index < first + count]
        )
    done += between.finish()
    assert [frame.index for frame in done] == list(range(8))
    assert [frame.faces[0].box[0] for frame in done] == pytest.approx(
        [0, 10, 20, 30, 30, 30, 30, 30], abs=1e-4
    )
    assert [frame.faces[0].detected for frame in done] == [i in (0, 3, 6) for i in range(8)]
    for frame in done:
        assert frame.faces[0].frame_index == frame.index
        assert frame.faces[0].time_s == frame.time_s == frame.index / 25
        np.testing.assert_allclose(frame.faces[0].points[:, 0], frame.faces[0].box[0], atol=1e-5)


def test_a_track_that_ends_is_not_carried_on_into_the_next() -> None:
    between = Between(2)
    done = between.add(chunk(0, 5), [face(0, 0), face(2, 50, 1), face(3, 51, 1), face(4, 52, 1)])
    assert [[f.track_id for f in frame.faces] for frame in done] == [[0], [], [1], [1], [1]]
    # What was followed in between is not made up.
    assert done[3].faces[0].detected


def test_faces_of_a_frame_that_was_passed_over_may_come_with_the_next_chunk() -> None:
    between = Between(2)
    assert [frame.index for frame in between.add(chunk(0, 2), [face(0, 0)])] == [0]
    done = between.add(chunk(2, 1), [face(1, 7), face(2, 8)])
    assert [(frame.index, frame.faces[0].box[0]) for frame in done] == [(1, 7), (2, 8)]
    assert between.finish() == []

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidscan.faces.shots import CutDetector
from vidscan.faces.track import FaceTracker
from vidscan.types import Detection, Face

from .scenes import astronaut, backdrop, chunk, head_of, other_person, pasted, warped


def run(tracker: FaceTracker, frames: list[np.ndarray], size: int = 16) -> list[Face]:
    faces: list[Face] = []
    for first in range(0, len(frames), size):
        faces += tracker.update(chunk(frames[first : first + size], first))
    return faces


def pan(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A hand-held pan with zoom and roll, and the map from the still picture to each frame."""
    frames, maps = [], []
    for t in range(count):
        angle, zoom = 0.12 * np.sin(t / 9), 1 + 0.25 * t / count
        linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = np.array([180 + 3.0 * t, 150 + 15 * np.sin(t / 6)]) - linear @ [223.0, 118.0]
        maps.append(np.concatenate([linear, offset[:, None]], axis=1))
        frames.append(warped(astronaut(), maps[-1], 640, 360))
    return frames, maps


class Counting:
    """Counts the frames that go through a detector: looked at as a whole, and where faces are."""

    def __init__(self, detector):
        self.detector, self.frames, self.checks = detector, 0, 0

    def detect(self, images, near=None):
        if near is None:
            self.frames += len(images)
        else:
            self.checks += len(images)
        return self.detector.detect(images, near)


class Scripted:
    """Gives the same answer for every frame."""

    def __init__(self, *faces: Detection):
        self.faces = list(faces)

    def detect(self, images, near=None):
        return [list(self.faces) for _ in images]


def test_a_pan_is_one_smooth_track(detector):
    frames, maps = pan(48)
    counting = Counting(detector)
    tracker = FaceTracker(counting)
    faces = run(tracker, frames)
    assert tracker.track_count == 1
    assert [face.frame_index for face in faces] == list(range(48))
    assert {face.track_id for face in faces} == {0}
    # At 0, 4, 12, 20 and so on, and halfway between from 8 on.
    assert (counting.frames, counting.checks) == (7, 5)
    assert sum(face.detected for face in faces) == 12
    # In the still picture's coordinates the face should not move.
    still = np.array(
        [(face.points - m[:, 2]) @ np.linalg.inv(m[:, :2]).T for face, m in zip(faces, maps, strict=True)]
    )
    (reference,) = detector.detect(astronaut()[None])[0]
    assert np.abs(still - reference.points).mean() < 2.5
    # The crop's center neither jumps nor trembles from frame to frame.
    assert np.abs(np.diff(still.mean(axis=1), axis=0)).max() < 0.6
    box = np.array([(f.box[:2] + f.box[2:]) / 2 for f in faces])
    true = np.array([m[:, :2] @ (reference.box[:2] + reference.box[2:]) / 2 + m[:, 2] for m in maps])
    assert np.abs(box - true).max() < 5


def test_chunks_do_not_matter(detector):
    frames, _ = pan(20)
    whole, pieces = run(FaceTracker(detector), frames, 20), run(FaceTracker(detector), frames, 3)
    assert len(whole) == len(pieces) == 20
    for a, b in zip(whole, pieces, strict=True):
        assert (a.frame_index, a.time_s, a.track_id, a.detected) == (
            b.frame_index,
            b.time_s,
            b.track_id,
            b.detected,
        )
        np.testing.assert_allclose(a.points, b.points, atol=0.3)


def test_every_second_frame_is_enough_for_a_pan(detector):
    frames, _ = pan(36)
    every, counting = run(FaceTracker(detector), frames), Counting(detector)
    tracker = FaceTracker(counting, detect_every=24, stride=2)
    faces = run(tracker, frames)
    assert [face.frame_index for face in faces] == list(range(0, 36, 2))
    assert (tracker.track_count, counting.frames, counting.checks) == (1, 2, 1)
    apart = [np.abs(a.points - b.points).mean() for a, b in zip(faces, every[::2], strict=True)]
    assert max(apart) < 2.5
    again = run(FaceTracker(detector, detect_every=24, stride=2), frames, 5)
    for a, b in zip(faces, again, strict=True):
        assert (a.frame_index, a.track_id) == (b.frame_index, b.track_id)
        np.testing.assert_array_equal(a.points, b.points)


@pytest.mark.parametrize("size", [1, 7, 24])
def test_a_cut_is_found_to_the_frame_where_frames_are_passed_over(detector, size):
    one = [pasted(backdrop(360, 640, 0), head_of(astronaut()), 60 + 2 * t, 80) for t in range(7)]
    two = [
        pasted(backdrop(360, 640, 9), head_of(other_person(), mirrored=True), 400 - t, 80) for t in range(5)
    ]
    faces = run(FaceTracker(detector, detect_every=24, stride=4), one + two, size)
    found = {(face.frame_index, face.track_id) for face in faces}
    assert found == {(0, 0), (4, 0), (5, 0), (6, 0), (7, 1), (8, 1)}


def test_a_face_that_appears_is_found_within_the_second(detector):
    empty = backdrop(360, 640)
    shown = pasted(empty, head_of(astronaut()), 200, 80)
    faces = run(FaceTracker(detector, detect_every=25, stride=2), [empty] * 6 + [shown] * 30)
    assert min(face.frame_index for face in faces) <= 6 + 25


def test_crossing_faces_keep_their_identities(detector):
    ground = backdrop(360, 640)
    front, behind = head_of(astronaut()), head_of(other_person(), mirrored=True)
    xs = [(20 + 9 * t, 460 - 9 * t) for t in range(50)]
    frames = [pasted(pasted(ground, behind, b, 90), front, a, 80) for a, b in xs]
    faces = run(FaceTracker(detector), frames)
    first = {f.track_id: f.box[[0, 2]].mean() for f in faces if f.frame_index == 0}
    last = {f.track_id: f.box[[0, 2]].mean() for f in faces if f.frame_index == 49}
    assert sorted(first) == [0, 1]
    assert set(last) == {0, 1}
    for track, x in first.items():
        assert (x < 320) == (last[track] > 320)
    for face in faces:
        a, b = xs[face.frame_index]
        centre = (a if first[face.track_id] < 320 else b) + 80
        assert abs(face.box[[0, 2]].mean() - centre) < 35


def test_a_cut_starts_new_tracks(detector):
    one = [pasted(backdrop(360, 640, 0), head_of(astronaut()), 60 + 2 * t, 80) for t in range(12)]
    two = [
        pasted(backdrop(360, 640, 9), head_of(other_person(), mirrored=True), 400 - t, 80) for t in range(12)
    ]
    tracker = FaceTracker(detector)
    faces = run(tracker, one + two)
    assert tracker.track_count == 2
    assert {(f.frame_index >= 12, f.track_id) for f in faces} == {(False, 0), (True, 1)}
    assert len(faces) == 24


def test_another_person_in_the_same_place_is_another_track(detector):
    ground = backdrop(360, 640)
    one = [pasted(ground, head_of(astronaut()), 200, 80)] * 12
    two = [pasted(ground, head_of(other_person(), mirrored=True), 200, 80)] * 12
    faces = run(FaceTracker(detector), one + two)
    assert {(f.frame_index >= 12, f.track_id) for f in faces} == {(False, 0), (True, 1)}


@pytest.mark.parametrize(("away", "tracks"), [(12, 1), (45, 2)])
def test_a_face_that_returns_soon_is_the_same_track(detector, away, tracks):
    empty = backdrop(360, 640)
    shown = [pasted(empty, head_of(astronaut()), 200, 80)] * 10
    tracker = FaceTracker(detector)
    faces = run(tracker, shown + [empty] * away + shown)
    assert tracker.track_count == tracks
    assert not [f for f in faces if 10 <= f.frame_index < 10 + away]
    assert {f.track_id for f in faces if f.frame_index == 19 + away} == {tracks - 1}


def test_a_flash_does_not_split_a_track(detector):
    frames, _ = pan(24)
    frames[9] = np.full_like(frames[9], 255)
    frames[17] = (frames[17] * 0.5 + 120).astype(np.uint8)
    tracker = FaceTracker(detector)
    faces = run(tracker, frames)
    assert tracker.track_count == 1
    assert len(faces) >= 23


def test_a_picture_gives_its_faces():
    weak = Detection(np.array([181, 63, 264, 172], np.float32), np.ones((5, 2), np.float32) * 9, 0.92)
    (face,) = FaceTracker(Scripted(weak)).update(chunk([astronaut()]))
    assert (face.track_id, face.detected, face.time_s) == (0, True, 0.0)
    np.testing.assert_array_equal(face.points, weak.points)


def test_a_weak_detection_needs_a_second_one(detector):
    (real,) = detector.detect(astronaut()[None])[0]
    weak = Detection(real.box, real.points, 0.92)
    frames = [astronaut()] * 12
    faces = run(FaceTracker(Scripted(weak)), frames)
    assert [f.frame_index for f in faces] == [8, 9, 10, 11]

    class Once(Scripted):
        def detect(self, images, near=None):
            answer, self.faces = super().detect(images[:1]), []
            return answer + [[] for _ in images[1:]]

    assert run(FaceTracker(Once(weak)), frames) == []


def test_a_check_that_misses_a_face_becomes_a_full_look(detector):
    frames, _ = pan(16)

    class Blind(Counting):
        def detect(self, images, near=None):
            found = super().detect(images, near)
            return found if near is None else [[] for _ in images]

    counting = Blind(detector)
    faces = run(FaceTracker(counting, detect_every=8), frames)
    assert {face.track_id for face in faces} == {0} and len(faces) == 16
    assert (counting.frames, counting.checks) == (4, 2)
    assert [face.frame_index for face in faces if face.detected] == [0, 4, 8, 12]


def test_who_joins_a_new_shot_is_found_by_its_second_look(detector):
    alone = pasted(backdrop(360, 640), head_of(astronaut()), 60, 80)
    both = pasted(alone, head_of(other_person()), 400, 90)
    faces = run(FaceTracker(detector, detect_every=24), [alone] * 3 + [both] * 15)
    first = {track: min(f.frame_index for f in faces if f.track_id == track) for track in (0, 1)}
    assert first == {0: 0, 1: 12}


def test_nobody_to_check_is_looked_for_everywhere():
    counting = Counting(Scripted())
    assert run(FaceTracker(counting, detect_every=8), [backdrop(360, 640)] * 16) == []
    assert (counting.frames, counting.checks) == (4, 0)


def test_the_largest_faces_win():
    def face(x, side):
        box = np.array([x, 100, x + side, 100 + side], np.float32)
        points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * side + [x, 100]
        return Detection(box, points.astype(np.float32), 0.99)

    found = sorted((face(120 * k, 40 + 12 * k) for k in range(5)), key=lambda d: -d.box[2] + d.box[0])
    faces = FaceTracker(Scripted(*found), max_faces=2).update(chunk([backdrop(360, 640)] * 2))
    assert {round(float(f.box[2] - f.box[0])) for f in faces} == {88, 76}
    with pytest.raises(ValueError, match="max_faces"):
        FaceTracker(Scripted(), max_faces=0)


def test_clips_without_faces_and_changes_of_size(detector):
    tracker = FaceTracker(detector)
    assert tracker.update(chunk([backdrop(180, 320)] * 5)) == []
    assert tracker.update(chunk([np.zeros((90, 160, 3), np.uint8)] * 3, first=5)) == []
    assert len(tracker.update(chunk([astronaut()] * 3, first=8))) >= 1
    assert tracker.track_count == 1


def test_pans_zooms_and_flashes_are_no_cuts():
    cuts = CutDetector()
    frames, _ = pan(12)
    assert {cuts.update(frame) for frame in frames} == {"none"}
    assert cuts.update(np.full_like(frames[0], 255)) == "none"
    assert cuts.update(cv2.convertScaleAbs(frames[-1], alpha=0.6, beta=90)) != "cut"
    assert cuts.update(frames[-1]) == "none"
    assert cuts.update(backdrop(360, 640, 3)) == "cut"


def test_real_clips_have_few_tracks(detector):
    root = Path(__file__).parents[2]
    corpus = Path(os.environ.get("VIDSCAN_CORPUS", root / ".." / "shared" / "corpus"))
    clips = sorted((corpus / "behavior").glob("*.mp4"))[:1]
    if not clips:
        pytest.skip("no corpus (VIDSCAN_CORPUS)")
    capture = cv2.VideoCapture(str(clips[0]))
    frames = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(40)]
    tracker = FaceTracker(detector)
    faces = run(tracker, frames)
    assert tracker.track_count == 1
    assert len(faces) == 40

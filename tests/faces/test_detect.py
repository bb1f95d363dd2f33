from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import chain

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vidscan.errors import WeightsError
from vidscan.faces import mtcnn
from vidscan.faces.detect import load_detector
from vidscan.faces.geometry import smallest_face_px
from vidscan.faces.mtcnn import Networks
from vidscan.models import load_registry

from .scenes import astronaut, backdrop, head_of, other_person, pasted


def test_finds_the_face_and_its_points(detector):
    (face,) = detector.detect(astronaut()[None])[0]
    assert face.confidence > 0.95
    assert face.box.dtype == face.points.dtype == np.float32
    np.testing.assert_allclose(face.box, [181, 63, 264, 172], atol=8)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def test_known_faces_are_found_again_where_they_are_about(detector):
    image = pasted(pasted(backdrop(360, 640), head_of(astronaut()), 60, 80), head_of(other_person()), 400, 90)
    full = detector.detect(image[None])[0]
    assert len(full) == 2
    about = np.stack([face.box for face in full]) + np.array([9, -7, 9, -7], np.float32)
    frames = np.stack([image, backdrop(360, 640)])
    near, nobody = detector.detect(frames, about)
    assert nobody == []
    for face, again in zip(full, near, strict=True):
        side = np.sqrt(np.prod(face.box[2:] - face.box[:2]))
        assert np.abs(face.points - again.points).max() < 0.06 * side
        assert np.abs(face.box - again.box).max() < 0.12 * side
    (one,) = detector.detect(image[None], about[1:])[0]
    np.testing.assert_allclose(one.points, near[1].points, atol=1e-2)


@pytest.mark.parametrize("zoom", [0.5, 1.5, 3.0])
def test_coordinates_scale_with_the_picture(detector, zoom):
    image = astronaut()
    (face,) = detector.detect(image[None])[0]
    scaled = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    (again,) = detector.detect(scaled[None])[0]
    np.testing.assert_allclose((again.points + 0.5) / zoom - 0.5, face.points, atol=4.0)


def test_points_are_in_pixel_centres(detector):
    # A mirrored picture gives the mirrored face: no shift to one side beyond the noise.
    image = astronaut()
    (face,) = detector.detect(image[None])[0]
    (mirror,) = detector.detect(np.ascontiguousarray(image[None, :, ::-1]))[0]
    shift = (face.points[:, 0].mean() + mirror.points[:, 0].mean() - 511) / 2
    assert abs(shift) < 2.0


def test_the_smallest_face_of_interest_is_found(detector):
    width, height = 1280, 720
    side = smallest_face_px(width, height)
    assert side == 60
    assert smallest_face_px(320, 240) == 40
    zoom = 1.15 * side / 95  # of the box's 83 x 109
    head = cv2.resize(head_of(astronaut()), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    frame = pasted(backdrop(height, width), head, 900, 400)
    faces = detector.detect(frame[None])[0]
    assert len(faces) == 1
    centre = (faces[0].box[:2] + faces[0].box[2:]) / 2
    np.testing.assert_allclose(centre, [900 + 80 * zoom, 400 + 108 * zoom], atol=8)


def test_a_batch_with_none_one_and_two_faces(detector):
    empty = backdrop(400, 640)
    one = pasted(empty, head_of(astronaut()), 60, 100)
    two = pasted(one, head_of(other_person(), mirrored=True), 400, 100)
    batch = np.stack([empty, one, two, empty])
    found = detector.detect(batch)
    assert [len(faces) for faces in found] == [0, 1, 2, 0]
    again = detector.detect(batch)
    for first, second in zip(chain(*found), chain(*again), strict=True):
        np.testing.assert_array_equal(first.box, second.box)
        np.testing.assert_array_equal(first.points, second.points)
    # Batching changes nothing but the last bits.
    (alone,) = detector.detect(one[None])[0]
    np.testing.assert_allclose(alone.points, found[1][0].points, atol=0.05)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_frames_have_no_face(detector, value):
    assert detector.detect(np.full((3, 180, 320, 3), value, np.uint8)) == [[], [], []]


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (20, 400), (23, 23), (24, 24), (25, 700)])
def test_tiny_frames_have_no_face(detector, shape):
    rng = np.random.default_rng(1)
    assert detector.detect(rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)) == [[], []]


def test_no_frames_and_wrong_frames(detector):
    assert detector.detect(np.zeros((0, 90, 160, 3), np.uint8)) == []
    for wrong in (np.zeros((90, 160, 3), np.uint8), np.zeros((1, 90, 160, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            detector.detect(wrong)


def test_a_grey_picture_still_shows_its_face(detector):
    grey = np.repeat(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert len(detector.detect(grey[None])[0]) == 1


def test_boxes_are_those_of_facenet_pytorch():
    """The cascade and the weights are the stock ones, to the bit; the layout in memory costs 1e-4 px."""
    one = pasted(backdrop(400, 640), head_of(astronaut()), 60, 100)
    image = np.stack([pasted(one, head_of(other_person(), mirrored=True), 400, 100)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickled weights
        import facenet_pytorch

        stock = facenet_pytorch.MTCNN(keep_all=True, min_face_size=20).eval()
    boxes, confidence, points = stock.detect(image, landmarks=True)
    ours = load_detector()
    ((found, five, sure),) = ours._run(image)
    np.testing.assert_allclose(found, boxes[0].astype(np.float64), atol=1e-3)
    plain = Networks()
    plain.load_state_dict(ours.record.load())
    ours.networks = plain.eval().requires_grad_(False)

    def laid_out_as_stock(pixels: torch.Tensor) -> torch.Tensor:
        """The one frame as it lies in memory, crops plane by plane."""
        scaled = (pixels - 127.5) * 0.0078125
        return scaled if len(scaled) == 1 else scaled.contiguous()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mtcnn, "_normalised", laid_out_as_stock)
        ((found, five, sure),) = ours._run(image)
    assert len(found) == 2
    order = np.argsort(-np.prod(found[:, 2:] - found[:, :2], axis=1))
    np.testing.assert_array_equal(found[order], boxes[0].astype(np.float64))
    np.testing.assert_array_equal(five[order], points[0].astype(np.float64))
    np.testing.assert_array_equal(sure[order], confidence[0].astype(np.float64))


def test_candidates_outside_their_frame_are_dropped():
    boxes = torch.tensor([[-30.0, 5, -2, 33], [5, 5, 25, 25], [90, 70, 130, 110]])
    frames = mtcnn._Sums(np.zeros((1, 60, 80, 3), np.uint8), torch.device("cpu"))
    kept, image, crops = frames.crops(boxes, torch.zeros(3, dtype=torch.long), 24)
    assert kept.tolist() == [[5, 5, 25, 25]] and image.tolist() == [0] and crops.shape == (1, 3, 24, 24)


def test_averages_from_running_sums_are_those_of_torch():
    frames = np.random.default_rng(2).integers(0, 256, (2, 61, 83, 3), dtype=np.uint8)
    sums = mtcnn._Sums(frames, torch.device("cpu"))
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float().contiguous()
    for size in ((61, 83), (44, 60), (13, 17)):
        assert torch.equal(sums.scaled(size), F.interpolate(pixels, size=size, mode="area"))
    boxes = torch.tensor([[1.0, 1, 61, 61], [20.6, 7.2, 31.9, 18.5], [40, 30, 83, 61]])
    _, _, crops = sums.crops(boxes, torch.tensor([0, 1, 1]), 24)
    for crop, frame, (x, y, right, bottom) in zip(
        crops, (0, 1, 1), ((0, 0, 61, 61), (19, 6, 31, 18), (39, 29, 83, 61)), strict=True
    ):
        part = pixels[frame : frame + 1, :, y:bottom, x:right]
        assert torch.equal(crop, F.interpolate(part, size=(24, 24), mode="area")[0])


@pytest.mark.parametrize("change", [{"architecture": "other"}, {"thresholds": [0.6]}, {"factor": "wide"}])
def test_records_that_do_not_fit_are_refused(change):
    record = load_registry().get("detector")
    with pytest.raises(WeightsError, match="mtcnn"):
        load_detector(replace(record, settings=record.settings | change))


def test_the_package_imports_nothing_heavy():
    code = "import sys, vidscan.faces; print('torch' in sys.modules or 'cv2' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )

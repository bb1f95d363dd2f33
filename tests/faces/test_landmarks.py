"""Reading faces: shapes, geometry between crop and frame, lost frames, and series made of the readings."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec, apply_affine, invert_affine, similarity
from vidscan.faces.face_model import FACE_MODEL
from vidscan.faces.landmark_network import (
    GAZE_SCALE,
    MARGIN,
    SIZE,
    LandmarkNetwork,
    NetworkOutput,
    rotation_from_six,
)
from vidscan.faces.landmarks import FaceReadings, LandmarkReader, SeriesBuilder, five_points
from vidscan.faces.rotation import angle_between, rotation_matrix
from vidscan.faces.units import UNITS
from vidscan.models import ModelRecord, register
from vidscan.types import Face

OWN = [field.name for field in fields(FaceReadings) if field.name != "shut"]
"""What the landmark network reads; the eye-state network adds the rest."""

SETTINGS = {"kind": "landmarks", "crop": {"size": 112, "margin": 1.45}, "units": list(UNITS)}
SPEC = CropSpec(SIZE, MARGIN)
FACE_SIDE = SIZE / MARGIN
_FIT = similarity(five_points(FACE_MODEL[None]), SPEC.points)
IN_CROP = apply_affine(_FIT, FACE_MODEL[None, :, :2])[0]
"""(68, 2) a face that lies in the middle of its crop."""
DEPTH = FACE_MODEL[:, 2] * 50 + 7
FRAME = np.zeros((1, 60, 80, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> LandmarkNetwork:
    torch.manual_seed(0)
    return LandmarkNetwork().eval()


@pytest.fixture(scope="module")
def record(network: LandmarkNetwork, tmp_path_factory: pytest.TempPathFactory) -> ModelRecord:
    return register(tmp_path_factory.mktemp("weights"), "tiny", network.state_dict(), SETTINGS)


def placement(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    """(1, 2, 3) from crop to frame: turned by degrees (clockwise) and enlarged about the crop's center."""
    linear = scale * rotation_matrix(np.array([0, 0, angle]))[:2, :2]
    centre = np.full(2, (SIZE - 1) / 2)
    return np.concatenate([linear, (np.array([x, y]) - linear @ centre)[:, None]], 1)[None]


def face_at(to_frame: np.ndarray, frame: int = 0) -> Face:
    """The face that the tracker would hand over where ``IN_CROP`` lies so in the frame."""
    points = apply_affine(to_frame, five_points(IN_CROP[None]))[0]
    half = FACE_SIDE / 1.23 / 2 * np.hypot(*to_frame[0, :, 0])
    middle = points.mean(0)
    box = np.concatenate([middle - half, middle + half])
    return Face(frame, frame / 25, 3, box.astype(np.float32), points.astype(np.float32), 0.9, True)


def answer(count: int, rotation: np.ndarray | None = None, confidence: float = 5.0) -> NetworkOutput:
    """What a perfect network says of ``IN_CROP``; landmarks in crop pixels."""
    places = np.concatenate([IN_CROP, DEPTH[:, None]], 1)
    turn = np.eye(3) if rotation is None else rotation
    return NetworkOutput(
        landmarks=torch.tensor(places).float().repeat(count, 1, 1),
        units=torch.linspace(-1, 6, len(UNITS)).repeat(count, 1),
        openness=torch.tensor([[-0.2, 1.3]]).repeat(count, 1),
        gaze=torch.tensor([[[0.5, -0.25], [0.1, 1.0]]]).repeat(count, 1, 1),
        rotation=torch.tensor(turn).float().repeat(count, 1, 1),
        confidence=torch.full((count,), confidence),
    )


class Told(LandmarkReader):
    """A reader whose network says what it is told to."""

    said: NetworkOutput

    def output(self, crops: torch.Tensor) -> NetworkOutput:
        return replace(self.said)


class Seeing(LandmarkReader):
    """A reader that sees where it is: red and green are x and y of the frame, where ``truth`` lies."""

    truth: np.ndarray
    sure: torch.Tensor
    middles: list[np.ndarray]

    def output(self, crops: torch.Tensor) -> NetworkOutput:
        axis = np.arange(40, 72)
        places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        truth = np.concatenate([self.truth, np.ones((68, 1))], 1)
        where = crops[:, :2, 40:72, 40:72].flatten(2).transpose(1, 2).double().numpy()
        ones = np.ones((len(places), 1))
        out = answer(len(crops))
        for i, seen in enumerate(where):
            back = np.linalg.lstsq(np.concatenate([seen, ones], 1), places, rcond=None)[0]
            out.landmarks[i, :, :2] = torch.from_numpy(truth @ back)
        out.confidence[:] = self.sure[: len(crops)]
        self.middles.append(where.mean(1))
        return out


def gradient_frame() -> np.ndarray:
    y, x = np.mgrid[:240, :240]
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)[None]


# --------------------------------------------------------------------------- network


def test_output_shapes(network: LandmarkNetwork) -> None:
    out = network(255 * torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)))
    shapes = {name: tuple(getattr(out, name).shape) for name in NetworkOutput.__dataclass_fields__}
    assert shapes == {
        "landmarks": (3, 68, 3),
        "units": (3, 17),
        "openness": (3, 2),
        "gaze": (3, 2, 2),
        "rotation": (3, 3, 3),
        "confidence": (3,),
    }


def test_every_weight_learns() -> None:
    torch.manual_seed(0)
    net = LandmarkNetwork()
    out = net(255 * torch.rand(2, 3, SIZE, SIZE))
    loss = sum((getattr(out, name) ** 3).sum() for name in NetworkOutput.__dataclass_fields__)
    loss.backward()  # type: ignore[union-attr]
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_six_numbers_make_a_rotation() -> None:
    assert torch.equal(rotation_from_six(torch.zeros(1, 6))[0], torch.eye(3))
    found = rotation_from_six(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double()).numpy()
    assert found @ found.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (50, 1, 1)), abs=1e-6)
    assert np.linalg.det(found) == pytest.approx(1, abs=1e-6)


# --------------------------------------------------------------------------- reader


def test_readings_of_a_random_network(record: ModelRecord) -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), np.uint8)
    faces = [face_at(placement(5, 0.5, 40, 30), i) for i in (0, 1, 1)]
    found = LandmarkReader(record).read(images, np.array([0, 1, 1]), faces)
    shapes = {name: getattr(found, name).shape[1:] for name in OWN}
    assert shapes == {
        "landmarks": (68, 3),
        "confidence": (),
        "units": (17,),
        "openness": (2,),
        "rotation": (3,),
        "gaze": (2, 2),
        "texture": (2, 3, 2),
    }
    assert all(getattr(found, name).dtype == np.float32 for name in OWN)
    assert found.shut is None and found.rows([0]).shut is None
    assert len(found.rows([2, 0]).landmarks) == 2
    assert np.array_equal(found.rows([2, 0]).confidence, found.confidence[[2, 0]])


def test_the_reader_says_what_the_network_says(network: LandmarkNetwork, record: ModelRecord) -> None:
    crops = 255 * torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        plain = network(crops)
    for batch in (2, 32):
        out = LandmarkReader(record, batch=batch).output(crops)
        assert torch.allclose(out.units, plain.units, atol=1e-3)
        assert torch.allclose(out.rotation, plain.rotation, atol=1e-4)
        assert torch.allclose(out.landmarks[..., :2], plain.landmarks[..., :2] * 112 + 55.5, atol=1e-2)
        assert torch.allclose(out.landmarks[..., 2], plain.landmarks[..., 2] * 112, atol=1e-2)


@pytest.mark.parametrize("sure", [False, True])
def test_a_face_that_is_not_seen_is_lost(sure: bool, network: LandmarkNetwork, tmp_path: Path) -> None:
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    tensors["state.2.weight"][-1] = 0
    tensors["state.2.bias"][-1] = 9.0 if sure else -9.0
    reader = LandmarkReader(register(tmp_path, "set", tensors, SETTINGS))
    found = reader.read(FRAME, np.zeros(1, np.int64), [face_at(placement(0, 0.4, 40, 30))])
    assert found.confidence == pytest.approx(1.0 if sure else 0.0, abs=1e-3)
    for name in set(OWN) - {"confidence"}:
        value = getattr(found, name)
        assert np.isfinite(value).all() if sure else np.isnan(value).all(), name


def test_a_lost_face_leaves_the_others_alone(record: ModelRecord) -> None:
    reader = Told(record)
    reader.said = answer(3)
    reader.said.confidence[1] = -3
    faces = [face_at(placement(0, 0.4, 40, 30))] * 3
    found = reader.read(FRAME, np.zeros(3, np.int64), faces)
    assert np.isnan(found.units).all(1).tolist() == [False, True, False]
    assert np.isfinite(found.landmarks[[0, 2]]).all()


@settings(max_examples=15, deadline=None)
@given(
    st.floats(-170, 170),
    st.floats(0.3, 3),
    st.floats(-20, 100),
    st.floats(-20, 80),
    st.tuples(st.floats(-40, 40), st.floats(-60, 60), st.floats(-80, 80)),
)
def test_crop_readings_are_brought_to_the_frame(
    record: ModelRecord, angle: float, scale: float, x: float, y: float, pose: tuple[float, float, float]
) -> None:
    to_frame = placement(angle, scale, x, y)
    # The head's rotation in the frame is given; in the turned crop it is seen turned back.
    head = rotation_matrix(np.array(pose))
    reader = Told(record)
    reader.said = answer(1, rotation_matrix(np.array([0, 0, -angle])) @ head)
    found = reader.read(FRAME, np.zeros(1, np.int64), [face_at(to_frame)])
    assert found.landmarks[0, :, :2] == pytest.approx(apply_affine(to_frame, IN_CROP)[0], abs=0.02)
    assert found.landmarks[0, :, 2] == pytest.approx((DEPTH - DEPTH.mean()) * scale, abs=0.02)
    assert angle_between(rotation_matrix(found.rotation[0]), head) == pytest.approx(0, abs=0.05)


def test_values_are_in_their_units_and_ranges(record: ModelRecord) -> None:
    reader = Told(record)
    reader.said = answer(1)
    found = reader.read(FRAME, np.zeros(1, np.int64), [face_at(placement(30, 0.5, 40, 30))])
    assert found.gaze[0] == pytest.approx(GAZE_SCALE * np.array([[0.5, -0.25], [0.1, 1.0]]))
    assert found.openness[0] == pytest.approx([0, 1])
    assert found.units[0] == pytest.approx(np.linspace(-1, 6, 17).clip(0, 5), abs=1e-5)


def test_a_face_off_the_middle_of_its_crop_is_cut_once_more(record: ModelRecord) -> None:
    true = placement(0, 0.9, 120, 118)
    loose = placement(18, 1.1, 130, 110)
    reader = Seeing(record)
    reader.truth, reader.middles = apply_affine(true, IN_CROP)[0], []
    reader.sure = torch.tensor([5.0, 5.0])
    found = reader.read(gradient_frame(), np.zeros(2, np.int64), [face_at(true), face_at(loose)])
    assert [len(m) for m in reader.middles] == [2, 1]
    assert reader.middles[0][1] == pytest.approx([130, 110], abs=1)
    assert reader.middles[1][0] == pytest.approx([120, 118], abs=1)
    for landmarks in found.landmarks:
        assert landmarks[:, :2] == pytest.approx(reader.truth, abs=1)
    # Both were read in an upright crop.
    assert found.rotation == pytest.approx(0, abs=1)


def test_where_there_is_no_face_nothing_is_followed(record: ModelRecord) -> None:
    reader = Seeing(record)
    reader.truth, reader.middles = apply_affine(placement(0, 0.9, 120, 118), IN_CROP)[0], []
    reader.sure = torch.tensor([-5.0])
    found = reader.read(gradient_frame(), np.zeros(1, np.int64), [face_at(placement(18, 1.1, 130, 110))])
    assert len(reader.middles) == 1
    assert np.isnan(found.landmarks).all()


@pytest.mark.parametrize(
    "change",
    [
        {"crop": None},
        {"crop": {"size": 112}},
        {"crop": {"size": 112, "margin": -1}},
        {"crop": {"size": 128, "margin": 1.45}},
        {"crop": {"size": "112", "margin": 1.45}},
        {"units": list(UNITS)[::-1]},
        {"units": None},
    ],
    ids=repr,
)
def test_a_damaged_record_is_refused(record: ModelRecord, change: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="record of tiny does not fit") as caught:
        LandmarkReader(replace(record, settings=record.settings | change))
    assert caught.value.code == "weights"


def test_missing_settings_and_other_weights_are_refused(record: ModelRecord, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit"):
        LandmarkReader(replace(record, settings={"kind": "landmarks"}))
    other = register(tmp_path, "other", {"weight": torch.zeros(3)}, SETTINGS)
    with pytest.raises(WeightsError, match="other does not fit"):
        LandmarkReader(other)


# --------------------------------------------------------------------------- five points


def test_five_points_are_eyes_nose_and_mouth_corners() -> None:
    points = np.zeros((1, 68, 3))
    points[0, :, 0] = np.arange(68)
    points[0, 36:42, 1] = [0, -1, -1, 0, 1, 1]
    found = five_points(points)
    assert found.shape == (1, 5, 2)
    assert found[0, :, 0].tolist() == [38.5, 44.5, 30, 48, 54]
    assert found[0, 0, 1] == 0


@given(st.floats(-180, 180), st.floats(0.1, 10), st.floats(-500, 500), st.floats(-500, 500))
def test_five_points_move_with_the_face(angle: float, scale: float, x: float, y: float) -> None:
    move = placement(angle, scale, x, y)
    moved = five_points(apply_affine(move, IN_CROP[None]))
    assert apply_affine(invert_affine(move), moved) == pytest.approx(five_points(IN_CROP[None]), abs=1e-6)


# --------------------------------------------------------------------------- series


def rows_of(first: int, count: int) -> tuple[list[Face], FaceReadings]:
    """Faces of consecutive frames whose readings all hold the frame's number."""
    faces = [face_at(placement(0, 1, 40, 40), i) for i in range(first, first + count)]
    shapes = [(68, 3), (), (17,), (2,), (3,), (2, 2), (2, 3, 2), (2,)]
    number = np.arange(first, first + count, dtype=np.float32)
    values = [np.broadcast_to(number.reshape(-1, *[1] * len(s)), (count, *s)).copy() for s in shapes]
    return faces, FaceReadings(*values)


def test_a_series_holds_what_was_added_in_order() -> None:
    builder = SeriesBuilder()
    for first, count in ((0, 4), (4, 1), (7, 3)):
        builder.add(*rows_of(first, count))
    series = builder.series(9)
    assert series.track_id == 9
    assert series.frames.tolist() == [0, 1, 2, 3, 4, 7, 8, 9]
    assert series.times == pytest.approx(series.frames / 25)
    for name in (f.name for f in fields(FaceReadings)):
        value = getattr(series, name).reshape(len(series.frames), -1)
        assert (value == series.frames[:, None]).all(), name


def test_a_series_lacks_what_no_reading_has() -> None:
    builder = SeriesBuilder()
    for first in (0, 4):
        faces, readings = rows_of(first, 4)
        builder.add(faces, replace(readings, shut=None))
    series = builder.series(0)
    assert series.shut is None and len(series.openness) == 8


@pytest.mark.parametrize(("frame", "kept"), [(0, 0), (4, 0), (4.5, 5), (9, 5), (10, 10), (14, 10), (99, 10)])
def test_readings_that_end_before_a_time_are_dropped(frame: float, kept: int) -> None:
    builder = SeriesBuilder()
    for first in (0, 5, 10):
        builder.add(*rows_of(first, 5))
    builder.forget_before(frame / 25)
    series = builder.series(0)
    assert series.frames.tolist() == list(range(kept, 15))
    assert series.landmarks[:, 0, 0].tolist() == list(range(kept, 15))
    builder.add(*rows_of(15, 2))
    assert builder.series(0).frames.tolist() == list(range(kept, 17))

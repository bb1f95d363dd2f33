import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidscan.faces.face_model import FACE_MODEL, OUTER_EYE_CORNERS
from vidscan.faces.rotation import angle_between, euler_degrees, rotation_matrix

angle = st.floats(-180, 180)
poses = st.tuples(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179)).map(np.array)


@given(poses)
def test_angles_round_trip(degrees: np.ndarray) -> None:
    assert euler_degrees(rotation_matrix(degrees)) == pytest.approx(degrees, abs=1e-6)


@given(angle, st.sampled_from([90.0, -90.0]), angle)
def test_a_face_in_profile_keeps_its_rotation(pitch: float, yaw: float, roll: float) -> None:
    matrix = rotation_matrix(np.array([pitch, yaw, roll]))
    found = euler_degrees(matrix)
    assert found[2] == 0
    assert rotation_matrix(found) == pytest.approx(matrix, abs=1e-7)


@given(st.tuples(angle, angle, angle).map(np.array))
def test_matrices_are_rotations(degrees: np.ndarray) -> None:
    matrix = rotation_matrix(degrees)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(
    ("degrees", "axis", "sign"),
    [([20, 0, 0], 1, 1), ([0, 20, 0], 0, -1)],
    ids=["pitch looks down", "yaw turns the nose to the left"],
)
def test_signs_of_pitch_and_yaw(degrees: list[float], axis: int, sign: int) -> None:
    nose = rotation_matrix(np.array(degrees)) @ [0, 0, -1]
    assert sign * nose[axis] == pytest.approx(np.sin(np.radians(20)))


def test_roll_is_clockwise_in_the_image() -> None:
    right_eye = rotation_matrix(np.array([0, 0, 30])) @ [1, 0, 0]
    assert right_eye[1] == pytest.approx(0.5)


@given(poses, st.floats(0, 179.9), st.integers(0, 2))
def test_angle_of_a_turn_about_one_axis(degrees: np.ndarray, turn: float, axis: int) -> None:
    first = rotation_matrix(degrees)
    second = first @ rotation_matrix(turn * np.eye(3)[axis])
    assert angle_between(first, second) == pytest.approx(turn, abs=1e-5)


def test_small_angles_keep_their_digits() -> None:
    turn = rotation_matrix(np.array([[0, 0, 1e-6], [0, 0, 0]]))
    assert angle_between(turn[0], turn[1]) == pytest.approx(1e-6, rel=1e-6)


def test_the_face_model_is_a_face() -> None:
    left, right = FACE_MODEL[list(OUTER_EYE_CORNERS)]
    assert right - left == pytest.approx([1, 0, 0], abs=1e-3)
    assert FACE_MODEL.mean(axis=0) == pytest.approx(0, abs=1e-3)
    # The nose points to the camera, the chin is below the brows, the ears are behind the eyes.
    assert FACE_MODEL[30, 2] == FACE_MODEL[:, 2].min()
    assert FACE_MODEL[8, 1] == FACE_MODEL[:, 1].max()
    assert min(FACE_MODEL[[0, 16], 2]) > max(FACE_MODEL[36:48, 2])
    # A mirrored jaw is the jaw.
    assert FACE_MODEL[16::-1][:17] * [-1, 1, 1] == pytest.approx(FACE_MODEL[:17], abs=1e-3)

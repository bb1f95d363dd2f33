import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.behavior.moving_face import CENTRE, DISTANCE, FOCAL, lose, nodding, project, splice
from tests.series import make_series
from vidscan.behavior.head_pose import (
    CENTRAL,
    FEATURES,
    WHOLE,
    Camera,
    describe,
    solve,
    translation,
)
from vidscan.faces.rotation import angle_between, euler_degrees, rotation_matrix

CAMERA = Camera(FOCAL, CENTRE)
poses = st.tuples(st.floats(-35, 35), st.floats(-50, 50), st.floats(-40, 40)).map(np.array)


def test_the_points_are_the_papers() -> None:
    assert [i + 1 for i in WHOLE] == [*range(1, 37), 49, 55]
    assert [i + 1 for i in CENTRAL] == [*range(18, 37), 49, 55]


@given(pose=poses, x=st.floats(-2, 2), y=st.floats(-1, 1), z=st.floats(5, 30))
@settings(max_examples=30, deadline=None)
def test_a_known_pose_is_found(pose: np.ndarray, x: float, y: float, z: float) -> None:
    found = solve(project(pose[None], (x, y, z)), CAMERA)
    assert euler_degrees(found.rotation[0]) == pytest.approx(np.stack([pose, pose]), abs=0.01)
    assert found.translation[0] == pytest.approx(np.array([[x, y, z]] * 2), abs=0.01)
    assert found.angle[0] < 0.01 and found.direction[0] < 0.01


def test_noise_of_half_a_pixel_moves_the_pose_by_half_a_degree() -> None:
    rng = np.random.default_rng(0)
    pose = rng.uniform([-20, -40, -20], [20, 40, 20], (60, 3))
    landmarks = project(pose)
    found = solve(landmarks + rng.normal(0, 0.5, landmarks.shape), CAMERA)
    error = angle_between(found.rotation, rotation_matrix(pose)[:, None])
    assert np.median(error[:, 0]) < 0.5
    assert np.median(error[:, 1]) < 1.0


def test_without_a_known_camera_the_pose_hardly_changes() -> None:
    pose = np.random.default_rng(1).uniform([-15, -30, -15], [15, 30, 15], (40, 3))
    found = solve(project(pose, (0.5, 0.3, DISTANCE)))
    error = angle_between(found.rotation[:, 0], rotation_matrix(pose))
    # What is left is the angle under which a camera that looks ahead sees a face beside its axis.
    assert error.max() < 5
    assert found.angle.max() < 1


def test_an_enlarged_and_cropped_frame_has_the_same_poses() -> None:
    landmarks = project(np.random.default_rng(2).uniform(-20, 20, (10, 3)))
    first, second = solve(landmarks), solve(landmarks * 2.5 - [300.0, 100.0, 0.0])
    assert second.rotation == pytest.approx(first.rotation, abs=1e-4)
    assert second.translation == pytest.approx(first.translation, abs=1e-2)


@pytest.mark.parametrize("turn", [[10.0, 0, 0], [0, -12.0, 0], [0, 0, 8.0]])
def test_another_poses_central_face_shows(turn: list[float]) -> None:
    pose = np.random.default_rng(3).uniform(-10, 10, (20, 3))
    genuine, spliced = solve(project(pose), CAMERA), solve(splice(pose, pose + turn), CAMERA)
    assert genuine.angle.max() < 0.05
    assert spliced.angle.min() > 2
    assert (np.linalg.norm(spliced.shift, axis=1) > np.linalg.norm(genuine.shift, axis=1)).all()


def test_the_papers_angle_does_not_see_turning_about_the_line_of_sight() -> None:
    facing = np.zeros((1, 3))
    rolled = solve(splice(facing, facing + np.array([0, 0, 10.0])), CAMERA)
    assert rolled.angle[0] > 3
    assert rolled.direction[0] < 0.3 * rolled.angle[0]


def test_lost_rows_stay_gaps() -> None:
    series = lose(nodding(1.0), slice(5, 8))
    poses = solve(series.landmarks)
    assert np.isnan(poses.angle[5:8]).all() and np.isnan(poses.direction[5:8]).all()
    assert np.isfinite(np.delete(poses.angle, [5, 6, 7])).all()
    assert np.isnan(translation(series)[5:8]).all()


def test_points_that_coincide_and_no_rows_have_no_pose() -> None:
    assert np.isnan(solve(np.full((2, 68, 3), 7.0)).rotation).all()
    assert np.isnan(solve(np.full((2, 68, 3), np.nan)).rotation).all()
    assert solve(np.empty((0, 68, 3))).rotation.shape == (0, 2, 3, 3)
    with pytest.raises(ValueError, match="no landmarks"):
        Camera.of_face(np.full((2, 68, 3), np.nan))


def test_translation_follows_the_head() -> None:
    place = (0.7, -0.4, 8.0)
    series = make_series(0.4, landmarks=project(np.zeros((10, 3)), place))
    assert translation(series, CAMERA) == pytest.approx(np.tile(place, (10, 1)), abs=0.01)


def test_describes_genuine_and_spliced_faces() -> None:
    series = nodding(6.0)
    pose = np.asarray(series.rotation, float)
    own = np.random.default_rng(5).permutation(pose)
    genuine = describe(series, CAMERA)
    shifted = describe(nodding(6.0, landmarks=splice(pose, pose + np.array([0, 8, 0]))), CAMERA)
    swapped = describe(nodding(6.0, landmarks=splice(pose, 0.5 * pose + 0.5 * own)), CAMERA)
    assert genuine is not None and shifted is not None and swapped is not None
    assert set(genuine) == set(FEATURES)
    for fake in (shifted, swapped):
        assert fake["head_pose_angle"] > 2 * genuine["head_pose_angle"]
    # A difference that stays the same is no wandering, and leaves the two poses coupled.
    assert swapped["head_pose_wander"] > 3 * shifted["head_pose_wander"]
    assert genuine["head_pose_coupling"] > 0.95 > swapped["head_pose_coupling"]
    assert genuine["head_pose_movement"] == pytest.approx(np.sqrt(pose.var(axis=0).sum()), rel=0.05)

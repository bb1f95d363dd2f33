"""What the teacher's face comes to: sides, signs, and units that grow with what they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidscan.faces.face_model import FACE_MODEL
from vidscan.faces.rotation import rotation_matrix
from vidscan.faces.units import UNIT_NAMES, UNITS
from vidscan.training.expression import (
    BLENDSHAPES_OF,
    GEOMETRIC,
    IBUG,
    Expression,
    expression,
    geometric_units,
)
from vidscan.training.teacher import BLENDSHAPES


def face(**values: float) -> Expression:
    """Targets of a resting face with some blendshapes."""
    shapes = np.zeros((1, len(BLENDSHAPES)))
    for name, value in values.items():
        shapes[0, BLENDSHAPES.index(name)] = value
    return expression(FACE_MODEL[None], shapes)


def moved(points: list[int], axis: int, by: float) -> np.ndarray:
    out = FACE_MODEL[None].copy()
    out[:, points, axis] += by
    return out


def test_the_right_eye_of_the_person_is_the_left_one_of_the_image() -> None:
    assert face(eyeBlinkRight=1).openness[0].tolist() == [0, 1]
    assert face(eyeBlinkLeft=0.75).openness[0].tolist() == [1, 0.25]
    assert face(eyeBlinkRight=1).gaze.tolist() == face().gaze.tolist() == [[[0, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("shapes", "gaze"),
    [
        # The person looks to the own right, which is the image's left.
        ({"eyeLookOutRight": 0.5, "eyeLookInLeft": 0.4}, [[0.5, 0], [0.4, 0]]),
        ({"eyeLookInRight": 0.5, "eyeLookOutLeft": 0.4}, [[-0.5, 0], [-0.4, 0]]),
        ({"eyeLookDownRight": 0.5, "eyeLookDownLeft": 0.4}, [[0, 0.5], [0, 0.4]]),
        ({"eyeLookUpRight": 0.5, "eyeLookUpLeft": 0.4}, [[0, -0.5], [0, -0.4]]),
        # Cross-eyed: both towards the nose.
        ({"eyeLookInRight": 0.5, "eyeLookInLeft": 0.5}, [[-0.5, 0], [0.5, 0]]),
    ],
)
def test_gaze_is_positive_to_the_image_left_and_down(shapes: dict[str, float], gaze: list) -> None:
    assert face(**shapes).gaze[0] == pytest.approx(np.array(gaze))


@pytest.mark.parametrize("unit", BLENDSHAPES_OF)
def test_blendshapes_raise_their_own_unit_alone(unit: int) -> None:
    rest = face().units[0]
    column = UNITS.index(unit)
    levels = [face(**dict.fromkeys(BLENDSHAPES_OF[unit], v)).units[0] for v in (0.1, 0.2, 1.0)]
    for level in levels:
        assert np.delete(level, column) == pytest.approx(np.delete(rest, column))
    assert 0 == rest[column] < levels[0][column] < levels[1][column] < levels[2][column] == 5


def test_one_side_of_a_unit_counts_half() -> None:
    column = UNITS.index(12)
    both = face(mouthSmileLeft=0.4, mouthSmileRight=0.4).units[0, column]
    assert face(mouthSmileLeft=0.4).units[0, column] == pytest.approx(both / 2)


def test_every_unit_is_measured_in_one_way() -> None:
    assert sorted([*BLENDSHAPES_OF, *GEOMETRIC]) == sorted(UNIT_NAMES)
    assert {name for names in BLENDSHAPES_OF.values() for name in names} <= set(BLENDSHAPES)


LOWER_LIP = [55, 56, 57, 58, 59, 65, 66, 67]


@pytest.mark.parametrize(
    ("unit", "points", "axis", "steps"),
    [
        (25, LOWER_LIP, 1, [-0.04, 0.0, 0.05, 0.1, 0.2]),
        # Lower lids come down to the mouth, the mouth's corners go up, and so do the nose's wings.
        (6, [40, 41, 46, 47], 1, [0.02, 0.05, 0.1, 0.15]),
        (6, [48, 54], 1, [-0.02, -0.05, -0.1, -0.15]),
        (9, [31, 35], 1, [-0.01, -0.03, -0.05, -0.08]),
        (15, [48, 54], 1, [0.02, 0.03, 0.05, 0.06]),
    ],
)
def test_geometric_units_grow_with_the_motion(
    unit: int, points: list[int], axis: int, steps: list[float]
) -> None:
    found = [float(geometric_units(moved(points, axis, step))[unit][0]) for step in steps]
    assert (np.diff(found) > 0).all(), found
    assert min(found) >= 0 and max(found) <= 5


def test_geometric_units_stay_within_0_and_5() -> None:
    gaps = np.concatenate([moved(LOWER_LIP, 1, step) for step in (-0.06, 0.9)])
    lips = geometric_units(gaps)[25]
    assert lips[0] < 0.1 and lips[1] == 5


@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.floats(1, 200),
    st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_geometric_units_do_not_depend_on_where_the_face_is(
    pose: tuple[float, ...], scale: float, shift: tuple[float, ...]
) -> None:
    points = moved(LOWER_LIP, 1, 0.1)
    points[:, [48, 54], 1] += 0.03
    placed = scale * points @ rotation_matrix(np.array(pose)).T + np.array(shift)
    before, after = geometric_units(points), geometric_units(placed)
    assert tuple(before) == GEOMETRIC
    for unit in GEOMETRIC:
        assert after[unit] == pytest.approx(before[unit], abs=1e-3)


def test_meshes_and_their_68_points_give_the_same() -> None:
    rng = np.random.default_rng(0)
    meshes = rng.uniform(0, 192, (3, 478, 3))
    shapes = rng.uniform(0, 1, (3, len(BLENDSHAPES)))
    whole, part = expression(meshes, shapes), expression(meshes[:, list(IBUG)], shapes)
    assert whole.landmarks.shape == (3, 68, 3)
    assert np.array_equal(whole.landmarks, part.landmarks)
    assert np.array_equal(whole.units, part.units)
    assert len(set(IBUG)) == 68
    assert {a.dtype for a in (whole.landmarks, whole.units, whole.openness, whole.gaze)} == {
        np.dtype("float32")
    }

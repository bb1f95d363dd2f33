"""Head pose from all landmarks and from the central face only, and how far the two disagree.

Yang, Li & Lyu, *Exposing Deep Fakes Using Inconsistent Head Poses* (ICASSP 2019): a face that was swapped
into another head carries the landmarks of its own pose in the middle, and the other head's at the rim. Either
pose is found from point correspondences with the average face (:mod:`vidscan.faces.face_model`) by OpenCV's
SQPNP, refined by Levenberg-Marquardt on the distances in the image. OpenCV's iterative solver alone, as in
the paper, starts from a linear solution that puts nearly flat point sets behind the camera.

Nobody's proportions are those of the average face, so that the two poses of a genuine face differ by a few
degrees, by much the same amount in every frame. What :func:`describe` gives therefore tells that constant
difference from its changes over time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.material import enough, inter_ocular
from vidscan.faces.face_model import FACE_MODEL
from vidscan.faces.rotation import angle_between, euler_degrees
from vidscan.types import FaceSeries

WHOLE: tuple[int, ...] = (*range(36), 48, 54)
"""Indices of iBUG 1-36, 49 and 55: outline, brows, nose and the corners of the mouth. Eyes and lips move."""
CENTRAL: tuple[int, ...] = (*range(17, 36), 48, 54)
"""Indices of iBUG 18-36, 49 and 55: the same without the outline."""

_AHEAD = np.array([0.0, 0.0, -1.0])
"""Where the average face looks."""
_FACE_DISTANCE = 10.0
"""Inter-ocular distances between an unknown camera and the face: some 90 cm."""
_STEADY_DEGREES = 1.0
"""Movement of the head below which coupling fades: it would be that of the landmarks' noise."""

FEATURES: dict[str, str] = {
    "head_pose_angle": "degrees, median angle between the whole and the central face's pose",
    "head_pose_angle_high": "degrees, 90th percentile of that angle",
    "head_pose_wander": "degrees, median angle between the relative rotation of the poses and its mean",
    "head_pose_direction": "degrees, median angle between the directions in which the two poses look",
    "head_pose_shift": "inter-ocular distances, median difference of the positions across the line of sight",
    "head_pose_depth": "median relative difference of the distances from the camera",
    "head_pose_coupling": "covariance of the two poses' angles over (variance + 1 square degree), -1..1",
    "head_pose_movement": "degrees, standard deviation of the whole face's pose over time",
}
"""Unit and meaning of what :func:`describe` gives."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera without distortion."""

    focal_px: float
    centre: tuple[float, float]
    """Principal point, x and y in pixels."""

    @classmethod
    def of_face(cls, landmarks: NDArray[np.floating]) -> Camera:
        """Where not even that is known: looks at the middle of where the face is, from ten inter-ocular
        distances (some 90 cm). Cropped and enlarged frames do not change what it sees.

        Parameters
        ----------
        landmarks
            (T, 68, 3) pixels; NaN rows are lost.

        Raises
        ------
        ValueError
            Where no row holds a face.
        """
        points = np.asarray(landmarks, np.float64)
        size = inter_ocular(points)
        known = np.isfinite(points).all(axis=(1, 2)) & (size > 0)
        if not known.any():
            raise ValueError("no landmarks to set a camera by")
        flat = points[known, :, :2]
        x, y = np.median((flat.min(axis=1) + flat.max(axis=1)) / 2, axis=0)
        return cls(_FACE_DISTANCE * float(np.median(size[known])), (float(x), float(y)))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) from camera coordinates to homogeneous pixels."""
        x, y = self.centre
        return np.array([[self.focal_px, 0.0, x], [0.0, self.focal_px, y], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class HeadPoses:
    """Poses that take points of the average face to camera coordinates: R p + t. Lost rows are NaN.

    The second axis is 0 for the whole face and 1 for the central face.
    """

    rotation: NDArray[np.float64]
    """(T, 2, 3, 3)."""
    translation: NDArray[np.float64]
    """(T, 2, 3) place of the model's origin, in inter-ocular distances."""

    @property
    def angle(self) -> NDArray[np.float64]:
        """(T,) degrees between the two rotations."""
        return angle_between(self.rotation[:, 0], self.rotation[:, 1])

    @property
    def direction(self) -> NDArray[np.float64]:
        """(T,) degrees between the directions in which the two poses let the face look: the paper's angle,
        which turning about that direction does not change."""
        first, second = np.moveaxis(self.rotation @ _AHEAD, 1, 0)
        # From the chord, as in angle_between.
        return np.degrees(2 * np.arcsin(np.minimum(np.linalg.norm(first - second, axis=-1) / 2, 1)))

    @property
    def shift(self) -> NDArray[np.float64]:
        """(T, 3) translation of the whole face less that of the central face, in inter-ocular distances."""
        return np.asarray(self.translation[:, 0] - self.translation[:, 1])


def solve(landmarks: NDArray[np.floating], camera: Camera | None = None) -> HeadPoses:
    """The pose of the whole and of the central face in every frame.

    Parameters
    ----------
    landmarks
        (T, 68, 3) or (T, 68, 2) iBUG order, pixels; rows with a NaN are lost. Depth is used by the default
        camera only, which needs it.
    camera
        What took the frames; :meth:`Camera.of_face` by default.

    Returns
    -------
    HeadPoses; NaN also where the landmarks allow no pose before the camera.
    """
    points = np.asarray(landmarks, np.float64)
    rotation = np.full((len(points), 2, 3, 3), np.nan)
    translation = np.full((len(points), 2, 3), np.nan)
    known = np.flatnonzero(
        np.isfinite(points).all(axis=(1, 2)) & (np.ptp(points, axis=1)[:, :2] > 0).all(axis=1)
    )
    if len(known):
        matrix = (camera or Camera.of_face(points)).matrix
        for which, indices in enumerate((WHOLE, CENTRAL)):
            model = FACE_MODEL[list(indices)]
            for row in known:
                pose = _pnp(model, np.ascontiguousarray(points[row, indices, :2]), matrix)
                if pose is not None:
                    rotation[row, which], translation[row, which] = pose
    return HeadPoses(rotation, translation)


def translation(series: FaceSeries, camera: Camera | None = None) -> NDArray[np.float64]:
    """(T, 3) where the head is: x, y and distance from the camera in inter-ocular distances, from all
    landmarks; NaN rows are lost."""
    return solve(series.landmarks, camera).translation[:, 0]


def describe(series: FaceSeries, camera: Camera | None = None) -> dict[str, float] | None:
    """:data:`FEATURES` of a series that is already cut to a window.

    Returns
    -------
    Finite values; None where the window is insufficient (:func:`vidscan.behavior.material.enough`: under 4 s
    with both poses, more than half lost, or a still picture).
    """
    if not enough(series):
        return None
    poses = solve(series.landmarks, camera)
    known = np.asarray(np.isfinite(poses.rotation).all(axis=(1, 2, 3)), bool)
    if not enough(series, known):
        return None
    return summarise(HeadPoses(poses.rotation[known], poses.translation[known]))


def summarise(poses: HeadPoses) -> dict[str, float]:
    """:data:`FEATURES` of poses without gaps, at least one."""
    relative = np.swapaxes(poses.rotation[:, 0], -1, -2) @ poses.rotation[:, 1]
    wander = angle_between(relative, _mean_rotation(relative))
    angles = euler_degrees(poses.rotation)
    # From the first row's on: an angle near 180 degrees must not jump to -180.
    angles = (angles - angles[:1] + 180) % 360 - 180
    angles = angles - angles.mean(axis=0)
    both = (angles[:, 0] * angles[:, 1]).sum(axis=1).mean()
    variance = (angles**2).sum(axis=2).mean(axis=0)
    distance = poses.translation[:, :, 2]
    return {
        "head_pose_angle": float(np.median(poses.angle)),
        "head_pose_angle_high": float(np.quantile(poses.angle, 0.9)),
        "head_pose_wander": float(np.median(wander)),
        "head_pose_direction": float(np.median(poses.direction)),
        "head_pose_shift": float(np.median(np.linalg.norm(poses.shift[:, :2], axis=1))),
        "head_pose_depth": float(np.median(np.abs(distance[:, 1] / distance[:, 0] - 1))),
        "head_pose_coupling": float(both / (np.sqrt(variance.prod()) + _STEADY_DEGREES**2)),
        "head_pose_movement": float(np.sqrt(variance[0])),
    }


def _mean_rotation(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) the rotation nearest to the average of rotations (T, 3, 3)."""
    u, _, v = np.linalg.svd(rotations.mean(axis=0))
    return np.asarray(u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))]) @ v)


def _pnp(
    model: NDArray[np.float64], image: NDArray[np.float64], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Rotation (3, 3) and translation (3,) of model points (K, 3) seen at pixels (K, 2); None where there is
    no solution before the camera."""
    import cv2

    try:
        found, turn, place = cv2.solvePnP(model, image, matrix, None, flags=cv2.SOLVEPNP_SQPNP)
        if found:
            turn, place = cv2.solvePnPRefineLM(model, image, matrix, None, turn, place)
    except cv2.error:
        return None
    if not found or not np.isfinite([turn, place]).all() or place[2, 0] <= 0:
        return None
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(place[:, 0], np.float64)

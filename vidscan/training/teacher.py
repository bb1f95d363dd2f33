"""The landmark teacher: MediaPipe's Face Landmarker, used to label faces for training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError, lacking

BLENDSHAPES: tuple[str, ...] = tuple(
    """
    _neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff
    cheekSquintLeft cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight
    eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight
    eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight
    mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel mouthLeft
    mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight
    mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft
    noseSneerRight
    """.split()  # noqa: SIM905
)
"""Names of the 52 blendshapes (ARKit's); left and right are the person's."""

_FLIP = np.diag([1.0, -1.0, -1.0])
"""From MediaPipe's axes (y up, z towards the camera) to ours (y down, z away from it)."""


@dataclass(frozen=True, slots=True)
class TeacherFace:
    """What the teacher says of one face.

    Attributes
    ----------
    mesh
        (478, 3) float32 pixels; depth in pixels too, growing away from the camera.
    blendshapes
        (52,) float32 0..1, in the order of :data:`BLENDSHAPES`.
    rotation
        (3, 3) float32, R = Rz Ry Rx in the axes of :class:`vidscan.types.FaceSeries`.
    """

    mesh: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    rotation: NDArray[np.float32]


class Teacher:
    """Labels the most prominent face of a picture.

    Parameters
    ----------
    model
        Path of ``face_landmarker.task``.
    expression
        Also give blendshapes and head rotation.

    Raises
    ------
    SetupError
        Where mediapipe (extra ``train``) or the model file is missing.
    """

    def __init__(self, model: Path, *, expression: bool = False) -> None:
        try:
            from mediapipe import Image, ImageFormat
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise SetupError(lacking("labelling faces needs the training extra", "train")) from error
        if not model.is_file():
            raise SetupError(f"no landmark teacher at {model}")
        self._image, self._format, self._expression = Image, ImageFormat.SRGB, expression
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)),
            output_face_blendshapes=expression,
            output_facial_transformation_matrixes=expression,
        )
        self._landmarker = vision.FaceLandmarker.create_from_options(options)

    def close(self) -> None:
        """Free the model; MediaPipe complains where that is left to the end of the process."""
        self._landmarker.close()

    def landmarks(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """(478, 2) pixels of the face in an (H, W, 3) RGB picture; None where there is none."""
        result = self._detect(image)
        return None if result is None else _mesh(result, image)[:, :2]

    def face(self, image: NDArray[np.uint8]) -> TeacherFace | None:
        """Everything about the face in an (H, W, 3) RGB picture; needs ``expression``."""
        if not self._expression:
            raise ValueError("the teacher was made without expression=True")
        result = self._detect(image)
        if result is None:
            return None
        shapes = {c.category_name: c.score for c in result.face_blendshapes[0]}
        linear = np.asarray(result.facial_transformation_matrixes[0], np.float64)[:3, :3]
        # Nearest rotation: the matrix also holds the scale.
        u, _, v = np.linalg.svd(linear)
        return TeacherFace(
            mesh=_mesh(result, image),
            blendshapes=np.array([shapes[name] for name in BLENDSHAPES], np.float32),
            rotation=(_FLIP @ (u @ v) @ _FLIP).astype(np.float32),
        )

    def _detect(self, image: NDArray[np.uint8]) -> Any:
        result = self._landmarker.detect(
            self._image(image_format=self._format, data=np.ascontiguousarray(image))
        )
        return result if result.face_landmarks else None


def _mesh(result: Any, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    points = np.array([[p.x, p.y, p.z] for p in result.face_landmarks[0]], np.float32)
    # Depth is given on the scale of x.
    return points * np.array([width, height, width], np.float32) - np.array([0.5, 0.5, 0], np.float32)

"""The landmark teacher: MediaPipe's Face Landmarker, used to label training crops only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError


class Teacher:
    """478 face-mesh landmarks of a crop.

    Parameters
    ----------
    model
        Path of ``face_landmarker.task``.

    Raises
    ------
    SetupError
        Where mediapipe (extra ``train``) or the model file is missing.
    """

    def __init__(self, model: Path) -> None:
        try:
            from mediapipe import Image, ImageFormat
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise SetupError(
                "labelling faces needs the training extra: pip install 'vidscan[train]'"
            ) from error
        if not model.is_file():
            raise SetupError(f"no landmark teacher at {model}")
        self._image, self._format = Image, ImageFormat.SRGB
        options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(model)))
        self._landmarker = vision.FaceLandmarker.create_from_options(options)

    def close(self) -> None:
        """Free the model; MediaPipe complains where that is left to the end of the process."""
        self._landmarker.close()

    def landmarks(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """(478, 2) pixels of the face in an (H, W, 3) RGB picture; None where there is none."""
        result = self._landmarker.detect(
            self._image(image_format=self._format, data=np.ascontiguousarray(image))
        )
        if not result.face_landmarks:
            return None
        size = np.array(image.shape[1::-1], np.float32)
        points = np.array([[p.x, p.y] for p in result.face_landmarks[0]], np.float32)
        return points * size - 0.5

"""Face detectors: what they promise, and how the registered one is loaded."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import WeightsError
from vidscan.faces.geometry import MIN_FACE
from vidscan.models import ModelRecord, load_registry
from vidscan.types import Detection


class Detector(Protocol):
    """Finds faces and their five points in frames."""

    def detect(
        self, images: NDArray[np.uint8], near: NDArray[np.floating] | None = None
    ) -> list[list[Detection]]:
        """Find the faces of every frame.

        Parameters
        ----------
        images
            (T, H, W, 3) RGB uint8.
        near
            (K, 4) boxes in pixels, about where faces are known to be: only these are looked for, in every
            frame, at a small part of the cost.

        Returns
        -------
        T lists of detections in full-resolution pixels, largest face first; empty where there
        is no face. The same frames give the same faces.

        Raises
        ------
        ValueError
            Where ``images`` is not (T, H, W, 3) uint8.
        """
        ...


def load_detector(
    record: ModelRecord | None = None, device: str = "cpu", *, min_face: float = MIN_FACE
) -> Detector:
    """The detector that a registry record of kind ``detector`` describes.

    Parameters
    ----------
    record
        The registry's default where None.
    device
        ``cpu`` or ``cuda[:n]``.
    min_face
        Smallest face looked for, as a share of the frame's short side.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """
    from vidscan.faces.mtcnn import MTCNN

    record = record or load_registry().get("detector")
    if record.settings.get("architecture") != "mtcnn":
        raise WeightsError(f"{record.name} is no detector of a known architecture")
    return MTCNN(record, device, min_face=min_face)

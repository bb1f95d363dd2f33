"""What the encoder says of the crops of a window: the features of the encoder group."""

from __future__ import annotations

import numpy as np

from vidscan.types import FaceEvidence

FEATURES: dict[str, str] = {
    "encoder_statistic": "deviations from genuine faces, mean over the crops that the encoder looked at",
    "encoder_spread": "the same, standard deviation over those crops",
    "encoder_crops": "crops that the encoder looked at",
}
"""What is measured, with unit and meaning."""


def describe(faces: list[FaceEvidence]) -> dict[str, float] | None:
    """:data:`FEATURES` of analyzed faces in time order; None where the encoder looked at none of them."""
    scores = np.array([f.encoder for f in faces if f.encoder is not None])
    if not len(scores):
        return None
    return {
        "encoder_statistic": float(scores.mean()),
        "encoder_spread": float(scores.std()),
        "encoder_crops": float(len(scores)),
    }

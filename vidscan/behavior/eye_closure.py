"""How far the eyes are closed, frame by frame, on a scale of 0 (as open as this person's are) to 1 (shut).

There are three ways to tell, :data:`RULES`:

- ``ear``: the eye aspect ratio of Soukupova & Cech, *Real-Time Eye Blink Detection using Facial
  Landmarks* (CVWW 2016), from the six landmarks about an eye;
- ``openness``: the landmark network's own measure;
- ``network``: the probability of a CNN with an LSTM over eye crops, as in Li, Chang & Lyu, *In Ictu
  Oculi* (WIFS 2018); see :mod:`vidscan.behavior.eye_state`. It finds blinks best, and is the default.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.face_model import EYES
from vidscan.types import EyeRule, FaceSeries

Rule = EyeRule
RULES: tuple[str, ...] = get_args(Rule)

_OPEN_QUANTILE = 0.8
"""Eyes are open for most of the time, and noise lifts the extremes: their level is a high quantile."""
_SHUT_EAR, _SHUT_OPENNESS = 0.15, 0.3
"""What is left of the open level when eyes are shut: landmarks of shut lids stay apart, and the teacher,
from whom openness and the probability were learned, hardly ever calls an eye shut altogether. Both are near
the medians at the peaks of blinks in the training clips' labels."""
_LEAST_EAR, _LEAST_OPENNESS = 0.14, 0.3
"""Open-eye levels under these are those of people who keep their eyes shut throughout."""


def eye_aspect_ratio(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Height of the eyes' openings over their width.

    Parameters
    ----------
    landmarks
        (T, 68, 2) or (T, 68, 3) iBUG order, pixels; depth is left out, as in the paper.

    Returns
    -------
    (T, 2) of the left and right eye as seen in the image; NaN where the landmarks are, or where the corners
    of an eye coincide.
    """
    points = np.asarray(landmarks, np.float64)[..., :2]
    ratios = []
    for eye in EYES:
        p = points[:, eye]
        height = np.linalg.norm(p[:, 1] - p[:, 5], axis=-1) + np.linalg.norm(p[:, 2] - p[:, 4], axis=-1)
        width = np.linalg.norm(p[:, 0] - p[:, 3], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(np.where(width > 0, height / (2 * width), np.nan))
    return np.stack(ratios, axis=1)


def relative_closure(openness: NDArray[np.floating], least: float, shut: float = 0.0) -> NDArray[np.float64]:
    """How far eyes are closed against the person's own open-eye level.

    Parameters
    ----------
    openness
        (T, 2) any measure that is larger the wider an eye is open; NaN rows are lost.
    least
        The open level is at least this, for eyes that are shut throughout.
    shut
        What it is of shut eyes, as a share of the open level.

    Returns
    -------
    (T, 2) 0 (at the open level or above) to 1; NaN where ``openness`` is.
    """
    values = np.asarray(openness, np.float64)
    known = ~np.isnan(values).any(axis=1)
    if not known.any():
        return np.full(values.shape, np.nan)
    level = np.maximum(np.quantile(values[known], _OPEN_QUANTILE, axis=0), least)
    return np.clip((1 - values / level) / (1 - shut), 0, 1)


def closure_of_openness(openness: NDArray[np.floating]) -> NDArray[np.float64]:
    """:func:`relative_closure` of (T, 2) openness as the teacher measures it: 1 - ``eyeBlink``."""
    return relative_closure(openness, _LEAST_OPENNESS, _SHUT_OPENNESS)


def closure(series: FaceSeries, rule: Rule = "network") -> NDArray[np.float64]:
    """How far the eyes are closed, by one of :data:`RULES`.

    Parameters
    ----------
    series
        One track, or a window of it: the open-eye level is taken from what it holds.
    rule
        Which measure.

    Returns
    -------
    (T, 2) 0 open to 1 closed, left and right eye as seen in the image; NaN rows are lost.

    Raises
    ------
    ValueError
        Where the rule is unknown, or ``network`` lacks its probabilities.
    """
    if rule == "ear":
        return relative_closure(eye_aspect_ratio(series.landmarks), _LEAST_EAR, _SHUT_EAR)
    if rule == "openness":
        return closure_of_openness(series.openness)
    if rule != "network":
        raise ValueError(f"no eye rule {rule!r} (have: {', '.join(RULES)})")
    shut = series.shut
    if shut is None or shut.shape != (len(series.times), 2):
        raise ValueError("the rule network needs one probability a row and eye")
    return closure_of_openness(1 - shut)

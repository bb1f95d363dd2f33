"""The crops of a clip that tell most about its verdict, beside their heatmaps, for the HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vidscan.report.drawing import draw_heat
from vidscan.report.page import picture_uri
from vidscan.types import FrameReport, Report

MAX_TELLING = 5
_CROP_PX = 256


@dataclass(frozen=True, slots=True)
class TellingCrop:
    """One of the crops that tell most about the verdict.

    Attributes
    ----------
    time_s
        Of its frame, in seconds.
    track_id
        Whose face it is.
    score
        0..1 of this crop alone.
    crop
        (S, S, 3) RGB uint8.
    probability
        (h, w) float 0..1 that a place is manipulated, a grid over the whole crop, row 0 at its top.
    """

    time_s: float
    track_id: int
    score: float
    crop: NDArray[np.uint8]
    probability: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TellingPicture:
    """A telling crop as a page holds it."""

    number: int
    telling: TellingCrop
    crop: str
    """Data URI, as is ``heat``."""
    heat: str
    heat_words: str
    """Where the map is strongest."""


def suspicious(report: Report) -> list[FrameReport]:
    """Looks at a face that reach the threshold of ``uncertain``: only those tell anything by themselves."""
    least = report.verdict.thresholds.uncertain
    return [frame for frame in report.frames if frame.score is not None and frame.score >= least]


def none_telling(report: Report) -> str | None:
    """A sentence where faces were scored and no single look is suspicious; None otherwise."""
    scores = [frame.score for frame in report.frames if frame.score is not None]
    if not scores or suspicious(report):
        return None
    said = (
        f"No single look at a face is suspicious: the highest score of one is {max(scores):.2f}, and "
        f"uncertain begins at {report.verdict.thresholds.uncertain:.3g}. There is no place to point at."
    )
    if report.verdict.label in ("manipulated", "uncertain"):
        said += " The verdict rests on other measurements, or on what adds up over time."
    return said


def telling_pictures(crops: Sequence[TellingCrop]) -> list[TellingPicture]:
    """The first :data:`MAX_TELLING` of the crops, numbered from 1."""
    return [_picture(number, crop) for number, crop in enumerate(islice(crops, MAX_TELLING), 1)]


def _picture(number: int, telling: TellingCrop) -> TellingPicture:
    import cv2

    side = min(_CROP_PX, telling.crop.shape[0])
    crop = np.asarray(cv2.resize(telling.crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    values = np.ascontiguousarray(telling.probability, np.float32)
    values = cv2.resize(values, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    # On grey, so that no colour of the face can be taken for one of the map.
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    heat = np.repeat(grey[..., None], 3, axis=2)
    draw_heat(heat, np.rint(values * 255).astype(np.uint8), side / 160)
    return TellingPicture(
        number, telling, picture_uri(crop, _CROP_PX), picture_uri(heat, _CROP_PX), _where(telling.probability)
    )


def _where(probability: NDArray[np.floating]) -> str:
    """Where on the crop a map is strongest, in words."""
    height, width = probability.shape
    row, column = np.unravel_index(int(np.argmax(probability)), probability.shape)
    vertical = ("upper", "middle", "lower")[min(2, int(3 * (row + 0.5) / height))]
    horizontal = ("left", "middle", "right")[min(2, int(3 * (column + 0.5) / width))]
    place = "middle" if vertical == horizontal else f"{vertical} {horizontal}"
    share = float((probability >= 0.5).mean())
    return (
        f"Strongest in the {place} ({probability.max():.2f}); {100 * share:.0f} % of the crop at 0.5 or more."
    )

"""The crops of a clip that tell most about its verdict, beside their heatmaps, for the HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vidscan.report.drawing import draw_heat
from vidscan.report.page import picture_uri
from vidscan.report.words import is_picture, strongest_words
from vidscan.types import FrameReport, Report, Segment

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
    """The looks within suspicious stretches: only those tell anything by themselves."""
    spans: dict[int, list[Segment]] = {}
    for segment in report.segments:
        spans.setdefault(segment.track_id, []).append(segment)
    return [
        frame
        for frame in report.frames
        if frame.score is not None
        and any(s.start_s <= frame.time_s <= s.end_s for s in spans.get(frame.track_id, ()))
    ]


def none_telling(report: Report) -> str | None:
    """A sentence where faces were scored and no stretch is suspicious; None otherwise."""
    looks = [frame for frame in report.frames if frame.score is not None]
    if not looks or suspicious(report):
        return None
    found = report.verdict.label in ("manipulated", "uncertain")
    said = "Nothing in the picture of the face is suspicious by itself" if found else "Nothing was found"
    said += ", so there is no place to point at"
    if not is_picture(report):
        peak = max(looks, key=lambda look: look.score or 0.0)
        said += f" ({strongest_words(peak.time_s, peak.score or 0.0)})"
    return f"{said}: the verdict rests on other measurements." if found else f"{said}."


def telling_pictures(crops: Sequence[TellingCrop]) -> list[TellingPicture]:
    """The first :data:`MAX_TELLING` of the crops, numbered from 1."""
    return [_picture(number, crop) for number, crop in enumerate(islice(crops, MAX_TELLING), 1)]


def _picture(number: int, telling: TellingCrop) -> TellingPicture:
    import cv2

    side = min(_CROP_PX, telling.crop.shape[0])
    crop = np.asarray(cv2.resize(telling.crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    values = np.ascontiguousarray(telling.probability, np.float32)
    values = cv2.resize(values, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    # On gray, so that no color of the face can be taken for one of the map.
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

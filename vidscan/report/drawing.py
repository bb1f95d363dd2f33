"""What overlays are drawn with: colors, crisp text, boxes, lines.

Images are (H, W, 3) RGB uint8 and are changed in place. Positions are pixels, x to the right, y down;
whatever reaches beyond the image is cut off.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (14, 16, 20)
PAPER: Colour = (24, 27, 33)
TEXT: Colour = (238, 240, 244)
MUTED: Colour = (158, 166, 178)

NEUTRAL: Colour = (206, 212, 220)
"""Of boxes in frames that nothing is said against."""

LABEL_COLOURS: dict[str, Colour] = {
    "no_manipulation_found": (38, 150, 118),
    "uncertain": (214, 146, 22),
    "manipulated": (214, 48, 62),
    "no_face": (110, 118, 130),
    "error": (110, 118, 130),
}
"""Never alone: what they mean is written beside them."""

TRACK_COLOURS: tuple[Colour, ...] = (
    (105, 180, 255),
    (214, 160, 255),
    (110, 226, 226),
    (255, 168, 206),
    (206, 210, 130),
    (182, 198, 216),
)
"""Lines of faces, in turn; apart from the colors of labels."""

HEAT_FROM, HEAT_FULL, HEAT_OPACITY = 0.2, 0.5, 0.5
"""Below the first probability the picture stays clear; from the second on half of it shines through."""

_FIXED = 4
"""Bits after the point in the coordinates of lines."""


def track_colour(track_id: int) -> Colour:
    """The color of a face's line."""
    return TRACK_COLOURS[track_id % len(TRACK_COLOURS)]


# --------------------------------------------------------------------------- heat


@lru_cache(maxsize=1)
def heat_table() -> tuple[Image, NDArray[np.float32]]:
    """Colours (256, 3) and opacities (256,) 0..1 of gray levels 0..255 of a mask.

    The colors are *inferno*, which grows lighter step by step as the eye sees it, also for those who do
    not see colors.
    """
    import cv2

    levels = np.arange(256, dtype=np.uint8)
    # Its darkest third would look like shadows on a face.
    shown = (96 + levels * (159 / 255)).round().astype(np.uint8)
    colours = cv2.applyColorMap(shown[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1]
    rise = np.clip((levels / 255 - HEAT_FROM) / (HEAT_FULL - HEAT_FROM), 0, 1)
    return np.ascontiguousarray(colours), (HEAT_OPACITY * rise).astype(np.float32)


def draw_heat(image: Image, mask: Image, outline: float) -> None:
    """Lay a mask (H, W) over an image of its size; a line of ``outline`` pixels goes along one half."""
    import cv2

    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return
    part, levels = image[y : y + height, x : x + width], mask[y : y + height, x : x + width]
    colours, opacity = heat_table()
    hot = np.nonzero(levels > 255 * HEAT_FROM)
    heat, below = levels[hot], part[hot].astype(np.float32)
    part[hot] = (below + (colours[heat] - below) * opacity[heat, None] + 0.5).astype(np.uint8)
    # A margin, so that the line closes also where the mask ends at the crop's edge.
    half = np.pad((levels >= 128).astype(np.uint8), 1)
    lines, _ = cv2.findContours(half, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(x - 1, y - 1))
    for colour, thickness in ((INK, outline + 1.5), (WHITE, outline)):
        cv2.polylines(image, lines, True, colour, max(1, round(thickness)), cv2.LINE_AA)


# --------------------------------------------------------------------------- shapes


def paint(image: Image, alpha: Image, x: float, y: float, colour: Colour, opacity: float = 1.0) -> None:
    """Lay ``colour`` over the image where ``alpha`` (h, w), 0..255, says, its corner at (x, y)."""
    left, top = round(x), round(y)
    height, width = alpha.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, image.shape[1]), min(top + height, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = image[y0:y1, x0:x1]
    share = alpha[y0 - top : y1 - top, x0 - left : x1 - left, None] * np.float32(opacity / 255)
    part[:] = (part + (np.array(colour, np.float32) - part) * share + 0.5).astype(np.uint8)


def draw_pill(
    image: Image, box: tuple[float, float, float, float], colour: Colour, opacity: float = 1.0
) -> None:
    """A filled rectangle x0, y0, x1, y1 with rounded corners."""
    x0, y0, x1, y1 = (round(v) for v in box)
    if x1 > x0 and y1 > y0:
        paint(image, _pill(x1 - x0, y1 - y0), x0, y0, colour, opacity)


@lru_cache(maxsize=256)
def _pill(width: int, height: int) -> Image:
    import cv2

    times = 4
    radius = times * min(width, height) // 4
    large = np.zeros((times * height, times * width), np.uint8)
    right, bottom = large.shape[1] - 1 - radius, large.shape[0] - 1 - radius
    for x in (radius, right):
        for y in (radius, bottom):
            cv2.circle(large, (x, y), radius, 255, -1)
    cv2.rectangle(large, (radius, 0), (right, large.shape[0] - 1), 255, -1)
    cv2.rectangle(large, (0, radius), (large.shape[1] - 1, bottom), 255, -1)
    return np.asarray(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def draw_lines(
    image: Image, points: NDArray[np.floating], colour: Colour, thickness: float, *, closed: bool = False
) -> None:
    """A smooth line through (N, 2) points, x and y to a fraction of a pixel."""
    import cv2

    if len(points) and np.isfinite(points).all():
        # Far beyond any frame fixed-point coordinates would overflow.
        fixed = np.rint(np.clip(points, -3e4, 3e4) * 2**_FIXED).astype(np.int32)
        cv2.polylines(image, [fixed], closed, colour, max(1, round(thickness)), cv2.LINE_AA, _FIXED)


def draw_dot(image: Image, x: float, y: float, radius: float, colour: Colour) -> None:
    """A filled circle."""
    import cv2

    if np.isfinite([x, y]).all():
        centre = [round(float(np.clip(v, -3e4, 3e4)) * 2**_FIXED) for v in (x, y)]
        cv2.circle(image, centre, round(max(radius, 1.0) * 2**_FIXED), colour, -1, cv2.LINE_AA, _FIXED)


def draw_box(image: Image, box: tuple[float, float, float, float], colour: Colour, thickness: float) -> None:
    """A box x0, y0, x1, y1: a fine line all round, and strong corners that leave the face free."""
    x0, y0, x1, y1 = box
    reach = 0.22 * max(0.0, min(x1 - x0, y1 - y0))
    whole = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    draw_lines(image, whole, colour, thickness / 3, closed=True)
    corners = [
        np.array([(x, y + side_y * reach), (x, y), (x + side_x * reach, y)])
        for x, side_x in ((x0, 1), (x1, -1))
        for y, side_y in ((y0, 1), (y1, -1))
    ]
    for shade, width in ((INK, thickness + 2), (colour, thickness)):
        for corner in corners:
            draw_lines(image, corner, shade, width)


# --------------------------------------------------------------------------- text


def draw_text(
    image: Image, text: str, x: float, y: float, size: int, colour: Colour = TEXT, opacity: float = 1.0
) -> None:
    """A line of text whose left end is at ``x`` and whose capitals are centered on ``y``."""
    alpha, base = _letters(text, size)
    paint(image, alpha, x, round(y + 0.36 * size) - base, colour, opacity)


def text_width(text: str, size: int) -> int:
    """Pixels that a line of text takes."""
    return _letters(text, size)[0].shape[1]


def fitting(choices: tuple[str, ...], size: int, width: float) -> str:
    """The first of several wordings that is not wider than ``width`` pixels; empty where none is."""
    return next((text for text in choices if text_width(text, size) <= width), "")


@lru_cache(maxsize=1024)
def _letters(text: str, size: int) -> tuple[Image, int]:
    """Coverage 0..255 of a line of text, and the row of its base line."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    font = _font(size)
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    width, height = max(1, round(right - min(left, 0))), max(1, round(bottom - top))
    picture = Pictures.new("L", (width, height))
    ImageDraw.Draw(picture).text((-min(left, 0), -top), text, fill=255, font=font, anchor="ls")
    return np.asarray(picture), round(-top)


@lru_cache(maxsize=16)
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)  # type: ignore[return-value]

"""Crops beside maps over them, as one picture with titles and a color bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import ImageFont

_SIDE = 240
"""Side of every crop and map in the picture, in pixels."""
_GAP = 12
_MARGIN = 24
_LINE = 20
_BAR = 14
_BAR_LENGTH = 320
_GROUND = (255, 255, 255)
_INK = (34, 34, 34)
_PALE = (105, 105, 105)
_COLOURS = cv2.COLORMAP_INFERNO


@dataclass(frozen=True, slots=True)
class Panel:
    """One crop and the map over it.

    Attributes
    ----------
    pixels
        (3, S, S) float RGB 0..255.
    map
        (h, w) float 0..1, a grid over the whole crop, row 0 at its top.
    title
        Up to two short lines.
    """

    pixels: NDArray[np.float32]
    map: NDArray[np.float32]
    title: tuple[str, ...]


def compose(panels: Sequence[Panel], title: str, legend: str) -> NDArray[np.uint8]:
    """(H, W, 3) RGB uint8: each crop, its map, and the map laid over the grayed crop.

    One panel runs across, several stand side by side. ``title`` heads the picture, ``legend`` says what
    the colors from 0 to 1 mean.
    """
    from PIL import Image, ImageDraw

    heading, words, small = _font(18), _font(13), _font(12)
    views = [_views(panel) for panel in panels]
    across = len(panels) == 1
    columns, rows = (3, 1) if across else (len(panels), 3)
    lines = max(len(panel.title) for panel in panels)
    top = _MARGIN + 34 + lines * _LINE + 6
    width = 2 * _MARGIN + columns * _SIDE + (columns - 1) * _GAP
    width = max(width, 2 * _MARGIN + _BAR_LENGTH + 60)
    height = top + rows * _SIDE + (rows - 1) * _GAP + _MARGIN + _BAR + 2 * _LINE + _MARGIN
    canvas = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, _MARGIN), _fitted(title, heading, width - 2 * _MARGIN), _INK, heading)
    for number, (panel, pictures) in enumerate(zip(panels, views, strict=True)):
        room = width - 2 * _MARGIN if across else _SIDE
        for line, text in enumerate(panel.title):
            place = (_MARGIN + number * (_SIDE + _GAP), _MARGIN + 34 + line * _LINE)
            draw.text(place, _fitted(text, words, room), _INK if line == 0 else _PALE, words)
        for view, picture in enumerate(pictures):
            column, row = (view, 0) if across else (number, view)
            place = (_MARGIN + column * (_SIDE + _GAP), top + row * (_SIDE + _GAP))
            canvas.paste(Image.fromarray(picture), place)
    bar_top = height - _MARGIN - _BAR - 2 * _LINE
    draw.text((_MARGIN, bar_top), _fitted(legend, words, width - 2 * _MARGIN), _INK, words)
    bar = np.repeat(_coloured(np.linspace(0, 1, _BAR_LENGTH)[None]), _BAR, axis=0)
    canvas.paste(Image.fromarray(bar), (_MARGIN, bar_top + _LINE))
    draw.rectangle(
        (_MARGIN - 1, bar_top + _LINE - 1, _MARGIN + _BAR_LENGTH, bar_top + _LINE + _BAR), outline=_PALE
    )
    for value in (0.0, 0.5, 1.0):
        tick = (_MARGIN + value * _BAR_LENGTH, bar_top + _LINE + _BAR + 2)
        draw.text(tick, f"{value:g}", _PALE, small, anchor="ma")
    return np.asarray(canvas)


def _views(panel: Panel) -> list[NDArray[np.uint8]]:
    """Crop, map, and map over the grayed crop, each (side, side, 3) uint8."""
    crop = _sized(panel.pixels.transpose(1, 2, 0)).clip(0, 255)
    values = _sized(panel.map).clip(0, 1)
    colours = _coloured(values)
    grey = crop.mean(2, keepdims=True)
    share = 0.1 + 0.7 * values[..., None]
    over = (1 - share) * grey + share * colours
    return [np.rint(crop).astype(np.uint8), colours, np.rint(over).astype(np.uint8)]


def _sized(picture: NDArray[np.floating]) -> NDArray[np.float32]:
    """(h, w) or (h, w, 3) brought to the side of a view; cubic enlargement overshoots."""
    shrinks = picture.shape[0] > _SIDE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    sized = cv2.resize(np.ascontiguousarray(picture, np.float32), (_SIDE, _SIDE), interpolation=how)
    return np.asarray(sized, np.float32)


def _coloured(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(h, w) in 0..1 to (h, w, 3) RGB."""
    levels = np.rint(values * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, _COLOURS)[..., ::-1])


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, its middle left out where it is too wide."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if font.getlength(short) <= width:
            return short
    return "…"

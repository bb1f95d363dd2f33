"""The clip with what was found drawn onto it: heat, boxes, scores over time.

The verdict is known only when the whole clip was scanned, so an overlay takes two passes: the scan,
during which a :class:`vidscan.report.spool.RegionSpool` keeps the masks on disk, and
:func:`write_overlay`, which decodes the clip once more and draws.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from vidscan.errors import SetupError
from vidscan.faces.align import invert_affine
from vidscan.media import VideoSource, VideoWriter, write_png
from vidscan.media.faststart import index_first
from vidscan.media.sniff import PathLike, display_name, is_picture
from vidscan.media.source import reopen
from vidscan.outputs import Replacement
from vidscan.report.drawing import (
    INK,
    LABEL_COLOURS,
    NEUTRAL,
    WHITE,
    Image,
    draw_box,
    draw_dot,
    draw_heat,
    draw_pill,
    draw_text,
    text_width,
    track_colour,
)
from vidscan.report.head import draw_gaze, draw_pose, row_of
from vidscan.report.masks import render
from vidscan.report.shown import shown, unjudged
from vidscan.report.spool import RegionSpool
from vidscan.report.timeline import Panel, ScoreLine, score_lines
from vidscan.report.words import label_words
from vidscan.types import FaceMap, FaceSeries, FrameMaps, FrameReport, Report, VideoInfo

_LEAST_WIDTH, _LEAST_HEIGHT = 320, 240
"""Smaller pictures are enlarged: on them nobody could read a word."""
_MOST_SIDE, _MOST_PIXELS = 4096, 36864 * 256
"""H.264 level 5.2, the highest that browsers can be relied on to play."""
_COMMENT = "drawn by vidscan: not the original clip"
_PANEL_SHARE = 1.3
"""The panel makes the picture larger by no more than this."""


@dataclass(frozen=True, slots=True)
class OverlayFile:
    """What was written.

    Attributes
    ----------
    output
        The file.
    width, height
        Of its pictures, the panel included.
    frames
        Frames written.
    sound
        Whether the clip's sound went along; None where it has none.
    """

    output: str
    width: int
    height: int
    frames: int
    sound: bool | None


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a frame is enlarged or reduced before it is drawn on, and the size of text in pixels."""

    width: int
    height: int
    scale: tuple[float, float]
    text: int

    @classmethod
    def of(cls, info: VideoInfo) -> _Layout:
        width, height = info.width, info.height
        larger = math.ceil(max(_LEAST_WIDTH / width, _LEAST_HEIGHT / height))
        larger = max(1, min(larger, 1920 // max(width, height)))
        smaller = 1
        while (
            max(width, height * _PANEL_SHARE) > _MOST_SIDE * smaller
            or width * height * _PANEL_SHARE > _MOST_PIXELS * smaller**2
        ):
            smaller += 1
        wide, high = (max(2, round(side * larger / smaller)) for side in (width, height))
        # An even width needs no column of padding beside the panel.
        wide += wide % 2
        text = max(12, round(0.017 * math.sqrt(wide * high)))
        return cls(wide, high, (wide / width, high / height), text)

    def place(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A box of the frame in pixels of the drawn picture."""
        (sx, sy), (x0, y0, x1, y1) = self.scale, box
        return (x0 + 0.5) * sx - 0.5, (y0 + 0.5) * sy - 0.5, (x1 + 0.5) * sx - 0.5, (y1 + 0.5) * sy - 0.5

    def region(self, region: FaceMap) -> FaceMap:
        """A face's mask, so that it is drawn at the picture's own resolution."""
        sx, sy = self.scale
        to_drawn = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]])
        back = np.vstack([invert_affine(to_drawn), [0, 0, 1]])
        return replace(region, to_crop=region.to_crop @ back)


def write_overlay(
    source: PathLike,
    output: PathLike,
    report: Report,
    spool: RegionSpool,
    *,
    series: Mapping[int, FaceSeries] | None = None,
    pose: bool = False,
    gaze: bool = False,
    crf: float = 20,
    progress: Callable[[float], None] | None = None,
) -> OverlayFile:
    """Draw what was found onto a clip (H.264 in MP4) or a picture (PNG).

    The frames keep their times and are upright, the sound goes along as it is, and the file plays while it
    is still loading. Pictures narrower than 320 or lower than 240 pixels are enlarged by a whole factor
    (up to 1920), those beyond H.264's level 5.2 reduced by one. Memory does not grow with the clip, but
    for its report. The file appears when it is complete.

    Parameters
    ----------
    source
        The clip or picture that was scanned.
    output
        ``.mp4`` for a clip, ``.png`` for a picture.
    report
        Of its scan, with ``frames``; the clip is decoded by the settings in it.
    spool
        Was the scan's mask sink, or one of them.
    series
        The landmarks of each track by its id, for ``pose`` and ``gaze``.
    pose, gaze
        Draw the box of the head, and a line from either eye to where it looks.
    crf
        Quality of the encode, 0 (best) to 51.
    progress
        Called with the share done, 0..1.

    Raises
    ------
    SetupError
        A suffix that does not go with the input, or a file that cannot be encoded.
    InputError
        The clip cannot be read any more.
    OSError
        A file cannot be written.
    """
    target, picture = Path(output), is_picture(report.input.container, report.input.duration_s)
    suffix = ".png" if picture else ".mp4"
    if target.suffix.lower() != suffix:
        what = "a picture" if picture else "a clip"
        raise SetupError(f"{display_name(target)}: the overlay of {what} is written as {suffix}")
    with reopen(source, report) as video:
        drawing = _Drawing(report, spool, video.info, picture, series or {}, pose, gaze)
        if picture:
            (image,) = (image for _, image in drawing.frames(video))
            write_png(target, image, comment=_COMMENT)
            done = OverlayFile(os.fspath(output), image.shape[1], image.shape[0], 1, None)
        else:
            done = _write_film(source, target, video, drawing, crf, progress)
    if progress is not None:
        progress(1.0)
    return done


def _write_film(
    source: PathLike,
    target: Path,
    video: VideoSource,
    drawing: _Drawing,
    crf: float,
    progress: Callable[[float], None] | None,
) -> OverlayFile:
    info, count = video.info, 0
    width, height = drawing.size
    # Sound of a whole film must not follow upon its first minute.
    # And sound keeps the time stamps that were mended.
    cut_short = any(note.code in ("max_duration", "time_stamps") for note in drawing.report.warnings)
    with Replacement(target) as part:
        with VideoWriter(
            part.path,
            width,
            height,
            fps=info.fps or 25.0,
            crf=crf,
            metadata={"comment": _COMMENT},
            sound_of=None if cut_short else source,
        ) as film:
            for time_s, image in drawing.frames(video):
                film.write(image, time_s)
                count += 1
                if progress is not None and info.duration_s:
                    progress(min(1.0, time_s / info.duration_s))
            sound = film.has_sound if info.has_audio else None
        with part.open("r+b") as file:
            index_first(file)
    return OverlayFile(os.fspath(target), width, height, count, sound)


class _Drawing:
    """One clip, drawn frame by frame."""

    def __init__(
        self,
        report: Report,
        spool: RegionSpool,
        info: VideoInfo,
        picture: bool,
        series: Mapping[int, FaceSeries],
        pose: bool,
        gaze: bool,
    ) -> None:
        self.report, self._spool, self._unjudged = shown(report), spool, unjudged(report)
        self._series, self._pose, self._gaze = series, pose, gaze
        self._layout = _Layout.of(info)
        self._labels = {track.track_id: track.label for track in report.tracks}
        self._picture = picture
        self._lines: dict[int, ScoreLine] = score_lines(self.report)
        duration = 0.0 if picture else _duration(report, info)
        self._panel = Panel(self.report, self._lines, self._layout.width, self._layout.text, duration)
        tall = self._layout.height + self._panel.height
        self.size = (self._layout.width, tall + tall % 2)

    def frames(self, video: VideoSource) -> Iterator[tuple[float, Image]]:
        """(time, picture) of every frame; the picture is drawn over when the next one is asked for."""
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        spooled = iter(self._spool)
        masks: FrameMaps | None = next(spooled, None)
        by_index = groupby(sorted(self.report.frames, key=lambda face: face.index), lambda face: face.index)
        grouped = next(by_index, None)
        for chunk in video:
            for offset, (time_s, image) in enumerate(zip(chunk.times, chunk.images, strict=True)):
                index = chunk.first_index + offset
                while masks is not None and masks.index < index:
                    masks = next(spooled, None)
                while grouped is not None and grouped[0] < index:
                    grouped = next(by_index, None)
                faces = list(grouped[1]) if grouped is not None and grouped[0] == index else []
                regions = masks.faces if masks is not None and masks.index == index else ()
                self._draw(canvas, image, index, float(time_s), faces, regions)
                yield float(time_s), canvas

    def _draw(
        self,
        canvas: Image,
        image: Image,
        index: int,
        time_s: float,
        faces: list[FrameReport],
        regions: tuple[FaceMap, ...],
    ) -> None:
        import cv2

        layout = self._layout
        picture = canvas[: layout.height]
        if picture.shape == image.shape:
            picture[:] = image
        else:
            larger = layout.width > image.shape[1]
            how = cv2.INTER_CUBIC if larger else cv2.INTER_AREA
            picture[:] = cv2.resize(image, (layout.width, layout.height), interpolation=how)
        marked = {face.track_id for face in faces if self._marked(face)}
        regions = tuple(region for region in regions if region.track_id in marked)
        if regions:
            mask = render(picture.shape[:2], [layout.region(region) for region in regions])
            draw_heat(picture, mask, layout.text / 14)
        thickness = max(2.0, layout.text / 6)
        for face in faces:
            series = self._series.get(face.track_id)
            row = row_of(series, index)
            if series is not None and row is not None:
                scale = np.array(layout.scale)
                if self._pose:
                    draw_pose(picture, series, row, scale, thickness)
                if self._gaze:
                    draw_gaze(picture, series, row, scale, thickness)
        for face in faces:
            # The box tells of the frame, the tag of the face.
            colour = self._colour(face.track_id) if face.track_id in marked else NEUTRAL
            draw_box(picture, layout.place(face.box), colour, thickness)
        taken: list[tuple[float, float, float, float]] = []
        for face in faces:
            taken.append(self._tag(picture, face, taken))
        self._panel.draw(canvas[layout.height : layout.height + self._panel.height], time_s)
        canvas[layout.height + self._panel.height :] = canvas[layout.height + self._panel.height - 1]

    def _colour(self, track_id: int) -> tuple[int, int, int]:
        return LABEL_COLOURS[self._labels.get(track_id, "no_face")]

    def _marked(self, face: FrameReport) -> bool:
        """Whether a face looks suspicious in this very frame: within a suspicious stretch, or in a picture,
        which is all there is of its face. Only there color and heat are laid on it."""
        if self._picture:
            label = self._labels.get(face.track_id)
            return label in ("uncertain", "manipulated") and face.track_id not in self._unjudged
        return any(
            s.track_id == face.track_id and s.start_s - 1e-6 <= face.time_s <= s.end_s + 1e-6
            for s in self.report.segments
        )

    def _tag(
        self, picture: Image, face: FrameReport, taken: list[tuple[float, float, float, float]]
    ) -> tuple[float, float, float, float]:
        """Number and verdict of a face, and beside them the present look at it, where they hide no other's;
        returns the place."""
        size = self._layout.text
        label = self._labels.get(face.track_id)
        words = label_words(label) if label else ""
        line = self._lines.get(face.track_id)
        row = line.at(face.time_s) if line is not None else None
        look = f"texture {line.scores[row]:.2f}" if line is not None and row is not None else ""
        text = f"face {face.track_id}: {words}" if words else f"face {face.track_id}"
        own = text_width(text, size) + 2.0 * size
        wide, high = own + (text_width(look, size) + size if look else 0), 1.6 * size
        x, y = _free_place(self._layout.place(face.box), (wide, high), picture.shape[:2], taken)
        place = (x, y, x + wide, y + high)
        draw_pill(picture, (x - 1, y - 1, x + wide + 1, y + high + 1), INK, 0.5)
        draw_pill(picture, place, INK, 0.8)
        draw_pill(picture, (x, y, x + own, y + high), self._colour(face.track_id), 0.92)
        draw_text(picture, look, x + own + 0.5 * size, y + high / 2, size, WHITE)
        # The dot is in the color of the face's line in the timeline.
        draw_dot(picture, x + 0.85 * size, y + high / 2, 0.4 * size, INK)
        draw_dot(picture, x + 0.85 * size, y + high / 2, 0.3 * size, track_colour(face.track_id))
        draw_text(picture, text, x + 1.5 * size, y + high / 2, size, WHITE)
        return place


def _duration(report: Report, info: VideoInfo) -> float:
    """Seconds that the timeline stands for."""
    last = max((face.time_s for face in report.frames), default=0.0)
    known = report.input.duration_s or info.duration_s or 0.0
    limit = float(report.settings.get("max_duration_s") or 0.0)
    return max(last, min(known, limit) if limit > 0 else known, 1e-3)


def _free_place(
    box: tuple[float, float, float, float],
    size: tuple[float, float],
    shape: tuple[int, int],
    taken: list[tuple[float, float, float, float]],
) -> tuple[float, float]:
    """The upper left corner for a tag: above its box, below it, or further down, within the picture."""
    (x0, y0, _, y1), (wide, high), gap = box, size, 0.3 * size[1]
    right, bottom = max(0.0, shape[1] - wide - 1), max(0.0, shape[0] - high - 1)
    x = float(np.clip(x0, 1, max(1.0, right)))
    inside = y0 + gap
    choices = [y0 - high - gap, y1 + gap, inside, *(inside + n * (high + gap) for n in range(1, 8))]
    fits = [y for y in choices if 0 <= y <= bottom]
    for y in fits:
        spot = (x, y, x + wide, y + high)
        if not any(a < spot[2] and spot[0] < c and b < spot[3] and spot[1] < d for a, b, c, d in taken):
            return x, y
    return x, fits[0] if fits else float(np.clip(y0, 0, bottom))

"""Overlays: the clip's times, sound and way up are kept, and what was found is drawn where it is."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from sample_reports import sample

from samples.clips import make_clip, numbered, pattern
from tests.series import make_series
from vidscan.errors import SetupError
from vidscan.faces.rotation import rotation_matrix
from vidscan.media import open_video, write_png
from vidscan.media.faststart import index_first
from vidscan.report import timeline
from vidscan.report.drawing import draw_box, draw_heat, draw_lines, draw_text, fitting, heat_table, text_width
from vidscan.report.head import gaze_direction, project_box, row_of
from vidscan.report.overlay import OverlayFile, write_overlay
from vidscan.report.spool import RegionSpool
from vidscan.report.timeline import Panel, score_lines
from vidscan.types import FaceMap, FrameMaps, FrameReport, Note, Report, Segment, VideoInfo

INFO = VideoInfo("mp4", "h264", 96, 64, 25.0, 0.8, 0, False, "pyav")


def found_in(
    count: int, width: int, height: int, faces: int = 1, label: str = "manipulated", hot: float = 1.0
) -> tuple[Report, RegionSpool]:
    """A report and masks: face 1 is in the middle, others leave to the right, and all are ``hot``."""
    spool, frames = RegionSpool(), []
    spool.begin(INFO, "", "")
    side = 0.4 * min(width, height)
    for t in range(count):
        maps = []
        for k in range(faces):
            x, y = width / 2 + k * (0.3 * width + t * width / count), height / 2
            scale = 56 / (1.4 * side)
            to_crop = np.array([[scale, 0, 27.5 - scale * x], [0, scale, 27.5 - scale * y]])
            maps.append(FaceMap(k + 1, np.full((7, 7), hot, np.float32), to_crop, 56))
            box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
            score = 0.9 if t % 2 == 0 else None
            frames.append(FrameReport(t, t / 25, k + 1, box, score, None))
        spool.write(FrameMaps(t, t / 25, (height, width), tuple(maps), t % 2 == 1))
    report = sample(label if faces else "no_face")
    throughout = (Segment(1, 0.0, count / 25, 0.0, 0.9),) if label == "manipulated" else ()
    return replace(report, frames=tuple(frames), segments=throughout[:faces]), spool


def overlay(
    source: Path, folder: Path, name: str = "out.mp4", **more: Any
) -> tuple[OverlayFile, NDArray, NDArray]:
    """Written and read again: (what is told, (T, H, W, 3), (T,) times)."""
    with open_video(source) as video:
        info = video.info
        count = sum(len(chunk.times) for chunk in video)
    known = {key: more.pop(key) for key in ("faces", "label", "hot") if key in more}
    report, spool = found_in(count, info.width, info.height, **known)
    read = replace(report.input, container=info.container, duration_s=info.duration_s)
    report = replace(report, input=read)
    with spool:
        done = write_overlay(source, folder / name, report, spool, **more)
    with open_video(folder / name, decoder="pyav") as video:
        chunks = list(video)
    return done, np.concatenate([c.images for c in chunks]), np.concatenate([c.times for c in chunks])


# --------------------------------------------------------------------------- the file


def test_times_and_sound_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.1, 0.3, 0.34, 0.5, 0.9]
    clip = make_clip(tmp_path / "vfr.mp4", numbered(7), times=times, sound=True)
    done, images, found = overlay(clip, tmp_path)
    assert done.frames == len(images) == 7
    assert found == pytest.approx(times, abs=1e-3)
    assert done.sound is True
    with av.open(str(tmp_path / "out.mp4")) as container, av.open(str(clip)) as original:
        (sound,), (before,) = container.streams.audio, original.streams.audio
        assert sound.codec_context.name == before.codec_context.name == "aac"
        assert float(sound.duration * sound.time_base) == pytest.approx(1.0, abs=0.1)
    assert (done.width, done.height) == images.shape[2:0:-1]


def test_browsers_can_play_it_while_it_loads(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pattern(6), sound=True)
    overlay(clip, tmp_path)
    data = (tmp_path / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "out.mp4"]


def test_a_turned_clip_comes_out_upright(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "turned.mp4", pattern(4, 320, 240), rotation=90)
    with open_video(clip) as video:
        upright = next(iter(video)).images[0]
    done, images, _ = overlay(clip, tmp_path, faces=0)
    assert (done.width, upright.shape[:2]) == (480, (320, 240))  # enlarged twice, for its 240 pixels
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0
    small = images[0][: 2 * 320].reshape(320, 2, 240, 2, 3).mean((1, 3))
    assert np.abs(small - upright).mean() < 6


def test_no_sound_no_faces_and_a_cut_clip(tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", pattern(3))
    done, images, _ = overlay(silent, tmp_path, faces=0)
    assert done.sound is None and len(images) == 3
    clip = make_clip(tmp_path / "sound.mp4", pattern(10), sound=True)
    report, spool = found_in(10, 96, 64)
    report = replace(
        report, settings=report.settings | {"max_duration_s": 0.2}, warnings=(Note("max_duration", "cut"),)
    )
    with spool:
        done = write_overlay(clip, tmp_path / "cut.mp4", report, spool)
    assert (done.frames, done.sound) == (5, False)


def test_a_picture_becomes_a_picture(tmp_path: Path) -> None:
    write_png(tmp_path / "face.png", pattern(1, 400, 300)[0])
    done, images, _ = overlay(tmp_path / "face.png", tmp_path, "out.png")
    assert images.shape[1] == done.height > 300
    assert images.shape[2] == done.width == 400
    with pytest.raises(SetupError, match=r"written as \.png"):
        overlay(tmp_path / "face.png", tmp_path, "out.mp4")


def test_other_suffixes_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pattern(3))
    with pytest.raises(SetupError, match=r"written as \.mp4"):
        overlay(clip, tmp_path, "out.avi")

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        overlay(clip, tmp_path, progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("size", [(65, 63), (33, 97), (500, 20), (6, 6), (640, 361), (1200, 1100)])
@pytest.mark.parametrize("faces", [0, 3])
def test_any_size_will_do(tmp_path: Path, size: tuple[int, int], faces: int) -> None:
    width, height = size
    clip = make_clip(tmp_path / "odd.mkv", numbered(2, width, height), codec="ffv1", pix_fmt="bgr0")
    done, images, _ = overlay(clip, tmp_path, faces=faces)
    assert images.shape == (2, done.height, done.width, 3)
    assert done.width % 2 == done.height % 2 == 0
    assert done.width >= min(320, 1920 // max(size) * width)


def test_frames_beyond_the_level_of_browsers_are_halved(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "large.mkv", numbered(1, 3840, 2160), options={"preset": "ultrafast"})
    done, images, _ = overlay(clip, tmp_path, hot=1.0)
    assert done.width == 1920 and 1080 < done.height < 1400
    middle = images[0, 500:580, 920:1000].astype(int)
    assert (middle[..., 0] - middle[..., 2]).min() > 40  # the heat is in the middle here, too


# --------------------------------------------------------------------------- what is drawn


def test_heat_covers_the_hot_face_and_leaves_the_cold_one_clear(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", numbered(4, 400, 300), codec="ffv1", pix_fmt="bgr0")
    _, hot, _ = overlay(clip, tmp_path, hot=1.0)
    _, cold, _ = overlay(clip, tmp_path, hot=0.15)
    plain = numbered(4, 400, 300)
    inner = np.s_[:, 130:170, 180:220]
    assert np.abs(hot[inner].astype(int) - plain[inner]).mean() > 60
    assert np.abs(cold[inner].astype(int) - plain[inner]).mean() < 4
    away = np.s_[:, 230:290, 10:150]
    assert np.abs(hot[away].astype(int) - plain[away]).mean() < 4


@pytest.mark.parametrize(("label", "start_s"), [("manipulated", 3.0), ("no_manipulation_found", 0.0)])
def test_heat_lies_on_no_frame_that_nothing_is_said_against(
    tmp_path: Path, label: str, start_s: float
) -> None:
    clip = make_clip(tmp_path / "a.mkv", numbered(2, 400, 300), codec="ffv1", pix_fmt="bgr0")
    report, spool = found_in(2, 400, 300, label=label)
    report = replace(report, segments=(Segment(1, start_s, 4.0, start_s, 0.9),))
    with spool:
        write_overlay(clip, tmp_path / "out.mp4", report, spool)
    with open_video(tmp_path / "out.mp4", decoder="pyav") as video:
        images = next(iter(video)).images
    inner = np.s_[:, 130:170, 180:220]
    assert np.abs(images[:, :300][inner].astype(int) - numbered(2, 400, 300)[inner]).mean() < 4


def test_heat_grows_lighter_and_leaves_half_of_the_picture() -> None:
    colours, opacity = heat_table()
    light = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > -1).all() and light[255] > light[0] + 80
    assert (np.diff(opacity) >= 0).all() and opacity[40] == 0 and opacity[128] == opacity[255] == 0.5
    image = np.full((20, 20, 3), 100, np.uint8)
    draw_heat(image, np.zeros((20, 20), np.uint8), 1)
    assert (image == 100).all()


@pytest.mark.parametrize(
    ("label", "span", "red"),
    [("manipulated", (0.0, 0.1), True), ("manipulated", (3.0, 4.0), False), ("uncertain", (3.0, 4.0), False)],
)
def test_a_box_has_the_colour_of_its_frame(
    tmp_path: Path, label: str, span: tuple[float, float], red: bool
) -> None:
    """Of the verdict only where the frame lies in a suspicious stretch."""
    clip = make_clip(tmp_path / "a.mkv", numbered(1, 400, 300), codec="ffv1", pix_fmt="bgr0")
    report, spool = found_in(1, 400, 300, label=label, hot=0.0)
    report = replace(report, segments=(Segment(1, *span, span[0], 0.9),))
    with spool:
        write_overlay(clip, tmp_path / "out.mp4", report, spool)
    with open_video(tmp_path / "out.mp4", decoder="pyav") as video:
        image = next(iter(video)).images[0]
    corner = image[206:214, 140:160].astype(int)  # the lower left corner of its box
    assert bool((corner[..., 0] - corner[..., 1]).max() > 80) == red
    if not red:
        assert corner.min(-1).max() > 150  # a box is there, in a neutral color


def test_a_tag_has_the_colour_of_the_face_whatever_the_frame(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", numbered(1, 400, 300), codec="ffv1", pix_fmt="bgr0")
    reds = {}
    for label in ("manipulated", "no_manipulation_found"):
        report, spool = found_in(1, 400, 300, label=label, hot=0.0)
        with spool:
            write_overlay(clip, tmp_path / "out.mp4", replace(report, segments=()), spool)
        with open_video(tmp_path / "out.mp4", decoder="pyav") as video:
            tag = next(iter(video)).images[0][67:82, 145:200].astype(int)
        reds[label] = float((tag[..., 0] - tag[..., 1]).mean())
    assert reds["manipulated"] > 40 > -20 > reds["no_manipulation_found"]


@pytest.mark.parametrize("width", [320, 640, 1280])
@pytest.mark.parametrize("faces", [1, 4, 9])
def test_the_legend_names_every_line(width: int, faces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = timeline.draw_text
    monkeypatch.setattr(
        timeline, "draw_text", lambda image, text, *more: (drawn.append(text), draw(image, text, *more))
    )
    report, spool = found_in(8, 96, 64, faces=faces)
    spool.release()
    Panel(report, score_lines(report), width, 12, 1.6)
    words = " ".join(drawn)
    named = {int(n) for text in drawn if text.startswith("face") for n in re.findall(r"\d+", text)}
    assert named == set(range(1, faces + 1)), words
    assert "suspicious stretch" in words and "single looks" in words and "manipulated" in words


def test_the_playhead_moves_with_time(tmp_path: Path) -> None:
    report, spool = found_in(40, 96, 64)
    spool.release()
    panel = Panel(report, score_lines(report), 640, 14, 1.6)
    heads = []
    for time_s in (0.0, 0.8, 1.6):
        image = np.zeros((panel.height, 640, 3), np.uint8)
        panel.draw(image, time_s)
        plot = image[panel._plot_top : panel._plot_top + panel._plot_high]
        column = (plot.min(-1) > 120).sum(0)  # between two columns it is half as light
        heads.append(int(np.argmax(column)))
    assert heads[0] < heads[1] < heads[2]
    assert heads[1] == pytest.approx((heads[0] + heads[2]) / 2, abs=2)


def test_the_timeline_shows_scores_where_they_are() -> None:
    def frames(*scores: tuple[float, float]) -> tuple[FrameReport, ...]:
        return tuple(FrameReport(n, t, 1, (0, 0, 9, 9), s, None) for n, (t, s) in enumerate(scores))

    low = replace(sample(), frames=frames(*[(t / 8, 0.1) for t in range(80)]))
    high = replace(sample(), frames=frames(*[(t / 8, 0.95) for t in range(80)]))
    empty = replace(sample(), frames=())
    rows = []
    for report in (low, high):
        panels = [Panel(r, score_lines(r), 640, 14, 10.0) for r in (report, empty)]
        # The legend below names the line, too.
        plot = slice(panels[0]._plot_top + panels[0]._plot_high)
        drawn, bare = (panel._still[plot].astype(int) for panel in panels)
        changed = np.abs(drawn - bare).sum(-1)[:, 300] > 0
        rows.append(float(np.flatnonzero(changed).mean()))
    assert rows[1] < rows[0] - 20


def test_a_line_breaks_where_the_face_was_away() -> None:
    times = [*np.arange(0, 3, 0.125), *np.arange(8, 9, 0.125)]
    frames = tuple(FrameReport(n, t, 1, (0, 0, 9, 9), 0.5, None) for n, t in enumerate(times))
    (line,) = score_lines(replace(sample(), frames=frames)).values()
    assert [(part.start, part.stop) for part in line.parts] == [(0, 24), (24, 32)]
    assert line.at(-1) is None and line.at(2.9) == 23 and line.at(5.0) is None and line.at(8.0) == 24


def test_long_clips_and_many_faces_fit_the_panel() -> None:
    frames = tuple(FrameReport(n, n / 2, n // 100, (0, 0, 9, 9), (n % 90) / 100, None) for n in range(7200))
    report = replace(sample("manipulated"), frames=frames, segments=(Segment(1, 0, 9e9, 1, 0.9),))
    panel = Panel(report, score_lines(report), 400, 12, 3600.0)
    image = np.zeros((panel.height, 400, 3), np.uint8)
    for time_s in (0.0, 1800.0, 5000.0):
        panel.draw(image, time_s)
    assert image.any()


def test_drawing_is_cut_off_at_the_edge() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    draw_box(image, (-500.0, -20.0, 20.0, 900.0), (255, 0, 0), 2)
    draw_box(image, (1e9, 1e9, 2e9, 2e9), (255, 0, 0), 2)
    draw_lines(image, np.array([[np.nan, 0], [1, 1]]), (0, 255, 0), 1)
    for x, y in ((-10, 15), (35, 28), (400, 5), (3, -90)):
        draw_text(image, "face 1", x, y, 12)
    assert image[..., 0].any() and not (image[..., 1] > image[..., 0]).all()


def test_text_is_legible_and_fits() -> None:
    image = np.zeros((40, 200, 3), np.uint8)
    draw_text(image, "manipulated", 10, 20, 16, (255, 255, 255))
    rows, columns = np.nonzero(image[..., 0])
    assert image.max() > 230
    assert 10 <= columns.min() <= 13 and abs(columns.max() - 10 - text_width("manipulated", 16)) < 4
    assert 12 < rows.min() < 20 < rows.max() < 32
    assert fitting(("a long sentence", "short"), 12, 60) == "short"
    assert fitting(("short",), 12, 3) == ""


# --------------------------------------------------------------------------- heads


def test_rotations_turn_as_the_series_says() -> None:
    nose = np.array([0.0, 0.0, -1.0])
    assert (rotation_matrix(np.array([20.0, 0, 0])) @ nose)[1] > 0.3  # looks down
    assert (rotation_matrix(np.array([0, 20.0, 0])) @ nose)[0] < -0.3  # to the image's left
    up = np.array([0.0, -1.0, 0.0])
    assert (rotation_matrix(np.array([0, 0, 20.0])) @ up)[0] > 0.3  # clockwise
    turned = rotation_matrix(np.array([10.0, -30.0, 5.0]))
    assert np.allclose(turned @ turned.T, np.eye(3)) and np.linalg.det(turned) == pytest.approx(1)


def test_the_heads_box_shows_its_front() -> None:
    corners = project_box(np.array([0.0, 40.0, 0.0]), np.array([100.0, 80.0]), 50.0)
    front, back = corners[:4].mean(0), corners[4:].mean(0)
    assert front[0] < 95 and back[0] > 105  # turned to the image's left
    straight = project_box(np.zeros(3), np.array([100.0, 80.0]), 50.0)
    assert np.ptp(straight[:4], 0).min() > np.ptp(straight[4:], 0).max()  # nearer is larger


def test_gaze_adds_to_the_heads_turn() -> None:
    assert np.allclose(gaze_direction(np.zeros(3), np.zeros(2)), [0, 0, -1])
    both = gaze_direction(np.array([0, 20.0, 0]), np.array([15.0, 0]))
    assert np.degrees(np.arctan2(-both[0], -both[2])) == pytest.approx(35)
    assert gaze_direction(np.zeros(3), np.array([0.0, 20.0]))[1] > 0.3


def test_pose_and_gaze_are_drawn_on_request_where_they_are_known(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", numbered(3, 400, 300), codec="ffv1", pix_fmt="bgr0")
    landmarks = np.zeros((2, 68, 3), np.float32)
    angles = np.linspace(0, 2 * np.pi, 68)
    landmarks[..., 0], landmarks[..., 1] = 200 + 50 * np.cos(angles), 150 + 50 * np.sin(angles)
    landmarks[1] = np.nan  # lost in frame 1; frame 2 has no row
    series = make_series(0.08, landmarks=landmarks, track_id=1)
    assert (row_of(series, 0), row_of(series, 1), row_of(series, 2), row_of(None, 0)) == (0, None, None, None)
    thinned = replace(series, frames=2 * series.frames)  # only every second frame was read
    assert [row_of(thinned, index) for index in (0, 1, 2, 3, 4)] == [0, 0, None, None, None]
    _, bare, _ = overlay(clip, tmp_path, hot=0.0, series={1: series})
    for more in ({"pose": True}, {"gaze": True}):
        _, drawn, _ = overlay(clip, tmp_path, hot=0.0, series={1: series}, **more)
        changed = (np.abs(drawn.astype(int) - bare).max(-1) > 60).sum((1, 2))
        assert changed[0] > 50 and changed[1] == changed[2] == 0


# --------------------------------------------------------------------------- memory, and the index


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    peaks = []
    for count in (80, 240):
        clip = make_clip(tmp_path / f"{count}.mp4", np.repeat(numbered(20, 320, 240), count // 20, 0))
        report, spool = found_in(count, 320, 240)
        with spool:
            tracemalloc.start()
            write_overlay(clip, tmp_path / "out.mp4", report, spool)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < 8 * 320 * 240 * 3  # of 160 frames more


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def table(wide: bool, *places: int) -> bytes:
    layout = f">II{len(places)}{'Q' if wide else 'I'}"
    return box(b"co64" if wide else b"stco", struct.pack(layout, 0, len(places), *places))


@pytest.mark.parametrize("wide", [False, True])
def test_the_index_moves_and_its_places_with_it(wide: bool) -> None:
    start = box(b"ftyp", b"isom0000")
    media = box(b"mdat", bytes(range(200)) * 10)
    places = [len(start) + 8, len(start) + 108]
    tables = box(b"stbl", box(b"stsd", b"12345678"), table(wide, *places))
    index = box(b"moov", box(b"mvhd", b"abcd"), box(b"trak", box(b"mdia", box(b"minf", tables))))
    before = start + media + index
    file = io.BytesIO(before)
    assert index_first(file)
    after = file.getvalue()
    assert len(after) == len(before) and after.endswith(media)
    moved = struct.unpack_from(
        ">2Q" if wide else ">2I", after, after.index(b"co64" if wide else b"stco") + 12
    )
    assert [after[p : p + 20] for p in moved] == [before[p : p + 20] for p in places]
    assert index_first(file) and file.getvalue() == after  # a second time changes nothing


def test_what_cannot_be_moved_is_left_alone() -> None:
    start, media = box(b"ftyp", b"isom"), box(b"mdat", b"x" * 50)
    late = box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", table(False, 2**32 - 10))))))
    for data in (
        b"",
        b"no such file",
        start + media,
        start + media + late,
        start + media + box(b"moov") + media,
    ):
        file = io.BytesIO(data)
        assert not index_first(file)
        assert file.getvalue() == data

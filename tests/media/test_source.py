"""Reading clips: both decoders, formats, times, rotation, limits, threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samples.clips import COUNT, FPS, HEIGHT, WIDTH, difference, make_clip, numbered, pattern, shade
from vidscan.errors import CorruptError, NoVideoStreamError, SetupError, TooLargeError
from vidscan.media import open_video
from vidscan.media.decord_source import decord_installed
from vidscan.media.prefetch import Prefetcher
from vidscan.types import FrameChunk

needs_decord = pytest.mark.skipif(not decord_installed(), reason="decord is not installed")

FORMATS = {
    "h264": ("a.mp4", {}),
    "h264-bt709": ("a.mp4", {"colour": (1, 1)}),
    "h264-full-range": ("a.mp4", {"pix_fmt": "yuvj420p", "colour": (5, 2)}),
    "h264-10bit": ("a.mp4", {"pix_fmt": "yuv420p10le"}),
    "h264-444": ("a.mkv", {"pix_fmt": "yuv444p"}),
    "h264-rgb": ("a.mkv", {"codec": "libx264rgb", "pix_fmt": "rgb24"}),
    "h264-mov": ("a.mov", {}),
    "h264-flv": ("a.flv", {}),
    "h264-sound": ("a.mp4", {"sound": True}),
    "hevc": ("a.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=error"}}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
    "vp9-alpha": (
        "a.webm",
        {"codec": "libvpx-vp9", "pix_fmt": "yuva420p", "options": {"deadline": "realtime"}},
    ),
    "mpeg4": ("a.mp4", {"codec": "mpeg4", "options": {"b": "2000000"}}),
    "ffv1": ("a.mkv", {"codec": "ffv1"}),
    "ffv1-grey": ("a.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    "prores": ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
}
ONLY_PYAV = {
    "av1": ("a.mp4", {"codec": "libsvtav1", "options": {"preset": "12"}}),
    "mpegts": ("a.ts", {}),
    "mpeg2": ("a.mpg", {"codec": "mpeg2video", "options": {"b": "2000000"}}),
    "avi": ("a.avi", {"codec": "mpeg4", "options": {"b": "2000000"}}),
    "mjpeg": ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "colour": (5, 2)}),
    "wmv": ("a.wmv", {"codec": "wmv2", "options": {"b": "2000000"}}),
    "gif": ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
}


def read(path, **options):
    """(source, times, images) of a whole clip; checks what every source promises."""
    with open_video(path, **options) as source:
        chunks = list(source)
    index = 0
    for chunk in chunks:
        assert chunk.first_index == index
        assert chunk.images.dtype == np.uint8 and chunk.images.flags.c_contiguous
        assert chunk.images.shape == (len(chunk.times), source.info.height, source.info.width, 3)
        assert chunk.times.dtype == np.float64
        index += len(chunk.times)
    times = np.concatenate([chunk.times for chunk in chunks])
    assert times[0] == 0 and (np.diff(times) >= 0).all()
    return source, times, np.concatenate([chunk.images for chunk in chunks])


@needs_decord
@pytest.mark.parametrize("name", FORMATS)
def test_decoders_agree(tmp_path, name):
    suffix, options = FORMATS[name]
    path = make_clip(tmp_path / suffix, **options)
    source, times, images = read(path, decoder="decord")
    assert source.info.decoder == "decord" and source.warnings == []
    other, other_times, other_images = read(path, decoder="pyav")
    assert other.info.decoder == "pyav" and other.warnings == []
    np.testing.assert_allclose(times, other_times, atol=1e-6)
    assert difference(images, other_images) < 2
    assert (other.info.width, other.info.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", [*FORMATS, *ONLY_PYAV])
def test_pictures_are_right(tmp_path, name):
    suffix, options = (FORMATS | ONLY_PYAV)[name]
    _, times, images = read(make_clip(tmp_path / suffix, **options))
    expected = pattern()
    if "grey" in name:
        expected = np.repeat(np.round(expected @ [0.299, 0.587, 0.114])[..., None], 3, -1).astype(np.uint8)
    assert difference(images, expected) < (20 if name == "gif" else 6)
    # WMV and friends count milliseconds, GIF hundredths.
    np.testing.assert_allclose(times, np.arange(COUNT) / FPS, atol=0.006)


@pytest.mark.parametrize("name", ONLY_PYAV)
def test_decord_gives_way_with_a_note(tmp_path, name):
    suffix, options = ONLY_PYAV[name]
    path = make_clip(tmp_path / suffix, **options)
    if not decord_installed():
        pytest.skip("decord is not installed")
    source, _, images = read(path, decoder="decord")
    assert source.info.decoder == "pyav" and len(images) == COUNT
    own = ["palette"] if name == "gif" else []
    assert sorted(note.code for note in source.warnings) == ["decoder_fallback", *own]
    assert [note.code for note in read(path)[0].warnings] == own


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_undone(tmp_path, decoder, rotation):
    path = make_clip(tmp_path / "a.mp4", rotation=rotation)
    source, _, images = read(path, decoder=decoder)
    assert source.info.rotation == rotation
    assert difference(images, np.rot90(pattern(), -rotation // 90, axes=(1, 2))) < 4


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate(tmp_path, decoder, suffix):
    times = np.cumsum([0.5] + [0.02, 0.3, 0.04, 0.001, 0.6] * 3).round(3)
    path = make_clip(tmp_path / f"a.{suffix}", numbered(len(times)), times=list(times))
    _, found, images = read(path, decoder=decoder)
    np.testing.assert_allclose(found, times - times[0], atol=1e-3)
    assert np.abs(images.mean((1, 2, 3)) - [shade(t) for t in range(len(times))]).max() < 3


@needs_decord
@pytest.mark.parametrize("size", [(95, 63), (95, 64), (33, 35), (16, 16), (8, 10)])
def test_odd_sizes(tmp_path, size):
    images = pattern(6, *size)
    path = make_clip(tmp_path / "a.mkv", images, codec="ffv1", pix_fmt="yuv444p")
    found = read(path)[2]
    assert difference(found, images) < 3
    assert difference(found, read(path, decoder="pyav")[2]) < 2


def test_without_decord(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "decord", None)
    source, _, images = read(path)
    assert source.info.decoder == "pyav" and len(images) == COUNT and source.warnings == []
    with pytest.raises(SetupError, match="decord is not installed"):
        open_video(path, decoder="decord")


@needs_decord
def test_decord_is_not_given_clips_that_fill_the_memory(tmp_path, monkeypatch):
    """It holds all the frames that its reader has not taken yet."""
    path = make_clip(tmp_path / "a.mp4")
    room = COUNT * WIDTH * HEIGHT * 3
    monkeypatch.setattr("vidscan.media.decord_source._MOST_AHEAD", room)
    source, _, images = read(path, decoder="decord")
    assert source.info.decoder == "decord"
    monkeypatch.setattr("vidscan.media.decord_source._MOST_AHEAD", room - 1)
    source, _, others = read(path, decoder="decord")
    assert source.info.decoder == "pyav"
    assert [note.code for note in source.warnings] == ["decoder_fallback"]
    assert difference(images, others) < 2
    source, _, _ = read(path)
    assert source.info.decoder == "pyav" and source.warnings == []


@needs_decord
def test_decord_failing_on_the_way(tmp_path, monkeypatch):
    import decord

    path = make_clip(tmp_path / "a.mp4", numbered())
    get_batch = decord.VideoReader.get_batch

    def fails_later(reader, indexes):
        if indexes[0] >= 8:
            raise decord.DECORDError("[12:00:00] /build/video_reader.cc:1: cannot decode\nStack trace")
        return get_batch(reader, indexes)

    monkeypatch.setattr(decord.VideoReader, "get_batch", fails_later)
    source, times, images = read(path, chunk=4, decoder="decord")
    assert [note.code for note in source.warnings] == ["decoder_fallback"]
    assert "Stack" not in source.warnings[0].message
    np.testing.assert_allclose(times, np.arange(COUNT) / FPS, atol=1e-6)
    assert np.abs(images.mean((1, 2, 3)) - [shade(t) for t in range(COUNT)]).max() < 3


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_cut_off(tmp_path, decoder, suffix):
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    path = make_clip(tmp_path / f"a.{suffix}", pattern(60))
    if suffix == "mp4":  # index in front, so that the rest can be read without the end
        path = remux_faststart(path, options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source, _, images = read(path, decoder=decoder)
    assert 20 < len(images) < 60
    assert difference(images[:15], pattern(15)) < 6
    if suffix != "ts":  # a transport stream may end anywhere
        assert "damaged" in [note.code for note in source.warnings]


def remux_faststart(path: Path, options: dict[str, str]) -> Path:
    import av

    target = path.with_name("front.mp4")
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    return target


def test_mp4_without_its_index(tmp_path):
    path = make_clip(tmp_path / "a.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(CorruptError, match="cannot be opened"):
        open_video(path)


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("seed", range(4))
def test_damage_in_the_middle(tmp_path, decoder, seed):
    # In MP4 the index stays whole, so that every packet is found and only its content is damaged.
    path = make_clip(tmp_path / "a.mp4", pattern(40))
    data = bytearray(path.read_bytes())
    start, stop = data.index(b"mdat"), data.index(b"moov")
    random = np.random.default_rng(seed)
    for at in random.integers((start + stop) // 2, stop - (stop - start) // 5, 30):
        data[at] = int(random.integers(256))
    path.write_bytes(bytes(data))
    source, _, images = read(path, decoder=decoder)
    assert 20 < len(images) <= 40
    assert difference(images[:8], pattern(8)) < 6
    if source.info.decoder == "pyav":
        assert "damaged" in [note.code for note in source.warnings]


@given(
    st.binary(max_size=300),
    st.sampled_from([b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI ", b"FLV\x01"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rubbish_is_a_coded_error(tmp_path, rubbish, start):
    path = tmp_path / "rubbish"
    path.write_bytes(start + rubbish)
    with pytest.raises((CorruptError, NoVideoStreamError)) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_sound_only_and_cover_art(tmp_path):
    av = pytest.importorskip("av")
    for name, cover in (("sound.mp4", False), ("cover.mp4", True)):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            tone = container.add_stream("aac", rate=16000)
            if cover:
                picture = container.add_stream("mjpeg", rate=1)
                picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
                picture.disposition = av.stream.Disposition.attached_pic
                frame = av.VideoFrame.from_ndarray(pattern(1)[0], format="rgb24")
                packets = picture.encode(frame.reformat(format="yuvj420p")) + picture.encode(None)
            audio = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            audio.sample_rate = 16000
            container.mux(tone.encode(audio))
            container.mux(tone.encode(None))
            if cover:
                container.mux(packets)
        with pytest.raises(NoVideoStreamError):
            open_video(path)


def test_limits(tmp_path):
    path = make_clip(tmp_path / "a.mp4")
    with pytest.raises(TooLargeError, match="96x64"):
        open_video(path, max_pixels=WIDTH * HEIGHT - 1)
    assert open_video(path, max_pixels=WIDTH * HEIGHT).info.width == WIDTH
    source, times, _ = read(path, max_duration_s=0.3, chunk=3)
    assert len(times) == 8 and times[-1] < 0.3
    assert [note.code for note in source.warnings] == ["max_duration"]
    assert read(path, max_duration_s=60)[0].warnings == []
    with pytest.raises(SetupError):
        open_video(path, chunk=0)
    # More than FFmpeg takes is no limit.
    with open_video(path, max_pixels=10**30) as source:
        assert sum(len(chunk.times) for chunk in source) > 0


def test_info(tmp_path):
    info = open_video(make_clip(tmp_path / "a.mp4", sound=True)).info
    assert (info.container, info.codec, info.width, info.height) == ("mp4", "h264", WIDTH, HEIGHT)
    assert info.has_audio and info.rotation == 0
    assert info.fps == pytest.approx(FPS) and info.duration_s == pytest.approx(COUNT / FPS, abs=0.05)


@pytest.mark.parametrize("chunk", [1, 7, 100])
@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_chunks_keep_the_order(tmp_path, chunk, prefetch):
    path = make_clip(tmp_path / "a.mp4", numbered())
    _, _, images = read(path, chunk=chunk, prefetch=prefetch)
    assert np.abs(images.mean((1, 2, 3)) - [shade(t) for t in range(COUNT)]).max() < 3


def test_large_frames_come_in_smaller_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("vidscan.media.source._CHUNK_BYTES", 5 * WIDTH * HEIGHT * 3)
    with open_video(make_clip(tmp_path / "a.mp4"), chunk=16) as source:
        assert [len(chunk.times) for chunk in source] == [5, 5, 5, 5]


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_stopping_early_ends_the_thread(tmp_path, decoder):
    source = open_video(make_clip(tmp_path / "a.mp4"), chunk=1, decoder=decoder)
    with source:
        next(iter(source))
    assert not [t for t in threading.enumerate() if t.name == "vidscan-decoder"]
    assert list(source) == []
    source.close()


def test_prefetch_is_bounded_and_hands_errors_over():
    made = []

    def chunks():
        for index in range(50):
            made.append(index)
            yield FrameChunk(index, np.zeros(1), np.zeros((1, 2, 2, 3), np.uint8))
            if index == 20:
                raise CorruptError("x: broken")

    ahead = Prefetcher(chunks(), 2)
    threading.Event().wait(0.2)
    assert len(made) <= 4
    seen = []
    with pytest.raises(CorruptError, match="broken"):
        seen.extend(chunk.first_index for chunk in ahead)
    assert seen == [] or seen == list(range(21))
    assert list(ahead) == []


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/clip-\xff\xfe.mp4")
    try:
        make_clip(tmp_path / "a.mp4").rename(name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert len(read(name)[2]) == COUNT
    with pytest.raises(TooLargeError) as caught:
        open_video(name, max_pixels=10)
    assert r"clip-\xff\xfe.mp4" in str(caught.value)


def test_a_name_is_not_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "a.mp4").rename(tmp_path / "concat:a.mp4")
    assert len(read("concat:a.mp4")[2]) == COUNT


def test_importing_is_light():
    code = (
        "import sys, vidscan.media; print([m for m in ('av', 'decord', 'cv2', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

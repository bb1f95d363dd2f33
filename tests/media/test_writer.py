"""Writing clips, and the trip through an encoder in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.clips import difference, numbered, pattern, shade
from vidscan.errors import SetupError
from vidscan.media import VideoWriter, open_video
from vidscan.media.encode import reencode


def read(path):
    with open_video(path) as source:
        chunks = list(source)
    return np.concatenate([c.times for c in chunks]), np.concatenate([c.images for c in chunks])


@pytest.mark.parametrize(
    ("name", "options", "limit"),
    [
        ("a.mp4", {}, 3),
        ("a.mp4", {"pix_fmt": "yuv444p"}, 3),
        ("a.mp4", {"codec": "libx265"}, 3),
        ("a.mkv", {"codec": "ffv1"}, 0),
        ("a.mkv", {"codec": "libx264rgb", "crf": 0}, 0),
        ("a.webm", {"codec": "libvpx-vp9"}, 4),
        ("a.mov", {}, 3),
        ("a.avi", {"codec": "mpeg4"}, 4),
        ("a.mp4", {"rotation": 90}, 3),
    ],
)
def test_round_trip(tmp_path, name, options, limit):
    images = pattern(8)
    with VideoWriter(tmp_path / name, 96, 64, fps=25, **options) as writer:
        for image in images:
            writer.write(image)
        assert not (tmp_path / name).exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    times, found = read(tmp_path / name)
    np.testing.assert_allclose(times, np.arange(8) / 25, atol=1e-3)
    assert difference(found, np.rot90(images, -options.get("rotation", 0) // 90, axes=(1, 2))) <= limit


def test_variable_frame_rate(tmp_path):
    times = np.array([0, 0.033, 0.1, 0.1, 0.7, 0.7166])
    with VideoWriter(tmp_path / "a.mp4", 96, 64) as writer:
        for image, time in zip(numbered(6), times, strict=True):
            writer.write(image, time)
    found, images = read(tmp_path / "a.mp4")
    np.testing.assert_allclose(found, times, atol=1e-4)
    assert np.abs(images.mean((1, 2, 3)) - [shade(t) for t in range(6)]).max() < 3


def test_odd_sizes_are_padded(tmp_path):
    image = pattern(1, 95, 63)[0]
    with VideoWriter(tmp_path / "a.mp4", 95, 63) as writer:
        writer.write(image)
    found = read(tmp_path / "a.mp4")[1][0]
    assert found.shape == (64, 96, 3)
    assert difference(found[:63, :95], image) < 4


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), VideoWriter(path, 96, 64) as writer:
        writer.write(pattern(1)[0])
        raise RuntimeError
    assert path.read_bytes() == b"old"
    with pytest.raises(SetupError, match="no_such_codec"):
        VideoWriter(path, 96, 64, codec="no_such_codec")
    with pytest.raises(ValueError, match="shape"), VideoWriter(path, 96, 64) as writer:
        writer.write(pattern(1, 48, 48)[0])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


CODECS = {"libx264": 4, "libx265": 4, "libvpx-vp9": 4, "libsvtav1": 6, "mpeg4": 5, "mjpeg": 5, "ffv1": 0}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [1, 5])
def test_reencode(codec, count):
    av = pytest.importorskip("av")
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg build has no {codec}")
    images = pattern(count)
    assert difference(reencode(images, codec=codec, crf=20), images) <= CODECS[codec]


@given(st.integers(16, 80), st.integers(16, 80), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_reencode_keeps_the_shape(width, height, count):
    images = pattern(count, width, height)
    assert reencode(images, crf=18).shape == images.shape


def test_reencode_gets_worse_with_crf():
    noisy = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    for codec in ("libx264", "mpeg4"):
        errors = [difference(reencode(noisy, codec=codec, crf=crf), noisy) for crf in (10, 25, 40)]
        assert errors == sorted(errors) and errors[0] < errors[2]
    with pytest.raises(SetupError, match="no_such"):
        reencode(noisy, codec="no_such")
    with pytest.raises(SetupError, match="images"):
        reencode(noisy[0])

"""What a file is, and what is refused before any decoder sees it."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from samples.clips import make_clip, pattern
from vidscan.errors import InputError, NotFoundError, UnreadableError
from vidscan.media import open_video, sniff, write_png


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.mp4", {}, "mp4"),
        ("a.mov", {}, "mov"),
        ("a.mkv", {}, "matroska"),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}, "webm"),
        ("a.avi", {"codec": "mpeg4"}, "avi"),
        ("a.ts", {}, "mpegts"),
        ("a.m2ts", {}, "mpegts"),
        ("a.flv", {}, "flv"),
        ("a.mpg", {"codec": "mpeg2video"}, "mpeg"),
        ("a.wmv", {"codec": "wmv2"}, "asf"),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}, "gif"),
    ],
)
def test_content_decides_not_the_name(tmp_path, name, options, kind):
    path = make_clip(tmp_path / name, pattern(3), **options)
    assert sniff(path) == kind
    assert sniff(path.rename(tmp_path / "wrong.txt")) == kind


def test_wrong_extension_opens(tmp_path):
    path = make_clip(tmp_path / "a.mkv", pattern(3)).rename(tmp_path / "a.jpg")
    assert open_video(path).info.container == "matroska"
    write_png(tmp_path / "b.mp4", pattern(1)[0])
    assert open_video(tmp_path / "b.mp4").info.container == "png"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\nhttp://127.0.0.1:9/a.ts\n",
        "\ufeff#EXTM3U\nfile:///etc/hostname\n",
        "ffconcat version 1.0\nfile /etc/hostname\n",
        "[playlist]\nFile1=/etc/hostname\n",
        '<?xml version="1.0"?><MPD></MPD>',
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_playlists_are_refused(tmp_path, text, name):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(UnreadableError, match="playlist"):
        open_video(tmp_path / name)


def test_what_is_no_file(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        open_video(tmp_path / "missing.mp4")
    with pytest.raises(NotFoundError):
        open_video("a\0b")
    with pytest.raises(UnreadableError, match="directory"):
        open_video(tmp_path)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UnreadableError, match="empty"):
        open_video(tmp_path / "empty.mp4")
    with pytest.raises(NotFoundError):
        open_video(tmp_path / "empty.mp4" / "below")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifo_and_device_do_not_block(tmp_path):
    os.mkfifo(tmp_path / "fifo.mp4")
    for path in (tmp_path / "fifo.mp4", "/dev/zero"):
        with pytest.raises(UnreadableError, match="not a regular file"):
            open_video(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = make_clip(tmp_path / "a.mp4", pattern(2))
    path.chmod(0)
    with pytest.raises(UnreadableError, match="permission"):
        open_video(path)


@given(st.binary(min_size=1, max_size=600))
@example(b"\0" * 600)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_kind_or_one_line(tmp_path, data):
    path = tmp_path / "bytes"
    path.write_bytes(data)
    try:
        assert sniff(path)
    except InputError as error:
        assert error.code == "unreadable" and "\n" not in str(error)

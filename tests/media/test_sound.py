"""What goes along with the pictures: sound, tags, gray frames, a picture's comment."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from samples.clips import make_clip, pattern
from vidscan.errors import NotFoundError
from vidscan.media import VideoWriter, write_png

av = pytest.importorskip("av")


def sound(path: Path) -> tuple[str, float, float]:
    """Codec, start and end in seconds of a file's sound."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        packets = [p for p in container.demux(stream) if p.pts is not None]
        base = float(stream.time_base)
        return (
            stream.codec_context.name,
            packets[0].pts * base,
            (packets[-1].pts + packets[-1].duration) * base,
        )


def copy(clip: Path, target: Path) -> bool:
    with VideoWriter(target, 96, 64, fps=25, sound_of=clip) as writer:
        for image in pattern(20):
            writer.write(image)
        return writer.has_sound


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_sound_goes_along_unchanged(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "a.mp4", sound=True)
    assert copy(clip, tmp_path / name)
    codec, start, end = sound(tmp_path / name)
    was = sound(clip)
    assert codec == was[0] == "aac"
    assert (start, end) == pytest.approx(was[1:], abs=0.03)


def test_sound_keeps_time_with_pictures_that_begin_late(tmp_path: Path) -> None:
    times = [0.5 + i / 25 for i in range(20)]
    clip = make_clip(tmp_path / "a.mkv", times=times, sound=True)
    assert copy(clip, tmp_path / "b.mkv")
    assert sound(tmp_path / "b.mkv")[2] == pytest.approx(sound(clip)[2] - 0.5, abs=0.05)


def test_no_sound_and_no_clip(tmp_path: Path) -> None:
    assert not copy(make_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4")
    write_png(tmp_path / "a.png", pattern(1)[0])
    assert not copy(tmp_path / "a.png", tmp_path / "b.mp4")
    with pytest.raises(NotFoundError):
        copy(tmp_path / "gone.mp4", tmp_path / "c.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.png", "b.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_tags(tmp_path: Path, name: str) -> None:
    with VideoWriter(tmp_path / name, 96, 64, metadata={"title": "a", "comment": "b c"}) as writer:
        writer.write(pattern(1)[0])
    with av.open(str(tmp_path / name)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert (tags["title"], tags["comment"]) == ("a", "b c")


@pytest.mark.parametrize(("width", "height"), [(96, 64), (95, 63)])
def test_grey_frames_keep_every_level(tmp_path: Path, width: int, height: int) -> None:
    levels = (np.arange(width * height) % 256).astype(np.uint8).reshape(height, width)
    path = tmp_path / "a.mkv"
    with VideoWriter(path, width, height, codec="ffv1", pix_fmt="gray") as writer:
        writer.write(levels)
        with pytest.raises(ValueError, match="shape"):
            writer.write(np.zeros((height, width, 3), np.uint8))
    with av.open(str(path)) as container:
        (frame,) = container.decode(video=0)
    assert frame.format.name == "gray"
    assert (frame.to_ndarray() == levels).all()


def test_a_picture_carries_its_comment(tmp_path: Path) -> None:
    image = pattern(1)[0]
    write_png(tmp_path / "a.png", image, comment="forged")
    assert b"tEXtComment\0forged" in (tmp_path / "a.png").read_bytes()
    assert (cv2.imread(str(tmp_path / "a.png"))[..., ::-1] == image).all()

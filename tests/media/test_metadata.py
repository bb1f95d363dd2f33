"""What a file says of itself."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from samples.clips import make_clip
from vidscan.errors import NotFoundError, UnreadableError
from vidscan.media.metadata import read_metadata


def test_a_clip(tmp_path: Path) -> None:
    plain = make_clip(tmp_path / "plain.mp4", sound=True)
    tagged = tmp_path / "tagged.mkv"
    with av.open(str(plain)) as source, av.open(str(tagged), "w") as target:
        target.metadata["title"] = "t" * 5000
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    found = read_metadata(plain)
    assert found["container"] == "mp4" and found["streams"] == "video, audio"
    assert (found["video codec"], found["video size"], found["audio codec"]) == ("h264", "96 x 64", "aac")
    assert found["video average frame rate"] == "25 /s" and found["audio rate"] == "16000 Hz"
    found = read_metadata(tagged)
    title = next(value for name, value in found.items() if name.lower() == "file title")
    assert found["container"] == "matroska" and title == "t" * 200 and "audio codec" not in found


def test_a_photo(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0110] = "Camera 3"
    image.save(tmp_path / "photo.jpg", exif=exif)
    found = read_metadata(tmp_path / "photo.jpg")
    assert (found["container"], found["size"], found["exif model"]) == ("jpeg", "30 x 20", "Camera 3")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes()[:12])
    assert read_metadata(tmp_path / "broken.jpg") == {"container": "jpeg"}


def test_no_media(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_metadata(tmp_path / "gone.mp4")
    (tmp_path / "words.mp4").write_text("words")
    with pytest.raises(UnreadableError):
        read_metadata(tmp_path / "words.mp4")

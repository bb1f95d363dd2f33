"""Still pictures and animations."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from samples.clips import difference, pattern
from vidscan.errors import CorruptError, TooLargeError
from vidscan.media import open_video, write_png

IMAGE = pattern(1)[0]


def read(path, **options):
    with open_video(path, **options) as source:
        (chunk,) = list(source)
    assert chunk.times.tolist() == [0.0] and chunk.first_index == 0
    return source, chunk.images[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_formats(tmp_path, suffix, size):
    image = IMAGE[: size[0], : size[1]]
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), image[..., ::-1])
    source, found = read(tmp_path / f"a.{suffix}")
    assert difference(found, image) < 5
    assert source.info.decoder == "opencv" and source.info.fps is None
    with pytest.raises(TooLargeError):
        open_video(tmp_path / f"a.{suffix}", max_pixels=size[0] * size[1] - 1)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_exif_orientation(tmp_path, orientation, turns):
    jpeg = cv2.imencode(".jpg", IMAGE[..., ::-1])[1].tobytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:])
    assert difference(read(path)[1], np.rot90(IMAGE, turns)) < 4


def test_grey_sixteen_bits_and_alpha(tmp_path):
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, IMAGE[..., 0])
    assert difference(read(path)[1], np.repeat(IMAGE[..., :1], 3, -1)) == 0
    cv2.imwrite(path, IMAGE[..., ::-1].astype(np.uint16) * 257)
    assert difference(read(path)[1], IMAGE) < 1
    alpha = np.full((*IMAGE.shape[:2], 1), 255, np.uint8)
    alpha[:10] = 0
    cv2.imwrite(path, np.concatenate([IMAGE[..., ::-1], alpha], -1))
    found = read(path)[1]
    assert (found[:10] == 255).all() and difference(found[10:], IMAGE[10:]) == 0


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_cut_off_header(tmp_path, suffix):
    data = cv2.imencode(f".{suffix}", IMAGE)[1].tobytes()
    (tmp_path / "a").write_bytes(data[:20])
    with pytest.raises(CorruptError):
        open_video(tmp_path / "a")


def test_animated_webp(tmp_path):
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animations")
    animation = cv2.Animation()
    animation.frames = [
        np.dstack([image[..., ::-1], np.full(image.shape[:2], 255, np.uint8)]) for image in pattern(4)
    ]
    animation.durations = np.array([40] * 4)
    path = tmp_path / "a.webp"
    if not cv2.imwriteanimation(str(path), animation):
        pytest.skip("this OpenCV writes no animated WebP")
    with open_video(path) as source:
        chunks = list(source)
    images = np.concatenate([chunk.images for chunk in chunks])
    assert difference(images, pattern(4)) < 8
    np.testing.assert_allclose(np.concatenate([chunk.times for chunk in chunks]), np.arange(4) * 0.04)


def test_write_png(tmp_path):
    for image in (IMAGE, IMAGE[..., 1], IMAGE[::2, ::2]):
        write_png(tmp_path / "a.png", image)
        expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, -1)
        assert difference(read(tmp_path / "a.png")[1], expected) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "b.png", IMAGE.astype(float))
    with pytest.raises(OSError):
        write_png(tmp_path / "missing" / "b.png", IMAGE)

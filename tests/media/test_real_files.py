"""Files as telephones, cameras and converters write them, each against its plain twin."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from samples.clips import COUNT, FPS, difference, make_clip, numbered, pattern, shade
from samples.heic import write_grid
from samples.real_files import encode, frames_of, set_matrix, write_hdr
from tests.media.test_source import read
from vidscan.errors import NoVideoStreamError, TooLargeError
from vidscan.media import open_video
from vidscan.media.clock import Clock, broken
from vidscan.media.metadata import read_metadata
from vidscan.media.motion_photo import embedded_video
from vidscan.media.quantiser import within
from vidscan.media.sniff import is_picture, sniff

IMAGE = pattern(1, 192, 128)[0]


def codes(source) -> list[str]:
    return [note.code for note in source.warnings]


# --------------------------------------------------------------------------- HEIF and AVIF


@pytest.mark.parametrize(("turns", "mirror"), [(0, False), (1, False), (3, True)])
def test_a_picture_of_tiles_is_assembled(tmp_path: Path, turns: int, mirror: bool) -> None:
    path = write_grid(tmp_path / "a.heic", IMAGE, 64, turns=turns, mirror=mirror)
    source, _, images = read(path)
    # imir is made first where it is listed first.
    expected = np.rot90(IMAGE[:, ::-1] if mirror else IMAGE, turns)
    assert images.shape[0] == 1 and difference(images[0], np.ascontiguousarray(expected)) < 5
    assert source.info.container == "heif" and source.info.duration_s is None and source.warnings == []
    with pytest.raises(TooLargeError):
        open_video(path, max_pixels=IMAGE.shape[0] * IMAGE.shape[1] - 1)


@pytest.mark.parametrize("suffix", ["avif", "tiff", "jp2", "heic"])
def test_pictures_that_opencv_need_not_know(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    options = {"quality": 95} if suffix in ("avif", "heic") else {}
    path = tmp_path / "a.picture"
    names = {"avif": "AVIF", "tiff": "TIFF", "jp2": "JPEG2000", "heic": "HEIF"}
    Image.fromarray(IMAGE).save(path, names[suffix], **options)
    source, _, images = read(path)
    assert sniff(path) == source.info.container and source.info.decoder == "pillow"
    assert images.shape[0] == 1 and difference(images[0], IMAGE) < 5


# --------------------------------------------------------------------------- high dynamic range


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_looks_like_its_plain_twin(tmp_path: Path, transfer: int, name: str) -> None:
    plain = pattern(6) // 3 * 2 + 20  # below the knee
    path = write_hdr(tmp_path / "a.mp4", plain, transfer)
    source, _, images = read(path)
    assert difference(images, plain) < 6
    assert np.abs(images.mean((0, 1, 2)) - plain.mean((0, 1, 2))).max() < 2
    (note,) = source.warnings
    assert note.code == "tone_mapped" and name in note.message and "BT.2020" in note.message
    assert name in read_metadata(path)["video transfer"]


# --------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(2, 3)])
def test_pixels_that_are_not_square(tmp_path: Path, aspect: Fraction) -> None:
    plain = pattern(4, 96, 64)
    squeezed = pattern(4, 96, 64)
    import cv2

    size = (72, 64) if aspect > 1 else (96, 64)
    shown = (96, 64) if aspect > 1 else (96, 96)
    squeezed = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in plain])
    expected = np.stack([cv2.resize(image, shown, interpolation=cv2.INTER_CUBIC) for image in squeezed])
    path = encode(tmp_path / "a.mp4", [frames_of(squeezed)], sample_aspect_ratio=aspect)
    source, _, images = read(path)
    assert (source.info.width, source.info.height) == shown
    assert difference(images, expected) < 4
    with pytest.raises(TooLargeError):
        open_video(path, max_pixels=shown[0] * shown[1] - 1)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
    ],
    ids=["mirror", "flip", "turn", "transpose", "transverse"],
)
def test_a_display_matrix_may_mirror(tmp_path: Path, matrix: tuple, shown) -> None:
    path = make_clip(tmp_path / "a.mp4", pattern(4))
    set_matrix(path, matrix)
    source, _, images = read(path)
    assert difference(images, np.stack([shown(image) for image in pattern(4)])) < 4
    assert (source.info.mirrored, source.info.rotation) == {
        (-1, 0, 0, 1): (True, 0),
        (1, 0, 0, -1): (True, 180),
        (0, 1, -1, 0): (False, 90),
        (0, 1, 1, 0): (True, 270),
        (0, -1, -1, 0): (True, 90),
    }[matrix]


# --------------------------------------------------------------------------- streams


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_small_preview_is_not_the_clip(tmp_path: Path, suffix: str) -> None:
    small, large = pattern(8, 32, 32), pattern(8, 96, 64)
    path = encode(tmp_path / f"a.{suffix}", [frames_of(small), frames_of(large)])
    source, _, images = read(path)
    assert difference(images, large) < 4
    (note,) = source.warnings
    assert note.code == "other_streams" and "0: h264, 32 x 32" in note.message
    source, _, images = read(path, stream=0)
    assert difference(images, small) < 6 and "1: h264, 96 x 64" in source.warnings[0].message
    assert "96 x 64" in read_metadata(path)["video streams"]
    assert read_metadata(path, 0)["video size"] == "32 x 32"
    with pytest.raises(NoVideoStreamError, match="stream 7 is not one of"):
        open_video(path, stream=7)


def test_the_default_stream_is_the_clip(tmp_path: Path) -> None:
    from av.stream import Disposition

    black, wanted = np.zeros((8, 72, 104, 3), np.uint8), pattern(8)
    path = encode(
        tmp_path / "a.mkv",
        [frames_of(black), frames_of(wanted)],
        dispositions=[Disposition(0), Disposition.default],
    )
    source, _, images = read(path)
    assert difference(images, wanted) < 4 and codes(source) == ["other_streams"]


# --------------------------------------------------------------------------- several pictures


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("alpha", [False, True])
def test_orientation_of_png_and_webp(tmp_path: Path, suffix: str, orientation: int, alpha: bool) -> None:
    from PIL import Image, ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(IMAGE)
    if alpha:
        picture.putalpha(255)
        picture.putpixel((0, 0), (0, 0, 0, 0))
    path = tmp_path / f"a.{suffix}"
    picture.save(path, exif=exif, lossless=True)
    with Image.open(path) as saved:
        expected = np.array(ImageOps.exif_transpose(saved).convert("RGB"))
    found = read(path)[2][0]
    assert difference(found[1:-1, 1:-1], expected[1:-1, 1:-1]) < 0.1


@pytest.mark.parametrize("suffix", ["png", "webp", "avif"])
def test_animated_pictures_are_clips(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    images = numbered(5)
    pictures = [Image.fromarray(image) for image in images]
    path = tmp_path / f"a.{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=200, quality=95)
    source, times, found = read(path)
    assert np.abs(found.mean((1, 2, 3)) - [shade(t) for t in range(5)]).max() < 3
    np.testing.assert_allclose(times, np.arange(5) * 0.2, atol=0.01)
    assert source.info.fps == pytest.approx(5, rel=0.05)
    assert source.info.duration_s == pytest.approx(1.0, rel=0.05) and source.warnings == []
    assert len(read(path, chunk=2, max_duration_s=0.5)[1]) == 3


def test_the_pages_of_a_tiff_are_all_read(tmp_path: Path) -> None:
    from PIL import Image

    first, wide = IMAGE, np.repeat(IMAGE, 2, axis=1)
    path = tmp_path / "a.tiff"
    thumbnail = Image.fromarray(IMAGE[::4, ::4])
    pages = [Image.fromarray(wide), Image.fromarray(first)]
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(first).save(path, save_all=True, append_images=pages)
    source, times, found = read(path)
    assert times.tolist() == [0, 1, 2] and source.info.duration_s == 3
    assert difference(found[0], first) == 0 and difference(found[2], first) == 0
    # Another shape is not stretched.
    assert (found[1, 64:] == 0).all() and difference(found[1, :64], first[::2]) < 15


def test_a_broken_rest_of_an_animation_is_told(tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3)).astype(np.uint8)
    pictures = [Image.fromarray(image) for image in noise]
    path = tmp_path / "a.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source, _, found = read(path)
    assert 1 <= len(found) < 5 and codes(source) == ["damaged"]
    assert difference(found[0], noise[0]) == 0


@pytest.mark.parametrize("suffix", ["jpg", "heic"])
def test_a_motion_photo_holds_both(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    clip = make_clip(tmp_path / "a.mp4")
    path = tmp_path / f"a.{suffix}"
    if suffix == "jpg":
        Image.fromarray(IMAGE).save(path, quality=95)
        tail = clip.read_bytes()
    else:
        write_grid(path, IMAGE, 64)
        tail = struct.pack(">I4s", 8 + clip.stat().st_size, b"mpvd") + clip.read_bytes()
    photo = path.read_bytes()
    assert embedded_video(path, sniff(path)) is None
    path.write_bytes(photo + tail)
    assert embedded_video(path, sniff(path)) == len(photo) + len(tail) - clip.stat().st_size
    assert difference(read(path)[2][0], IMAGE) < 5
    source, times, images = read(path, embedded=True)
    assert difference(images, pattern()) < 4 and source.info.container == "mp4"
    np.testing.assert_allclose(times, np.arange(COUNT) / FPS, atol=1e-6)
    assert "motion photo" in read_metadata(path)["video"]


def test_a_gif_of_one_picture_is_a_picture(tmp_path: Path) -> None:
    for count in (1, 3):
        source, _, images = read(
            make_clip(tmp_path / f"{count}.gif", pattern(count), codec="gif", pix_fmt="rgb8")
        )
        assert len(images) == count
        assert is_picture(source.info.container, source.info.duration_s) == (count == 1)
        assert codes(source) == ["palette"]


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 1e6])
def test_floats_are_gray_of_any_range(tmp_path: Path, white: float) -> None:
    from PIL import Image

    grey = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    levels = white * grey
    levels[0, :2] = np.nan, -white
    Image.fromarray(levels).save(tmp_path / "a.tif")
    _, _, images = read(tmp_path / "a.tif")
    assert (images[0, 0, :2] == 0).all()
    assert difference(images[0, 1:], np.rint(255 * grey[1:])[..., None].repeat(3, -1).astype(np.uint8)) < 1


def test_the_palette_of_a_gif_is_told(tmp_path: Path) -> None:
    source, _, _ = read(make_clip(tmp_path / "a.gif", codec="gif", pix_fmt="rgb8"))
    assert codes(source) == ["palette"]


# --------------------------------------------------------------------------- clocks


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_a_cut_recording_that_keeps_its_clock_is_as_long_as_it_is(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    times = [500 + t / FPS for t in range(COUNT)]
    path = make_clip(tmp_path / f"late.{suffix}", numbered(COUNT), codec=codec, times=times)
    source, found, _ = read(path)
    assert source.info.duration_s == pytest.approx(COUNT / FPS, abs=0.05)
    assert found[-1] == pytest.approx((COUNT - 1) / FPS, abs=0.002)
    assert source.warnings == []


def test_joined_transport_streams_have_one_clock(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.ts", numbered(10))
    late = make_clip(tmp_path / "late.ts", numbered(10), times=[5000 + t / FPS for t in range(10)])
    for name, parts in (("back", [late, one]), ("ahead", [one, late])):
        path = tmp_path / f"{name}.ts"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        source, times, images = read(path)
        assert len(times) >= 18 and "time_stamps" in codes(source)
        steps = np.diff(times)
        assert steps.min() > 0 and steps.max() < 3 / FPS
        assert source.info.duration_s == pytest.approx(len(times) / FPS, abs=0.1)
        levels = images.mean((1, 2, 3))
        assert abs(levels[0] - shade(0)) < 3 and abs(levels[-1] - shade(9)) < 3


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_a_leap_in_an_mp4(tmp_path: Path, decoder: str) -> None:
    times = [t / FPS + (95_443 if t >= 10 else 0) for t in range(20)]
    path = make_clip(tmp_path / "a.mp4", numbered(20), times=times)
    source, found, images = read(path, decoder=decoder)
    np.testing.assert_allclose(found, np.arange(20) / FPS, atol=0.05)
    assert codes(source) == ["time_stamps"] and source.info.duration_s == pytest.approx(0.8, abs=0.1)
    assert np.abs(images.mean((1, 2, 3)) - [shade(t) for t in range(20)]).max() < 3


def test_the_clock() -> None:
    def run(stamps: list[float | None], kind: str = "mp4") -> tuple[list[float], dict[str, int]]:
        clock = Clock(25, kind)
        return [round(clock.time(stamp), 6) for stamp in stamps], clock.mended

    assert run([-0.08, -0.04, 0, 0.04]) == ([0, 0.04, 0.08, 0.12], {})
    assert run([None, 7.0, 7.04]) == ([0, 0.04, 0.08], {"missing": 1})
    assert run([3.0, None, None, 3.12]) == ([0, 0.04, 0.08, 0.12], {"missing": 2})
    assert run([0, 0.04, 0.02, 0.08]) == ([0, 0.04, 0.04, 0.08], {})  # jitter
    assert run([0, 30.0]) == ([0, 30.0], {})  # a still in a clip of varying rate
    assert run([0, 30.0], "mpegts") == ([0, 0.04], {"leaping ahead": 1})
    assert run([50.0, 0.0, 0.04]) == ([0, 0.04, 0.08], {"set back": 1})
    assert broken(np.array([0, 95_000.0]), "mp4") and broken(np.array([9.0, 0]), "mp4")
    assert not broken(np.array([0.08, 0, 0.04]), "mp4") and not broken(np.zeros(0), "mp4")


# --------------------------------------------------------------------------- compression


def test_the_quantiser_is_known_part_by_part(tmp_path: Path) -> None:
    """A noisy square on a still ground, coded coarsely and finely: the file's size hides which is which."""
    noise = np.full((6, 96, 128, 3), 90, np.uint8)
    noise[:, 32:64, 64:96] = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3))
    box = (64.0, 32.0, 96.0, 64.0)
    for quantiser in (20, 44):
        path = make_clip(tmp_path / "a.mp4", noise, options={"qp": str(quantiser), "aq-mode": "0"})
        with open_video(path) as source:
            (chunk,) = list(source)
        assert chunk.quantisers is not None and chunk.quantisers.shape == (6, 6, 8)
        assert abs(within(chunk.quantisers[2], box, (128, 96)) - quantiser) <= 4
    turned = make_clip(tmp_path / "b.mp4", noise, rotation=90)
    with open_video(turned) as source:
        (chunk,) = list(source)
    assert chunk.quantisers is not None and chunk.quantisers.shape == (6, 8, 6)
    with open_video(make_clip(tmp_path / "c.mkv", codec="ffv1")) as source:
        assert all(chunk.quantisers is None for chunk in source)


def test_where_a_box_lies_in_the_quantisers() -> None:
    quantisers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert within(quantisers, (16, 16, 31, 31), (64, 48)) == 5
    assert within(quantisers, (-40, -40, 15, 15), (64, 48)) == 0
    assert within(quantisers, (60, 40, 900, 900), (64, 48)) == 11
    assert within(quantisers, (0, 0, 64, 48), (64, 48)) == quantisers.mean()

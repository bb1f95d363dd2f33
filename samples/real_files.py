"""Kinds of files that telephones, cameras and converters write, made of the frames of a clip.

Each kind names the plain file of the same content that it is to be judged like, and where people told of it.
Used by tests and by ``benchmarks/compatibility.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from samples.clips import FPS, make_clip
from samples.heic import write_grid

Frames = NDArray[np.uint8]


def encode(path: Path, streams: list[list], **given) -> Path:
    """Several video streams of ready frames; ``given`` are attributes of the codec context."""
    av = pytest.importorskip("av")
    codec = given.pop("codec", "libx264")
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg build has no {codec}")
    dispositions = given.pop("dispositions", [])
    options = given.pop("options", {})
    with av.open(str(path), "w") as container:
        made = []
        for frames in streams:
            stream = container.add_stream(codec, rate=FPS)
            stream.width, stream.height, stream.pix_fmt = (
                frames[0].width,
                frames[0].height,
                frames[0].format.name,
            )
            context = stream.codec_context
            context.options, context.time_base = {"g": "10", **options}, Fraction(1, FPS)
            for name, value in given.items():
                setattr(context, name, value)
            made.append(stream)
        for stream, disposition in zip(made, dispositions, strict=False):
            stream.disposition = disposition
        for stream, frames in zip(made, streams, strict=True):
            for index, frame in enumerate(frames):
                frame.pts, frame.time_base = index, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        for stream in made:
            container.mux(stream.encode(None))
    return path


def frames_of(images: NDArray[np.uint8]) -> list:
    av = pytest.importorskip("av")
    return [av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p") for image in images]


def hdr_code(image: NDArray[np.uint8], transfer: int) -> NDArray[np.uint16]:
    """What a camera would have coded of the same scene: 16-bit R'G'B' of BT.2020, white at 203 cd/m2."""
    light = (image / 255.0) ** 2.4
    to_2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]  # BT.2087
    nits = 203 * light @ np.array(to_2020).T
    if transfer == 16:
        power = (nits / 10_000) ** 0.1593017578125
        code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        luminance = nits @ [0.2627, 0.6780, 0.0593]
        scene = nits / 1000 * (np.maximum(luminance, 1e-9) / 1000)[..., None] ** (1 / 1.2 - 1)
        curve = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        code = np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)
    return np.rint(np.clip(code, 0, 1) * 65535).astype(np.uint16)


def write_hdr(path: Path, images: Frames, transfer: int) -> Path:
    """HEVC in 10 bits with BT.2020 primaries; ``transfer`` 16 is PQ, 18 HLG."""
    av = pytest.importorskip("av")
    coded = []
    for image in images:
        frame = av.VideoFrame.from_ndarray(hdr_code(image, transfer), format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
        frame.color_trc, frame.color_primaries = transfer, 9
        coded.append(frame)
    return encode(
        path,
        [coded],
        codec="libx265",
        options={"crf": "10", "preset": "veryfast", "x265-params": "log-level=error:pools=1"},
        colorspace=9,
        color_range=1,
        color_trc=transfer,
        color_primaries=9,
    )


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write the display matrix (a, b, c, d) into the header of the only track of an MP4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 8 + (32 if data[data.index(b"tkhd") + 4] else 20) + 16
    a, b, c, d = (v << 16 for v in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    what
        In words.
    make
        Writes it into a folder, of (T, H, W, 3) frames; returns its path.
    twin
        The plain file that it is to be judged like: ``clip``, ``photo`` or another name of ``TWINS``;
        empty where it is to be refused.
    source
        Public reports of what goes wrong with it.
    treatment
        ``read`` as it is, ``converted`` before it is looked at, or ``refused``.
    """

    what: str
    make: Callable[[Path, Frames], Path]
    twin: str
    source: str
    treatment: str = "read"


QUALITY = {"crf": "14"}


def clip(folder: Path, images: Frames, name: str = "clip.mp4", **options) -> Path:
    return make_clip(folder / name, images, options=QUALITY, **options)


def photo(folder: Path, images: Frames, name: str = "photo.png", **options) -> Path:
    from PIL import Image

    Image.fromarray(images[len(images) // 2]).save(folder / name, **options)
    return folder / name


def slow(images: Frames) -> Frames:
    """Five frames per second."""
    return images[::5]


def _slow_clip(folder: Path, images: Frames) -> Path:
    times = [n / 5 for n in range(len(slow(images)))]
    return clip(folder, slow(images), "slow.mp4", times=times)


def _soft_clip(folder: Path, images: Frames) -> Path:
    """What squeezing to three quarters of the width leaves of the detail."""
    height, width = images.shape[1:3]
    return clip(folder, np.stack([_sized(_sized(i, width * 3 // 4, height), width, height) for i in images]))


TWINS: dict[str, Callable[[Path, Frames], Path]] = {
    "clip": clip,
    "photo": photo,
    "slow clip": _slow_clip,
    "soft clip": _soft_clip,
}


def _sized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    smaller = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _tiles(folder: Path, images: Frames) -> Path:
    image = images[len(images) // 2]
    size = [side // 64 * 64 for side in image.shape[:2]]
    return write_grid(folder / "a.heic", image[: size[0], : size[1]], 64)


def _animated(suffix: str, **options) -> Callable[[Path, Frames], Path]:
    def make(folder: Path, images: Frames) -> Path:
        from PIL import Image

        pictures = [Image.fromarray(image) for image in slow(images)]
        path = folder / f"a.{suffix}"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=200, **options)
        return path

    return make


def _exif(suffix: str) -> Callable[[Path, Frames], Path]:
    def make(folder: Path, images: Frames) -> Path:
        from PIL import Image

        exif = Image.Exif()
        exif[0x0112] = 6
        picture = Image.fromarray(np.rot90(images[len(images) // 2]))
        picture.putalpha(255)
        picture.putpixel((0, 0), (0, 0, 0, 0))
        picture.save(folder / f"a.{suffix}", exif=exif, lossless=True)
        return folder / f"a.{suffix}"

    return make


def _motion_photo(folder: Path, images: Frames) -> Path:
    path = photo(folder, np.zeros_like(images[:1]), "a.jpg")
    path.write_bytes(path.read_bytes() + clip(folder, images).read_bytes())
    return path


def _squeezed(folder: Path, images: Frames) -> Path:
    height, width = images.shape[1:3]
    narrow = np.stack([_sized(image, width * 3 // 4, height) for image in images])
    return encode(folder / "a.mp4", [frames_of(narrow)], sample_aspect_ratio=Fraction(4, 3), options=QUALITY)


def _mirrored(folder: Path, images: Frames) -> Path:
    return set_matrix(clip(folder, np.ascontiguousarray(images[:, :, ::-1])), (-1, 0, 0, 1))


def _preview_first(folder: Path, images: Frames) -> Path:
    small = np.stack([_sized(image, 96, 96) for image in images])
    return encode(folder / "a.mp4", [frames_of(small), frames_of(images)], options=QUALITY)


def _joined(folder: Path, images: Frames) -> Path:
    half = len(images) // 2
    late = [5000 + n / FPS for n in range(half)]
    parts = [
        clip(folder, images[:half], "one.ts", times=late),
        clip(folder, images[half:], "two.ts"),
    ]
    (folder / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    return folder / "a.ts"


def _leap(folder: Path, images: Frames) -> Path:
    times = [n / FPS + (95_443 if n >= len(images) // 2 else 0) for n in range(len(images))]
    return clip(folder, images, "a.mp4", times=times)


def _varying(folder: Path, images: Frames) -> Path:
    steps = [0.02 if n % 3 else 0.08 for n in range(len(images))]
    return clip(folder, images, "a.mp4", times=[float(t) for t in np.cumsum(steps) - steps[0]])


def _fragmented(folder: Path, images: Frames) -> Path:
    import av

    with (
        av.open(str(clip(folder, images))) as source,
        av.open(
            str(folder / "a.mp4"), "w", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        ) as target,
    ):
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return folder / "a.mp4"


def _changing_format(folder: Path, images: Frames) -> Path:
    """Motion JPEG whose first frame has other chroma than the rest."""
    import av

    with av.open(str(folder / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt, stream.codec_context.color_range = "yuvj420p", 2
        for number, image in enumerate(images):
            picture = cv2.imencode(
                ".jpg",
                image[..., ::-1],
                [
                    cv2.IMWRITE_JPEG_QUALITY,
                    96,
                    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                    0x211111 if number == 0 else 0x221111,
                ],
            )[1]
            packet = av.Packet(picture.tobytes())
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, FPS)
            container.mux(packet)
    return folder / "a.avi"


def _named_heic(folder: Path, images: Frames) -> Path:
    return photo(folder, images, "a.jpg", quality=97).rename(folder / "a.heic")


def _cmyk(folder: Path, images: Frames) -> Path:
    from PIL import Image

    picture = Image.fromarray(images[len(images) // 2]).convert("CMYK")
    picture.save(folder / "a.jpg", quality=97)
    return folder / "a.jpg"


def _deep_tiff(folder: Path, images: Frames) -> Path:
    deep = images[len(images) // 2][..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(str(folder / "a.tiff"), deep)
    return folder / "a.tiff"


def _playlist(folder: Path, images: Frames) -> Path:
    (folder / "a.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{clip(folder, images)}\n")
    return folder / "a.m3u8"


def _still(kind: str, **options) -> Callable[[Path, Frames], Path]:
    def make(folder: Path, images: Frames) -> Path:
        if kind == "HEIF":
            pytest.importorskip("pillow_heif").register_heif_opener()
        return photo(folder, images, "a.picture", format=kind, **options)

    return make


def _hub(*threads: str) -> str:
    return ", ".join(
        f"[{thread}](https://github.com/{thread.replace('#', '/issues/')})" for thread in threads
    )


KINDS: dict[str, Kind] = {
    "heic_tiles": Kind("HEIC made of tiles", _tiles, "photo", ""),
    "heic_single": Kind("HEIC in one piece", _still("HEIF", quality=95), "photo", ""),
    "avif": Kind("AVIF", _still("AVIF", quality=95), "photo", ""),
    "hlg": Kind(
        "HDR video, HLG",
        lambda folder, images: write_hdr(folder / "a.mp4", images, 18),
        "clip",
        _hub("immich-app/immich#14789", "Xanashi/Icaros#220"),
        "converted",
    ),
    "pq": Kind(
        "HDR video, PQ",
        lambda folder, images: write_hdr(folder / "a.mp4", images, 16),
        "clip",
        _hub("immich-app/immich#14466"),
        "converted",
    ),
    "pixel_aspect": Kind("Pixels of 4:3", _squeezed, "soft clip", "", "converted"),
    "mirrored": Kind("Display matrix that mirrors", _mirrored, "clip", "", "converted"),
    "turned": Kind(
        "Turned by 90 degrees, unsaid",
        lambda folder, images: clip(folder, np.ascontiguousarray(np.rot90(images, -1, (1, 2)))),
        "clip",
        _hub("deepfakes/faceswap#253", "timesler/facenet-pytorch#229"),
    ),
    "preview_first": Kind("Small preview stream first", _preview_first, "clip", ""),
    "exif_png": Kind(
        "PNG with alpha, turned by EXIF", _exif("png"), "photo", _hub("dacr/sotohp#30"), "converted"
    ),
    "exif_webp": Kind("WebP with alpha, turned by EXIF", _exif("webp"), "photo", "", "converted"),
    "apng": Kind("Animated PNG", _animated("png"), "slow clip", ""),
    "webp": Kind("Animated WebP", _animated("webp", quality=95), "slow clip", ""),
    "avif_sequence": Kind("Animated AVIF", _animated("avif", quality=95), "slow clip", ""),
    "motion_photo": Kind(
        "Photo with a video behind it",
        _motion_photo,
        "clip",
        _hub("photoprism/photoprism#1739", "nextcloud/photos#365"),
    ),
    "joined_ts": Kind("Joined MPEG-TS", _joined, "clip", _hub("unosquare/ffmediaelement#30"), "converted"),
    "leap": Kind(
        "Time stamps that leap by 26 hours", _leap, "clip", _hub("anonfaded/FadCam#158"), "converted"
    ),
    "varying_rate": Kind(
        "Varying frame rate", _varying, "clip", _hub("RenderHeads/UnityPlugin-AVProMovieCapture#331")
    ),
    "fragmented": Kind(
        "Fragmented MP4 without a duration",
        _fragmented,
        "clip",
        _hub("clsid2/mpc-hc#2749", "ThibaultBee/StreamPack#108"),
    ),
    "full_range": Kind(
        "Full-range YUV",
        lambda folder, images: clip(folder, images, pix_fmt="yuvj420p", colour=(5, 2)),
        "clip",
        _hub("HandBrake/HandBrake#3071"),
    ),
    "ten_bits": Kind(
        "H.264 in 10 bits", lambda folder, images: clip(folder, images, pix_fmt="yuv420p10le"), "clip", ""
    ),
    "format_change": Kind(
        "Motion JPEG that changes its chroma",
        _changing_format,
        "clip",
        _hub("opencv/opencv#29699", "agentmorris/MegaDetector#237"),
    ),
    "jpeg_named_heic": Kind("JPEG named .heic", _named_heic, "photo", _hub("darktable-org/darktable#11974")),
    "cmyk": Kind("CMYK JPEG", _cmyk, "photo", _hub("haraldk/TwelveMonkeys#147"), "converted"),
    "tiff_16_bits": Kind("TIFF in 16 bits", _deep_tiff, "photo", _hub("artraweditor/ART#160"), "converted"),
    "jpeg2000": Kind("JPEG 2000", _still("JPEG2000"), "photo", ""),
    "playlist": Kind("Playlist", _playlist, "", "", "refused"),
}
"""By name."""

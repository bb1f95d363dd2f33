"""Media that means harm, or was merely unlucky: over a hundred kinds, made while the tests run.

Each kind is a function that puts one file into a folder and returns its path. :data:`KINDS` says beside it
what may come of scanning it: error codes, or ``VERDICT`` for a report without an error.
"""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from samples.clips import make_clip, pattern

VERDICT = "verdict"
ESCAPE = "\x1b]0;owned\x07\x1b[31m\x9b31m"
"""Sets a terminal's title and color."""

_BROKEN = frozenset({"corrupt", "unreadable", "no_video_stream", "unsupported_codec", "too_large"})
_ANY = _BROKEN | {VERDICT}
_FINE = frozenset({VERDICT})
_REFUSED = frozenset({"unreadable"})
_LARGE = frozenset({"too_large"})


@dataclass(frozen=True)
class Kind:
    """``make(folder)`` writes the file; ``outcomes`` are what scanning it may come to."""

    make: Callable[[Path], Path]
    outcomes: frozenset[str]


KINDS: dict[str, Kind] = {}


def _kind(outcomes: frozenset[str]) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    def keep(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        KINDS[make.__name__] = Kind(make, outcomes)
        return make

    return keep


def _add(name: str, outcomes: frozenset[str], make: Callable[..., Path], *args: object) -> None:
    KINDS[name] = Kind(partial(make, name.replace("_", "-"), *args), outcomes)


CONTAINERS: dict[str, dict[str, object]] = {
    "mp4": {},
    "mkv": {"sound": True},
    "webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "avi": {"codec": "mpeg4"},
    "mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "ts": {"sound": True},
    "gif": {"codec": "gif", "pix_fmt": "rgb8"},
}
PICTURES = ("jpg", "png", "webp")


@cache
def sound_bytes(suffix: str) -> bytes:
    """A whole small file of one of :data:`CONTAINERS` or :data:`PICTURES`."""
    if suffix in PICTURES:
        return bytes(cv2.imencode(f".{suffix}", pattern(1)[0])[1])
    with TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        return make_clip(path, pattern(12), **CONTAINERS[suffix]).read_bytes()  # type: ignore[arg-type]


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _bytes(name: str, suffix: str, data: bytes, folder: Path) -> Path:
    return _write(folder, f"{name}.{suffix}", data)


# --------------------------------------------------------------------------- not media at all

for _name, _suffix, _data in (
    ("zero_bytes", "mp4", b""),
    ("one_byte", "mp4", b"\0"),
    ("zeros", "mkv", bytes(100_000)),
    ("text", "mp4", b"Dear all,\n" * 100),
    ("program", "mp4", b"\x7fELF" + bytes(500)),
    ("archive", "mp4", b"PK\x03\x04" + bytes(500)),
    ("document", "mp4", b"%PDF-1.7\n" + bytes(500)),
    (
        "vector_picture",
        "png",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>',
    ),
    ("pickle", "mp4", b"\x80\x04\x95\x20\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94"),
):
    _add(_name, _REFUSED, _bytes, _suffix, _data)

_add("tiff", frozenset({"corrupt"}), _bytes, "tif", b"II*\0\x08\0\0\0" + bytes(200))
_add("noise", _BROKEN, _bytes, "avi", np.random.default_rng(1).bytes(50_000))

# --------------------------------------------------------------------------- playlists and scripts

_TARGET = "http://127.0.0.1:9/followed.ts"
for _name, _suffix, _text in (
    ("hls_playlist", "m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{_TARGET}\n"),
    ("hls_named_mp4", "mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n"),
    ("concat_script", "mp4", "ffconcat version 1.0\nfile /etc/hostname\n"),
    ("concat_script_headless", "mkv", "file '/etc/hostname'\nduration 1\n"),
    ("dash_manifest", "mpd", f'<?xml version="1.0"?><MPD><BaseURL>{_TARGET}</BaseURL></MPD>'),
    ("session_description", "mp4", "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n"),
    ("pls_playlist", "mp4", f"[playlist]\nFile1={_TARGET}\n"),
    ("smil", "mp4", f'<smil><body><video src="{_TARGET}"/></body></smil>'),
    ("avisynth_script", "avi", 'AviSource("/etc/hostname")\n'),
    ("quicktime_link", "mov", '<?xml version="1.0"?><?quicktime type="x"?><embed src="x"/>'),
    ("asx", "wmv", f'<asx version="3.0"><ref href="{_TARGET}"/></asx>'),
):
    _add(_name, _REFUSED, _bytes, _suffix, _text.encode())

# --------------------------------------------------------------------------- damaged bytes


def _cut(suffix: str, tenths: int) -> bytes:
    whole = sound_bytes(suffix)
    return whole[: len(whole) * tenths // 10]


def _flipped(suffix: str, rate: float) -> bytes:
    data = np.frombuffer(sound_bytes(suffix), np.uint8)
    rng = np.random.default_rng(int(1 / rate))
    flips = np.packbits(rng.random((len(data), 8)) < rate, axis=1)[:, 0]
    # Headers stay: what decodes at all goes further than what is refused.
    flips[:64] = 0
    return (data ^ flips).tobytes()


def _lazily(suffix: str, make: Callable[[], bytes], name: str, folder: Path) -> Path:
    return _write(folder, f"{name}.{suffix}", make())


def _derive(name: str, outcomes: frozenset[str], suffix: str, make: Callable[[], bytes]) -> None:
    KINDS[name] = Kind(partial(_lazily, suffix, make, name), outcomes)


for _tenths in range(1, 10):
    for _suffix in ("mp4", "mkv", "ts"):
        _derive(f"cut_{_suffix}_{_tenths}0", _ANY, _suffix, partial(_cut, _suffix, _tenths))
for _suffix in ("webm", "avi", "gif", *PICTURES):
    _derive(f"cut_{_suffix}_50", _ANY, _suffix, partial(_cut, _suffix, 5))
for _rate in (1e-5, 1e-4, 1e-3, 1e-2):
    for _suffix in ("mp4", "mkv", "ts", "jpg"):
        _derive(f"flipped_{_suffix}_{_rate:.0e}", _ANY, _suffix, partial(_flipped, _suffix, _rate))


def _joined(*suffixes: str) -> bytes:
    return b"".join(sound_bytes(suffix) for suffix in suffixes)


for _names in (("mp4", "mp4"), ("ts", "ts"), ("mkv", "mkv"), ("gif", "gif"), ("jpg", "mp4"), ("mp4", "jpg")):
    _derive("joined_" + "_".join(_names), _ANY, _names[0], partial(_joined, *_names))


def _patched(suffix: str, *changes: tuple[bytes, int, bytes]) -> bytes:
    """Overwrites bytes at an offset behind the first (for 4-byte tags: every) occurrence of a tag."""
    data = bytearray(sound_bytes(suffix))
    for tag, offset, value in changes:
        at = data.find(tag)
        if at < 0:
            raise ValueError(f"no {tag!r} in the {suffix} file")
        data[at + offset : at + offset + len(value)] = value
    return bytes(data)


_HUGE = struct.pack(">I", 0xFFFFFFFF)
for _name, _outcomes, _suffix, _changes in (
    # An atom's fields are counted from its four-letter name.
    ("mov_65535_square", _ANY, "mov", [(b"stsd", 44, b"\xff\xff\xff\xff")]),
    ("mov_no_size", _ANY, "mov", [(b"stsd", 44, bytes(4))]),
    ("mp4_65535_square", _ANY, "mp4", [(b"stsd", 44, b"\xff\xff\xff\xff")]),
    ("mp4_endless", _ANY, "mp4", [(b"mvhd", 20, _HUGE), (b"mdhd", 20, _HUGE)]),
    ("mp4_no_clock", _ANY, "mp4", [(b"mvhd", 16, bytes(4)), (b"mdhd", 16, bytes(4))]),
    ("mp4_fast_clock", _ANY, "mp4", [(b"mdhd", 16, struct.pack(">I", 10**9))]),
    ("mp4_many_samples", _ANY, "mp4", [(b"stsz", 12, _HUGE)]),
    ("mp4_many_times", _ANY, "mp4", [(b"stts", 8, _HUGE)]),
    ("mp4_offsets_beyond", _ANY, "mp4", [(b"stco", 12, _HUGE)]),
    ("mp4_huge_atom", _ANY, "mp4", [(b"moov", -4, _HUGE)]),
    ("mp4_empty_atom", _ANY, "mp4", [(b"moov", -4, bytes(4))]),
    ("mp4_tiny_atom", _ANY, "mp4", [(b"trak", -4, b"\0\0\0\x01")]),
    ("mp4_unknown_codec", _BROKEN, "mp4", [(b"stsd", 16, b"zzz9")]),
    ("mp4_foreign_codec", _ANY, "mp4", [(b"stsd", 16, b"hvc1")]),
    ("mp4_data_elsewhere", _ANY, "mp4", [(b"url ", 4, b"\0\0\0\0")]),
    ("avi_huge", _ANY, "avi", [(b"strf", 12, struct.pack("<ii", 60000, 60000))]),
    ("avi_no_rate", _ANY, "avi", [(b"strh", 28, bytes(8))]),
    ("avi_negative_height", _ANY, "avi", [(b"strf", 16, struct.pack("<i", -64))]),
    ("gif_huge", _BROKEN, "gif", [(b"GIF89a", 6, b"\xff\xff\xff\xff")]),
    ("gif_no_delay", _ANY, "gif", [(b"\x21\xf9\x04", 4, bytes(2))]),
    ("jpg_huge", _LARGE, "jpg", [(b"\xff\xc0", 5, b"\xff\xff\xff\xff")]),
    ("jpg_no_size", _BROKEN, "jpg", [(b"\xff\xc0", 5, bytes(4))]),
    ("jpg_short_marker", _BROKEN, "jpg", [(b"\xff\xdb", 2, bytes(2))]),
    ("png_huge", _LARGE, "png", [(b"IHDR", 4, b"\x00\x01\x86\xa0" * 2)]),
    ("png_bad_sum", _ANY, "png", [(b"IHDR", 17, b"oops")]),
    ("png_huge_chunk", _ANY, "png", [(b"IDAT", -4, b"\x7f\xff\xff\xff")]),
    ("webp_huge", _ANY, "webp", [(b"VP8", 0, b"VP8X")]),
):
    _derive(_name, _outcomes, _suffix, partial(_patched, _suffix, *_changes))


_derive(
    "y4m_huge", _BROKEN, "y4m", lambda: b"YUV4MPEG2 W100000 H100000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(999)
)


@_kind(_ANY)
def mkv_endless(folder: Path) -> Path:
    data = bytearray(sound_bytes("mkv"))
    at = data.index(b"\x44\x89\x88")  # Duration, as a double
    data[at + 3 : at + 11] = struct.pack(">d", float("inf"))
    return _write(folder, "endless.mkv", bytes(data))


@_kind(_ANY)
def mp4_deep_atoms(folder: Path) -> Path:
    inner = b""
    for _ in range(3000):
        inner = struct.pack(">I", 8 + len(inner)) + b"moov" + inner
    head = sound_bytes("mp4")[:32]
    return _write(folder, "deep.mp4", head + inner)


@_kind(_BROKEN)
def mp4_only_a_header(folder: Path) -> Path:
    return _write(folder, "header.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp41")


@_kind(_BROKEN)
def heif_without_content(folder: Path) -> Path:
    return _write(folder, "empty.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))


@_kind(_BROKEN)
def sparse(folder: Path) -> Path:
    path = _write(folder, "sparse.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp41")
    os.truncate(path, 64 << 20)
    return path


@_kind(_BROKEN)
def png_bomb(folder: Path) -> Path:
    """A hundred thousand to one: 8192 x 8192 declared, but the stream goes on for ever after."""
    header = struct.pack(">IIBBBBB", 1 << 13, (1 << 13) + 1, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(4 << 20), 9)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + tag + content + struct.pack(">I", zlib.crc32(tag + content))
        for tag, content in chunks
    )
    return _write(folder, "bomb.png", b"\x89PNG\r\n\x1a\n" + body)


# --------------------------------------------------------------------------- streams


@_kind(frozenset({"no_video_stream"}))
def audio_only(folder: Path) -> Path:
    return _sound(folder / "sound.mp4", "aac")


@_kind(frozenset({"no_video_stream"}))
def wave(folder: Path) -> Path:
    return _sound(folder / "sound.wav", "pcm_s16le").rename(folder / "sound.mp4")


@_kind(frozenset({"no_video_stream"}))
def cover_art_only(folder: Path) -> Path:
    """An ID3 tag with a picture in front of MP3 frames of silence."""
    picture = b"\0image/jpeg\0\x03\0" + sound_bytes("jpg")
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = len(frame)
    tag = b"ID3\x03\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + frame
    silence = (b"\xff\xfb\x90\xc4" + bytes(413)) * 20
    return _write(folder, "song.mp4", tag + silence)


@_kind(_ANY)
def no_key_frame(folder: Path) -> Path:
    with TemporaryDirectory() as temporary:
        source = make_clip(Path(temporary, "a.mp4"), pattern(20), options={"g": "100"})
        path = folder / "no-key.ts"
        with av.open(str(source)) as given, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.dts is not None and not packet.is_keyframe:
                    packet.stream = stream
                    out.mux(packet)
    return path


@_kind(_ANY)
def many_streams(folder: Path) -> Path:
    path = folder / "many.mkv"
    with av.open(str(path), "w") as out:
        streams = []
        for _ in range(30):
            stream = out.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            streams.append(stream)
        for image in pattern(3):
            for stream in streams:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


@_kind(_ANY)
def growing_frames(folder: Path) -> Path:
    """The second half is sixteen times as large as the header says."""
    small = sound_bytes("ts")
    with TemporaryDirectory() as temporary:
        grey = np.full((4, 1024, 1536, 3), 90, np.uint8)
        large = make_clip(Path(temporary, "b.ts"), grey).read_bytes()
    return _write(folder, "growing.ts", small + large)


@_kind(_FINE)
def escape_sequences_in_metadata(folder: Path) -> Path:
    path = folder / "metadata.mkv"
    with av.open(str(path), "w") as out:
        out.metadata["title"] = out.metadata["comment"] = ESCAPE
        stream = out.add_stream("mpeg4", rate=25)
        stream.metadata["title"] = stream.metadata["language"] = ESCAPE
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in pattern(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def _sound(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=16000)
        stream.layout = "mono"
        layout = "fltp" if codec == "aac" else "s16"
        zeros = np.zeros((1, 16000), np.float32 if codec == "aac" else np.int16)
        frame = av.AudioFrame.from_ndarray(zeros, format=layout, layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _clip(name: str, suffix: str, size: tuple[int, int], options: dict[str, object], folder: Path) -> Path:
    width, height = size
    return make_clip(folder / f"{name}.{suffix}", pattern(6, width, height), **options)  # type: ignore[arg-type]


_STILL = {"options": {"x265-params": "log-level=error"}, "codec": "libx265"}
_JITTER = [0.0, 0.01, 0.5, 0.51, 3.0, 60.0]
for _name, _suffix, _size, _options in (
    ("one_pixel", "mkv", (1, 1), {"codec": "ffv1", "pix_fmt": "bgr0"}),
    ("very_wide", "mkv", (16384, 16), {"codec": "ffv1"}),
    ("very_tall", "mkv", (16, 16384), {"codec": "ffv1"}),
    ("odd_size", "mkv", (97, 65), {"codec": "ffv1", "pix_fmt": "yuv444p"}),
    ("ten_bits", "mp4", (96, 64), {"pix_fmt": "yuv420p10le"}),
    ("twelve_bits", "mp4", (96, 64), {**_STILL, "pix_fmt": "yuv420p12le"}),
    ("hdr", "mp4", (96, 64), {**_STILL, "pix_fmt": "yuv420p10le", "colour": (9, 1)}),
    ("alpha", "mov", (96, 64), {"codec": "prores_ks", "pix_fmt": "yuva444p10le"}),
    ("greyscale", "mkv", (96, 64), {"codec": "ffv1", "pix_fmt": "gray"}),
    ("sixteen_bit_grey", "mkv", (96, 64), {"codec": "ffv1", "pix_fmt": "gray16le"}),
    ("interlaced", "ts", (96, 64), {"codec": "mpeg2video", "options": {"flags": "+ilme+ildct"}}),
    ("interlaced_h264", "mp4", (96, 64), {"options": {"x264-params": "interlaced=1"}}),
    ("av1", "mp4", (96, 64), {"codec": "libsvtav1", "options": {"preset": "12"}}),
    ("rotated", "mp4", (96, 64), {"rotation": 90}),
    ("tilted", "mp4", (96, 64), {"rotation": 33}),
    ("variable_rate", "mkv", (96, 64), {"times": _JITTER}),
    ("thousand_a_second", "mkv", (96, 64), {"times": [index / 1000 for index in range(6)]}),
    ("one_in_an_hour", "mkv", (96, 64), {"times": [3600.0 * index for index in range(6)]}),
):
    _add(_name, _FINE, _clip, _suffix, _size, _options)


def _timed(name: str, stamps: list[int], folder: Path) -> Path:
    """Frames whose presentation times, in milliseconds, are what nobody should write."""
    path = folder / f"{name}.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for index, image in enumerate(pattern(len(stamps))):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = index, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet, stamp in zip(packets, stamps, strict=True):
            # Decoding times have to rise for the muxer; presentation times are the file's own affair.
            packet.pts, packet.time_base = stamp, Fraction(1, 1000)
            packet.dts = min(stamps) - len(stamps) + packets.index(packet)
            out.mux(packet)
    return path


for _name, _stamps in (
    ("negative_times", [-400, -300, -200, -100, 0, 100]),
    ("repeated_times", [0, 0, 0, 40, 40, 80]),
    ("backward_times", [500, 400, 300, 200, 100, 0]),
    ("leaping_times", [0, 40, 80, 86_400_000, 86_400_040, 86_400_080]),
):
    _add(_name, _FINE, _timed, _stamps)

# --------------------------------------------------------------------------- pictures


def _picture(name: str, suffix: str, image: np.ndarray, folder: Path) -> Path:
    return _write(folder, f"{name}.{suffix}", bytes(cv2.imencode(f".{suffix}", image)[1]))


_IMAGE = pattern(1)[0]
for _name, _suffix, _image in (
    ("picture_one_pixel", "png", _IMAGE[:1, :1]),
    ("picture_very_wide", "jpg", np.full((16, 16384, 3), 90, np.uint8)),
    ("picture_sixteen_bits", "png", _IMAGE.astype(np.uint16) * 257),
    ("picture_grey", "png", _IMAGE[..., 0]),
    ("picture_alpha", "png", np.dstack([_IMAGE, _IMAGE[..., 0]])),
    ("picture_alpha_webp", "webp", np.dstack([_IMAGE, _IMAGE[..., 0]])),
    ("picture_bmp", "bmp", _IMAGE),
):
    _add(_name, _FINE, _picture, _suffix, _image)


def _with_orientation(value: int) -> bytes:
    """The JPEG with an EXIF orientation."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HH", value, 0) + bytes(4)
    exif = b"Exif\0\0" + tiff
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + sound_bytes("jpg")[2:]


_derive("picture_turned", _FINE, "jpg", partial(_with_orientation, 6))
_derive("picture_turned_nowhere", _FINE, "jpg", partial(_with_orientation, 4711))

# --------------------------------------------------------------------------- what is no plain file


@_kind(_REFUSED)
def folder_named_like_a_clip(folder: Path) -> Path:
    path = folder / "folder.mp4"
    path.mkdir()
    return path


@_kind(_REFUSED)
def fifo(folder: Path) -> Path:
    path = folder / "fifo.mp4"
    os.mkfifo(path)
    return path


@_kind(_REFUSED)
def unix_socket(folder: Path) -> Path:
    path = folder / "s.mp4"
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(folder)  # the whole path may be too long for a socket's address
        made.bind(path.name)
    return path


@_kind(_REFUSED)
def device(folder: Path) -> Path:
    return _link(folder / "device.mp4", "/dev/zero")


@_kind(_REFUSED | {"not_found"})
def link_to_itself(folder: Path) -> Path:
    return _link(folder / "itself.mp4", "itself.mp4")


@_kind(frozenset({"not_found"}))
def link_to_nothing(folder: Path) -> Path:
    return _link(folder / "nothing.mp4", "gone")


@_kind(frozenset({"not_found"}))
def vanished(folder: Path) -> Path:
    return folder / "vanished.mp4"


@_kind(_ANY)
def unreadable(folder: Path) -> Path:
    path = _write(folder, "unreadable.mp4", sound_bytes("mp4"))
    path.chmod(0)  # to the superuser it stays readable
    return path


def _link(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


# --------------------------------------------------------------------------- names


def _named(file: str, folder: Path) -> Path:
    return _write(folder, file, sound_bytes("png"))


for _name, _file in (
    ("name_newline", "new\nline\r.png"),
    ("name_not_utf8", os.fsdecode(b"bytes\xff\xfe.png")),
    ("name_escape_sequences", f"{ESCAPE}.png"),
    ("name_right_to_left", "\u202egnp.exe.png"),
    ("name_option", "--help.png"),
    ("name_protocol", "concat:a.png|b.png"),
    ("name_url", "http:127.0.0.1.png"),
    ("name_pattern", "%03d*.png"),
    ("name_formula", "=cmd|' calc'!A0.png"),
    ("name_markup", "[red]<script>alert(1)<\u2215script>.png"),
    ("name_long", "x" * 251 + ".png"),
    ("name_other_suffix", "clip.txt"),
):
    KINDS[_name] = Kind(partial(_named, _file), _FINE)


@_kind(_FINE)
def matroska_named_like_a_picture(folder: Path) -> Path:
    return _write(folder, "clip.jpg", sound_bytes("mkv"))


@_kind(_FINE)
def picture_named_like_a_clip(folder: Path) -> Path:
    return _write(folder, "picture.mp4", sound_bytes("jpg"))

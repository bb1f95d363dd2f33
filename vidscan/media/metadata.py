"""What a file says of itself beside its pictures: tags of the container and streams, EXIF of a photo."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidscan.media.motion_photo import embedded_video
from vidscan.media.probe import open_container
from vidscan.media.sniff import PICTURE_KINDS, PathLike, sniff
from vidscan.media.streams import describe, video_stream
from vidscan.media.tone import PRIMARIES, TRANSFERS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

_MOST_TAGS = 40
"""Of each stream; a file may carry thousands."""
_MOST_CHARACTERS = 200
_EXIF = {0x010F: "make", 0x0110: "model", 0x0131: "software", 0x0132: "date", 0x013B: "artist"}


def read_metadata(path: PathLike, stream: int | None = None) -> dict[str, str]:
    """Name and value of everything that is told, in a fixed order, without decoding a frame.

    Of several video streams the one numbered ``stream`` is told of, None for the one that is the clip.

    Names of tags are the file's own, after ``file``, ``video`` or ``audio``; values are cut at 200
    characters. They are what somebody wrote there, and may hold anything: escape them before printing.

    Raises
    ------
    InputError
        See :func:`vidscan.media.sniff.sniff`; CorruptError where the demuxer makes nothing of the file.
    """
    kind = sniff(path)
    found = {"container": kind}
    if kind in PICTURE_KINDS:
        found |= _picture(path, kind)
    else:
        with open_container(path, kind) as container:
            found |= _container(container, stream)
    return {name: value[:_MOST_CHARACTERS] for name, value in found.items() if value}


def _container(container: InputContainer, wanted: int | None) -> dict[str, str]:
    found = {"bit rate": _rate(container.bit_rate), **_tags("file", container.metadata)}
    found["streams"] = ", ".join(stream.type for stream in container.streams)
    if len(container.streams.video) > 1:
        found["video streams"] = "; ".join(map(describe, container.streams.video))
    video = video_stream(container, wanted)
    if video is not None:
        found |= _video(video)
    for audio in container.streams.audio[:1]:
        found |= _audio(audio)
    return found


def _video(stream: VideoStream) -> dict[str, str]:
    context: Any = stream.codec_context
    found: dict[str, str] = {}
    if context is not None:
        found["video codec"] = context.codec.canonical_name
        found["video profile"] = str(context.profile or "")
        found["video size"] = f"{context.width} x {context.height}"
        found["video pixel format"] = str(context.pix_fmt or "")
        found["video bit rate"] = _rate(context.bit_rate)
        found["video transfer"] = TRANSFERS.get(context.color_trc, "")
        found["video primaries"] = PRIMARIES.get(context.color_primaries, "")
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        found["video pixel aspect"] = f"{aspect.numerator}:{aspect.denominator}"
    for name, rate in (("average", stream.average_rate), ("nominal", stream.base_rate)):
        found[f"video {name} frame rate"] = _fraction(rate)
    found["video frames"] = str(stream.frames or "")
    return found | _tags("video", stream.metadata)


def _audio(stream: AudioStream) -> dict[str, str]:
    context: Any = stream.codec_context
    found: dict[str, str] = {}
    if context is not None:
        found["audio codec"] = context.codec.canonical_name
        found["audio rate"] = f"{context.sample_rate} Hz"
        found["audio layout"] = str(context.layout.name)
        found["audio bit rate"] = _rate(context.bit_rate)
    return found | _tags("audio", stream.metadata)


def _picture(path: PathLike, kind: str) -> dict[str, str]:
    from PIL import Image

    if kind == "heif":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    # The header and its tags only: the pixels are another decoder's business.
    with suppress(Exception), Image.open(path) as image:
        exif = image.getexif()
        return {
            "size": f"{image.width} x {image.height}",
            "mode": image.mode,
            "pictures": _several(getattr(image, "n_frames", 1)),
            "video": "appended (motion photo)" if embedded_video(path, kind) else "",
            "file comment": str(image.info.get("Comment", "")),
            **{f"exif {name}": str(exif[tag]).strip("\0 ") for tag, name in _EXIF.items() if tag in exif},
        }
    return {}


def _tags(stream: str, tags: dict[str, str]) -> dict[str, str]:
    return {f"{stream} {name[:40]}": str(value) for name, value in sorted(tags.items())[:_MOST_TAGS]}


def _several(count: int) -> str:
    return str(count) if count > 1 else ""


def _rate(bits: int | None) -> str:
    return f"{bits / 1000:.0f} kbit/s" if bits else ""


def _fraction(rate: Fraction | None) -> str:
    return f"{float(rate):.6g} /s" if rate else ""

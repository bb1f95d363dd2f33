"""Which of a container's video streams is the clip, and what the others are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidscan.errors import NoVideoStreamError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_STILL_CODECS = frozenset({"mjpeg", "png", "bmp", "gif", "tiff", "webp", "jpeg2000"})
_PREFERENCE = 4
"""How many times more pixels another stream needs to be taken in place of the default one, which may be a
small preview: muxers mark the first stream as default unasked."""


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """Video streams but for cover pictures, thumbnails and stills that go with a moving one."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    for moves in (
        lambda s: not s.disposition & still,
        lambda s: _codec(s) not in _STILL_CODECS,
        lambda s: s.frames != 1,
    ):
        streams = [s for s in streams if moves(s)] or streams
    return streams


def video_stream(container: InputContainer, wanted: int | None = None) -> VideoStream | None:
    """The stream numbered ``wanted``, else the default one or one that is much larger; None without any.

    Raises
    ------
    NoVideoStreamError
        Stream ``wanted`` is not there, or is no video.
    """
    if wanted is not None:
        for stream in container.streams.video:
            if stream.index == wanted:
                return stream
        there = "; ".join(map(describe, container.streams.video)) or "none"
        raise NoVideoStreamError(f"stream {wanted} is not one of its video streams ({there})")
    streams = moving_streams(container)
    return max(streams, key=_rank, default=None)


def describe(stream: VideoStream) -> str:
    """A stream in words: ``0: h264, 640 x 480, default``."""
    from av.stream import Disposition

    width, height = _size(stream)
    parts = [f"{stream.index}: {_codec(stream) or 'unknown codec'}", f"{width} x {height}"]
    for disposition, name in (
        (Disposition.default, "default"),
        (Disposition.attached_pic, "cover picture"),
        (Disposition.timed_thumbnails, "thumbnails"),
        (Disposition.still_image, "still"),
    ):
        if stream.disposition & disposition:
            parts.append(name)
    return ", ".join(parts)


def _rank(stream: VideoStream) -> tuple[bool, int, int]:
    from av.stream import Disposition

    width, height = _size(stream)
    weight = _PREFERENCE if stream.disposition & Disposition.default else 1
    return stream.codec_context is not None, weight * width * height, -stream.index


def _size(stream: VideoStream) -> tuple[int, int]:
    context = stream.codec_context
    return (0, 0) if context is None else (context.width, context.height)


def _codec(stream: VideoStream) -> str:
    context = stream.codec_context
    return "" if context is None else context.codec.canonical_name

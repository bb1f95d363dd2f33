"""What a container's header and packets say, read with PyAV before any frame is decoded.

Both decoders rely on this: decord reports neither codec, rotation nor sound, and its own time table
is wrong for some files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import (
    CorruptError,
    NoVideoStreamError,
    TooLargeError,
    UnreadableError,
    UnsupportedCodecError,
)
from vidscan.media.clock import broken
from vidscan.media.geometry import Geometry, geometry, stretched
from vidscan.media.sniff import PathLike, display_name
from vidscan.media.streams import describe, moving_streams, video_stream
from vidscan.threads import decoder_threads

if TYPE_CHECKING:
    from io import FileIO

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_DEMUXERS = {"mp4": "mov", "webm": "matroska", "y4m": "yuv4mpegpipe"}
"""Demuxer of a sniffed kind, where it is not called like the kind."""

_READ_BUFFER = 1 << 18
_PADDING = 128 * 16384
"""Pixels that padding may add to a frame."""


@dataclass(frozen=True, slots=True)
class Header:
    """A container's header."""

    path: PathLike
    kind: str
    """As :func:`vidscan.media.sniff` names it."""
    codec: str
    geometry: Geometry
    fps: float | None
    duration_s: float | None
    """Duration of the video stream itself where known, else of the whole file."""
    has_audio: bool
    stream: int
    """Index in the container of the video stream that is read."""
    others: tuple[str, ...]
    """Moving video streams that are not read, in words."""
    video_streams: int
    max_pixels: int
    """Frames of more pixels are not decoded: a stream may grow behind its header's back."""
    transfer: int
    """Transfer function and primaries, by their numbers in ITU-T H.273."""
    primaries: int
    start: int
    """Bytes before the container: a clip may be appended to a photo."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Presentation times of every packet of the video stream.

    ``trusted`` says that packets and frames correspond one to one: every packet carries a time of its
    own, none is flagged corrupt or to be discarded, the first is a key frame, and the clock does not leap.
    """

    times: NDArray[np.float64]
    """(N,) seconds, sorted, the first 0."""
    trusted: bool


@contextmanager
def open_container(path: PathLike, kind: str, start: int = 0) -> Iterator[InputContainer]:
    """Open ``path``, from byte ``start`` on, with the demuxer pinned to ``kind``.

    PyAV is handed an open file, not a name, so no protocol handler can come into play.

    Raises
    ------
    UnreadableError
        The file cannot be opened any more.
    CorruptError
        The demuxer makes nothing of it.
    """
    import av

    name = display_name(path)
    try:
        file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed below, after the container
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from None
    with file:
        try:
            container = av.open(
                _Tail(file, start) if start else file,
                mode="r",
                format=_DEMUXERS.get(kind, kind),
                metadata_errors="replace",
                buffer_size=_READ_BUFFER,
                # The file itself is open already; whatever else it would have opened stays shut.
                container_options={"protocol_whitelist": "none"},
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise CorruptError(f"{name}: cannot be opened as {kind}: {reason(error)}") from None
        try:
            yield container
        finally:
            container.close()


class _Tail:
    """A file without its first ``start`` bytes, with as much of a file's interface as a demuxer needs."""

    def __init__(self, file: IO[bytes] | FileIO, start: int) -> None:
        self._file, self._start = file, start
        file.seek(start)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset + (self._start if whence == 0 else 0), whence) - self._start


def read_header(
    path: PathLike, kind: str, max_pixels: int, *, wanted: int | None = None, start: int = 0
) -> Header:
    """Read the header of ``path``, of its stream ``wanted`` (None for the one that is the clip).

    Raises
    ------
    TooLargeError
        The header names frames of more than ``max_pixels`` pixels; none has been decoded then.
    NoVideoStreamError
        Sound, subtitles or cover art only; or stream ``wanted`` is no video.
    UnsupportedCodecError
        No decoder knows the video stream's codec.
    CorruptError
        The header is broken or names no frame size.
    UnreadableError
        The file cannot be opened any more.
    """
    name = display_name(path)
    with open_container(path, kind, start) as container:
        try:
            stream = video_stream(container, wanted)
        except NoVideoStreamError as error:
            raise NoVideoStreamError(f"{name}: {error}") from None
        if stream is None:
            raise NoVideoStreamError(f"{name}: has no video stream")
        context = stream.codec_context
        if context is None:
            raise UnsupportedCodecError(f"{name}: no decoder for its video codec")
        if context.width <= 0 or context.height <= 0:
            raise CorruptError(f"{name}: the video stream has no frame size")
        check_size(name, context.width, context.height, max_pixels)
        check_size(name, *stretched(context.width, context.height, stream.sample_aspect_ratio), max_pixels)
        limit_pixels(stream, max_pixels)
        has_audio = len(container.streams.audio) > 0
        duration = None
        if stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
        elif container.duration:
            duration = container.duration / 1e6
            first = (container.start_time or 0) / 1e6
            # Matroska counts to where the last frame ends, also where the first one is not at 0.
            if kind in ("matroska", "webm") and 0 < first < duration:
                duration -= first
        others = tuple(describe(s) for s in moving_streams(container) if s.index != stream.index)
        fps = float(stream.average_rate) if stream.average_rate else None
        frame = _first_frame(container, stream)
        return Header(
            path=path,
            kind=kind,
            codec=context.codec.canonical_name,
            geometry=geometry(stream, frame),
            fps=fps,
            duration_s=duration,
            has_audio=has_audio,
            stream=stream.index,
            others=others,
            video_streams=len(container.streams.video),
            max_pixels=max_pixels,
            transfer=int(context.color_trc if frame is None else frame.color_trc),
            primaries=int(context.color_primaries if frame is None else frame.color_primaries),
            start=start,
        )


def read_timeline(header: Header) -> Timeline:
    """Read the time of every packet, without decoding; one pass over the file."""
    import av

    times: list[float] = []
    trusted = True
    with open_container(header.path, header.kind, header.start) as container:
        stream = video_stream(container, header.stream)
        assert stream is not None
        base = float(stream.time_base or 0)
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.pts is None and packet.dts is None:
                    continue  # the flush packet that ends every demuxing
                if packet.pts is None or packet.is_corrupt or packet.is_discard:
                    trusted = False
                    continue
                if not times and not packet.is_keyframe:
                    trusted = False
                times.append(packet.pts * base)
        except av.error.FFmpegError:
            trusted = False
    trusted = trusted and not broken(np.asarray(times, np.float64), header.kind)
    array = np.sort(np.asarray(times, np.float64))
    if len(array) == 0 or (np.diff(array) <= 0).any():
        trusted = False
    return Timeline(array - (array[0] if len(array) else 0.0), trusted)


def check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raise TooLargeError where ``width * height`` is more than ``max_pixels``."""
    if width * height > max_pixels:
        raise TooLargeError(f"{name}: {width}x{height} is more than {max_pixels} pixels per frame")


_NO_LIMIT = 2**31 - 1
"""The most that FFmpeg takes."""


def limit_pixels(stream: VideoStream, max_pixels: int) -> None:
    """Have the decoder of ``stream``, which is not open yet, refuse frames that are much larger."""
    # FFmpeg counts the sides as padded for its decoders, which for a narrow frame is many times more.
    stream.codec_context.options = {"max_pixels": str(min(2 * max_pixels + _PADDING, _NO_LIMIT))}


_MOST_THREADS = 4
"""More seldom pay."""


def default_threads() -> int:
    """Threads for one decoder: four at most (:func:`vidscan.threads.decoder_threads`)."""
    return decoder_threads(_MOST_THREADS)


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    import av

    with suppress(av.error.FFmpegError):
        for count, packet in enumerate(container.demux(stream)):
            for frame in stream.decode(packet):
                return frame
            if count > 256:
                break
    return None


def reason(error: BaseException) -> str:
    """The error in one line, without the machinery's prefix."""
    return str(getattr(error, "strerror", None) or error).splitlines()[0]

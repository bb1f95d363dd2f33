"""Frames through PyAV: every codec of its FFmpeg build, exact times, tolerant of damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidscan.media.probe import Header, default_threads, limit_pixels, open_container, video_stream
from vidscan.types import FrameChunk, Note

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MAX_BACKWARD_S = 1.0
"""Timestamps that step back further were reset (joined recordings); smaller steps are jitter."""

_MAX_READ_FAILURES = 32


def read_pyav(
    header: Header,
    chunk: int,
    warn: Callable[[Note], None],
    *,
    first_index: int = 0,
    after_s: float | None = None,
) -> Iterator[FrameChunk]:
    """Decode a whole clip in presentation order.

    Parameters
    ----------
    header
        From :func:`vidscan.media.probe.read_header`.
    chunk
        Frames in a chunk; the last has fewer.
    warn
        Called with a ``damaged`` note once decoding is over, where parts could not be decoded.
    first_index, after_s
        To continue where another decoder gave up: frames up to and including ``after_s`` seconds are
        passed over, and the next is numbered ``first_index``.

    Yields
    ------
    FrameChunk
        Upright frames. Transparent pixels show what lies under them; a clip whose size changes keeps
        that of its first frame. YUV is converted by the matrix and range that the stream declares;
        where it declares none, by BT.601 and limited range, as FFmpeg does and decord with it.

    Raises
    ------
    CorruptError, UnreadableError
        As :func:`vidscan.media.probe.open_container`.
    """
    damage = _Damage()
    clock = _Clock(header.fps)
    times: list[float] = []
    images: list[NDArray[np.uint8]] = []
    index = first_index
    last = None
    with open_container(header.path, header.kind) as container:
        stream = video_stream(container)
        if stream is None:
            return
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = default_threads()
        limit_pixels(stream, header.max_pixels)
        for frame in _decode(container, stream, damage):
            last = clock.time(frame, stream)
            if after_s is not None and last <= after_s + 1e-6:
                continue
            times.append(last)
            images.append(_upright_rgb(frame, header))
            if len(images) == chunk:
                yield FrameChunk(index, np.array(times), np.stack(images))
                index += len(images)
                times.clear()
                images.clear()
    if images:
        yield FrameChunk(index, np.array(times), np.stack(images))
    if last is not None:
        note = damage.note(stops_early(header, last))
        if note:
            warn(note)


def stops_early(header: Header, last_s: float) -> bool:
    """Whether the last frame, at ``last_s``, falls clearly short of the declared duration."""
    if header.duration_s is None or header.kind in ("mpegts", "mpeg"):
        return False  # those have no header that declares a duration; FFmpeg estimates it
    if header.has_audio and header.kind in ("matroska", "webm"):
        return False  # Matroska declares one duration for all streams: the sound may be the longer
    frame = 1.0 / header.fps if header.fps else 1.0
    return last_s + max(0.3, 2 * frame, 0.03 * header.duration_s) < header.duration_s


class _Damage:
    """Counts what could not be decoded."""

    def __init__(self) -> None:
        self.packets = 0
        self.frames = 0

    def note(self, cut_off: bool) -> Note | None:
        parts = []
        if self.packets:
            parts.append(f"{self.packets} packets could not be decoded")
        if self.frames:
            parts.append(f"{self.frames} frames are damaged")
        if cut_off:
            parts.append("the video ends before its declared duration")
        return Note("damaged", "damaged file: " + ", ".join(parts)) if parts else None


class _Clock:
    """Presentation timestamps less the first, made never to decrease."""

    def __init__(self, fps: float | None) -> None:
        self._step = 1.0 / fps if fps else 0.04
        self._offset: float | None = None
        self._last = 0.0

    def time(self, frame: VideoFrame, stream: VideoStream) -> float:
        stamp = frame.pts if frame.pts is not None else frame.dts
        base = frame.time_base or stream.time_base
        if stamp is None or base is None:
            if self._offset is not None:
                self._last += self._step
            else:
                self._offset = 0.0
            return self._last
        seconds = float(stamp * base)
        if self._offset is None:
            self._offset = seconds
        if seconds - self._offset < self._last - _MAX_BACKWARD_S:
            self._offset = seconds - self._last - self._step
        self._last = max(self._last, seconds - self._offset)
        return self._last


def _decode(container: InputContainer, stream: VideoStream, damage: _Damage) -> Iterator[VideoFrame]:
    """Every frame that can be had; a bad packet costs that packet only."""
    import av

    packets = container.demux(stream)
    failures = 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            damage.packets += 1
            failures += 1
            if failures < _MAX_READ_FAILURES:
                packets = container.demux(stream)  # demuxers look for the next place to go on
                continue
            packet = None  # nothing more can be read: flush what the decoder still holds
        if packet is not None and packet.is_corrupt:
            damage.packets += 1
        try:
            frames = stream.decode(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            damage.packets += 1
            frames = []
        for frame in frames:
            damage.frames += frame.is_corrupt
            yield frame
        if packet is None:
            return


def _upright_rgb(frame: VideoFrame, header: Header) -> NDArray[np.uint8]:
    image = frame.to_ndarray(width=header.coded_width, height=header.coded_height, format="rgb24")
    # np.stack would keep the order in memory of a turned view.
    return np.ascontiguousarray(np.rot90(image, -header.rotation // 90))

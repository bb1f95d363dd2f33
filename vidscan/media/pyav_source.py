"""Frames through PyAV: every codec of its FFmpeg build, exact times, tolerant of damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from vidscan.media.clock import Clock
from vidscan.media.deferred import Converter, DeferredChunk
from vidscan.media.probe import Header, default_threads, limit_pixels, open_container
from vidscan.media.quantiser import CODECS, OPTION
from vidscan.media.streams import video_stream
from vidscan.media.tone import TRANSFERS, ToneMapper
from vidscan.types import FrameChunk, Note

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

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
        Called once decoding is over with a ``damaged`` note, where parts could not be decoded, and a
        ``time_stamps`` note, where the clock had to be mended.
    first_index, after_s
        To continue where another decoder gave up: frames up to and including ``after_s`` seconds are
        passed over, and the next is numbered ``first_index``.

    Yields
    ------
    FrameChunk
        Upright frames with square pixels, made RGB when they are asked for
        (:mod:`vidscan.media.deferred`). Transparent pixels show what lies under them; a clip whose size
        changes keeps that of its first frame. YUV is converted by the matrix and range that the stream
        declares; where it declares none, by BT.601 and limited range, as FFmpeg does and decord with it.
        High dynamic range becomes BT.709 (:mod:`vidscan.media.tone`).

    Raises
    ------
    CorruptError, UnreadableError
        As :func:`vidscan.media.probe.open_container`.
    """
    damage = _Damage()
    clock = Clock(header.fps, header.kind)
    tone = ToneMapper(header.transfer, header.primaries) if header.transfer in TRANSFERS else None
    converter = Converter(header.geometry, tone)
    tells = header.codec in CODECS
    times: list[float] = []
    frames: list[VideoFrame] = []
    index = first_index
    last = None
    with open_container(header.path, header.kind, header.start) as container:
        stream = video_stream(container, header.stream)
        if stream is None:
            return
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = default_threads()
        limit_pixels(stream, header.max_pixels)
        if tells:
            stream.codec_context.options = {**stream.codec_context.options, **OPTION}
        for frame in _decode(container, stream, damage):
            last = clock.time(_stamp(frame, stream))
            if after_s is not None and last <= after_s + 1e-6:
                continue
            times.append(last)
            frames.append(frame)
            if len(frames) == chunk:
                yield DeferredChunk(index, np.array(times), frames, converter, tells=tells)
                index += len(frames)
                times, frames = [], []
    if frames:
        yield DeferredChunk(index, np.array(times), frames, converter, tells=tells)
    if last is not None:
        if clock.mended:
            faults = ", ".join(f"{count} {fault}" for fault, count in clock.mended.items())
            warn(Note("time_stamps", f"broken time stamps ({faults}): times count on from frame to frame"))
        note = damage.note(not clock.mended and stops_early(header, last))
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
            parts.append(f"{self.packets} packet{'s' * (self.packets > 1)} could not be decoded")
        if self.frames:
            parts.append("1 frame is damaged" if self.frames == 1 else f"{self.frames} frames are damaged")
        if cut_off:
            parts.append("the video ends before its declared duration")
        return Note("damaged", "damaged file: " + ", ".join(parts)) if parts else None


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


def _stamp(frame: VideoFrame, stream: VideoStream) -> float | None:
    stamp = frame.pts if frame.pts is not None else frame.dts
    base = frame.time_base or stream.time_base
    return None if stamp is None or base is None else float(stamp * base)

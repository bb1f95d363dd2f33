"""Sound on its way from one container to another, packet by packet, never decoded."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from vidscan.media.probe import open_container
from vidscan.media.sniff import PICTURE_KINDS, PathLike, sniff
from vidscan.media.streams import video_stream

if TYPE_CHECKING:
    from typing_extensions import Self


class SoundCopy:
    """The first sound stream of a clip, handed to a muxer alongside the pictures.

    Times count from the clip's first frame, as those of :class:`vidscan.types.FrameChunk` do, so that
    lips and sound stay together. Packets that lie wholly before it are left out.
    """

    def __init__(self, source: Any, sound: Any, target: Any, stream: Any) -> None:
        self._target, self._stream, self._opened = target, stream, ExitStack()
        pictures = video_stream(source)
        offset = 0.0
        if pictures is not None and pictures.start_time and pictures.time_base:
            offset = float(pictures.start_time * pictures.time_base)
        self._shift = round(offset / sound.time_base)
        self._packets = source.demux(sound)
        self._waiting: Any = None

    @classmethod
    def of(cls, path: PathLike, target: Any) -> Self | None:
        """Add a stream to the muxer ``target``, or None: no sound, or of a codec it does not hold.

        Raises
        ------
        InputError
            The clip cannot be opened.
        """
        kind = sniff(path)
        if kind in PICTURE_KINDS:
            return None
        with ExitStack() as opened:
            source = opened.enter_context(open_container(path, kind))
            if not source.streams.audio or source.streams.audio[0].codec_context is None:
                return None
            sound = source.streams.audio[0]
            if sound.codec_context.name not in target.supported_codecs:
                return None
            stream = target.add_stream_from_template(sound)
            copy = cls(source, sound, target, stream)
            copy._opened = opened.pop_all()
        return copy

    def copy(self, until_s: float) -> None:
        """Hand over the packets that begin up to ``until_s``; a damaged rest is left out."""
        import av

        while True:
            if self._waiting is None:
                try:
                    self._waiting = next(self._packets, None)
                except av.error.FFmpegError:
                    return
            packet = self._waiting
            if packet is None or (
                packet.pts is not None and float((packet.pts - self._shift) * packet.time_base) > until_s
            ):
                return
            self._waiting = None
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts -= self._shift
            packet.dts -= self._shift
            if packet.pts + (packet.duration or 0) > 0:
                packet.stream = self._stream
                self._target.mux(packet)

    def close(self) -> None:
        """Let go of the clip; a second call does nothing."""
        self._opened.close()

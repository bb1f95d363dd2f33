"""One way in: a path becomes an iterator of upright RGB frames, whatever decodes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from vidscan.errors import CorruptError, SetupError
from vidscan.media.animation import is_still_gif, open_pictures
from vidscan.media.decord_source import DecordReader, DecordUnfitError, decord_installed
from vidscan.media.motion_photo import embedded_video
from vidscan.media.picture_source import picture_chunks, read_picture
from vidscan.media.prefetch import Prefetcher
from vidscan.media.probe import Header, read_header, read_timeline
from vidscan.media.pyav_source import read_pyav, stops_early
from vidscan.media.sniff import PICTURE_KINDS, PathLike, display_name, sniff
from vidscan.media.tone import PRIMARIES, TRANSFERS
from vidscan.types import FrameChunk, Note, Report, VideoInfo

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_CHUNK_BYTES = 64 << 20
"""A chunk holds fewer frames than asked for where those would be larger than this."""
_PALETTE = Note("palette", "frames of at most 256 colours: the palette limits what can be told")


class VideoSource(ABC):
    """A clip that is read once, front to back.

    Iterating yields :class:`~vidscan.types.FrameChunk` in presentation order, without gaps or overlap
    in their indexes. Iterating raises :class:`~vidscan.errors.CorruptError` where not one frame can
    be decoded. A source is its own context manager; :meth:`close` may be called early.

    Attributes
    ----------
    info : VideoInfo
        What the container says.
    warnings : list of Note
        Grows while reading: ``decoder_fallback`` (PyAV took over from decord), ``damaged`` (parts
        could not be decoded), ``max_duration`` (reading stopped at the limit), ``other_streams`` (video
        streams that are not read), ``tone_mapped`` (high dynamic range), ``palette`` (few colors),
        ``time_stamps`` (the clock was mended; ``info`` has the right duration and rate at the end).
    """

    info: VideoInfo
    warnings: list[Note]

    @abstractmethod
    def __iter__(self) -> Iterator[FrameChunk]: ...

    @abstractmethod
    def close(self) -> None:
        """Stop decoding and let go of the file. Iterators end; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_video(
    path: PathLike,
    *,
    chunk: int = 16,
    decoder: Literal["auto", "decord", "pyav"] = "auto",
    max_pixels: int = 8192 * 8192,
    max_duration_s: float = 0.0,
    stream: int | None = None,
    embedded: bool = False,
    prefetch: int = 2,
) -> VideoSource:
    """Open a clip or a picture.

    Parameters
    ----------
    path
        Any video container FFmpeg knows, or a picture (JPEG, PNG, WebP, BMP, TIFF, JPEG 2000, AVIF, HEIF),
        told by its content. Animated pictures and those of several pages are clips.
    chunk
        Frames in a :class:`~vidscan.types.FrameChunk`; fewer in the last and where a chunk would be
        larger than 64 MB.
    decoder
        ``auto`` is PyAV: it takes half of decord's time, and its memory is bounded. ``decord`` is used where
        it is reliable and bounded in memory too (it may hold all frames of a clip at once), else PyAV with
        a ``decoder_fallback`` warning. Both decoders give the same pictures and times.
    max_pixels
        Larger frames (width times height) are refused before any is decoded.
    max_duration_s
        Stop after so many seconds; 0 reads all.
    stream
        Index in the container of the video stream; None takes the default one or one that is much larger.
        Pictures have none.
    embedded
        Read the video behind a photo (:func:`vidscan.media.motion_photo.embedded_video`), not the photo.
    prefetch
        Chunks decoded ahead in a thread; 0 decodes in the caller's thread.

    Raises
    ------
    NotFoundError, UnreadableError
        See :func:`vidscan.media.sniff.sniff`.
    NoVideoStreamError, UnsupportedCodecError, CorruptError, TooLargeError
        See :func:`vidscan.media.probe.read_header`; CorruptError also while iterating.
    SetupError
        ``decoder="decord"``, which is not installed; or a parameter out of range.
    """
    if chunk < 1 or prefetch < 0 or max_duration_s < 0 or decoder not in ("auto", "decord", "pyav"):
        raise SetupError(
            "open_video: chunk >= 1, prefetch >= 0, max_duration_s >= 0, decoder auto|decord|pyav"
        )
    kind, start = sniff(path), 0
    if embedded:
        kind, start = "mp4", embedded_video(path, kind) or 0
    if kind in PICTURE_KINDS:
        return _open_picture(path, kind, max_pixels, chunk, max_duration_s)
    if kind == "gif" and is_still_gif(path):
        source = _open_picture(path, kind, max_pixels, chunk, max_duration_s)
        source.warnings.append(_PALETTE)
        return source
    clip = _Clip(read_header(path, kind, max_pixels, wanted=stream, start=start), decoder)
    frame_bytes = 3 * clip.info.width * clip.info.height
    fitting = max(1, min(chunk, _CHUNK_BYTES // frame_bytes))
    # A frame beyond the bound on its own is only ever made ahead singly.
    ahead = min(prefetch, 1) if frame_bytes > _CHUNK_BYTES else prefetch
    return _Source(clip.info, clip.read(fitting), clip.warnings, ahead, max_duration_s)


def reopen(path: PathLike, report: Report) -> VideoSource:
    """Open a clip as the scan did that ``report`` tells of: its frames have the same numbers and places."""
    known = ("decoder", "max_pixels", "max_duration_s", "stream")
    settings = {name: report.settings[name] for name in known if name in report.settings}
    embedded = report.input.container not in PICTURE_KINDS and sniff(path) in PICTURE_KINDS
    return open_video(path, **settings, embedded=embedded)


def _open_picture(
    path: PathLike, kind: str, max_pixels: int, chunk: int, max_duration_s: float
) -> VideoSource:
    pictures = open_pictures(path, kind, max_pixels)
    warnings: list[Note] = []
    if pictures is None:
        info, image = read_picture(path, kind, max_pixels)
        return _Source(info, picture_chunks(image), warnings, 0, 0.0)
    if not pictures.several:
        return _Source(pictures.info, pictures.read(1, warnings.append), warnings, 0, 0.0)
    return _Source(pictures.timed(), pictures.read(chunk, warnings.append), warnings, 0, max_duration_s)


class _Clip:
    """Chooses the decoder of one clip, and changes over to PyAV when decord gives up."""

    def __init__(self, header: Header, decoder: str) -> None:
        self.warnings: list[Note] = []
        self._header = header
        self._decord: DecordReader | None = None
        if decoder == "decord" and not decord_installed():
            raise SetupError("decord is not installed: use decoder='auto' or 'pyav'")
        if decoder == "decord":
            self._try_decord()
        self._say_what_is_read()
        width, height = header.geometry.shown
        self.info = VideoInfo(
            container=header.kind,
            codec=header.codec,
            width=width,
            height=height,
            fps=header.fps,
            duration_s=header.duration_s,
            rotation=header.geometry.rotation,
            mirrored=header.geometry.mirrored,
            has_audio=header.has_audio,
            decoder="decord" if self._decord else "pyav",
        )

    def _say_what_is_read(self) -> None:
        header = self._header
        if header.others:
            self.warnings.append(
                Note(
                    "other_streams",
                    f"only video stream {header.stream} was read, not {'; '.join(header.others)} "
                    "(--stream N chooses)",
                )
            )
        if header.transfer in TRANSFERS:
            primaries = PRIMARIES.get(header.primaries, "unnamed")
            self.warnings.append(
                Note(
                    "tone_mapped",
                    f"high dynamic range, {TRANSFERS[header.transfer]} with {primaries} primaries, was "
                    "converted to BT.709",
                )
            )
        if header.codec == "gif":
            self.warnings.append(_PALETTE)

    def _try_decord(self) -> None:
        try:
            self._decord = DecordReader(self._header, read_timeline(self._header))
        except DecordUnfitError as error:
            self._fell_back(error)

    def _fell_back(self, error: Exception) -> None:
        self.warnings.append(Note("decoder_fallback", f"PyAV took over from decord: {error}"))

    def read(self, chunk: int) -> Iterator[FrameChunk]:
        empty = True
        for frames in self._chunks(chunk):
            empty = False
            yield frames
        if empty:
            raise CorruptError(f"{display_name(self._header.path)}: not one frame could be decoded")

    def _chunks(self, chunk: int) -> Iterator[FrameChunk]:
        index = 0
        last: float | None = None
        if self._decord is not None:
            reader, self._decord = self._decord, None
            try:
                for frames in reader.read(chunk):
                    yield frames
                    index = frames.first_index + len(frames.times)
                    last = float(frames.times[-1])
                if last is not None and stops_early(self._header, last):
                    self.warnings.append(
                        Note("damaged", "damaged file: the video ends before its declared duration")
                    )
                return
            except DecordUnfitError as error:
                self._fell_back(error)
        yield from read_pyav(self._header, chunk, self.warnings.append, first_index=index, after_s=last)


class _Source(VideoSource):
    """The source that :func:`open_video` returns."""

    def __init__(
        self,
        info: VideoInfo,
        chunks: Iterator[FrameChunk],
        warnings: list[Note],
        prefetch: int,
        max_duration_s: float,
    ) -> None:
        self.info = info
        self.warnings = warnings
        chunks = self._timed(chunks)
        limited = self._limited(chunks, max_duration_s) if max_duration_s > 0 else chunks
        # Decoding starts with the first iteration: a source that is only asked for its info costs none.
        self._make = limited
        self._prefetch = prefetch
        self._running: Prefetcher | None = None
        self._closed = False

    def __iter__(self) -> Iterator[FrameChunk]:
        if self._closed:
            return iter(())
        if self._prefetch == 0:
            return self._make
        if self._running is None:
            self._running = Prefetcher(self._make, self._prefetch)
        return self._running

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._running is not None:
            self._running.close()
        else:
            self._make.close()  # type: ignore[attr-defined]

    def _timed(self, chunks: Iterator[FrameChunk]) -> Iterator[FrameChunk]:
        """Puts duration and rate right at the end, where the file's own clock had to be mended."""
        last = step = 0.0
        count = 0
        for frames in chunks:
            yield frames
            count += len(frames.times)
            step = float(np.diff(frames.times, prepend=last)[-1])
            last = float(frames.times[-1])
        if any(note.code == "time_stamps" for note in self.warnings):
            self.info = replace(self.info, duration_s=last + step, fps=(count - 1) / last if last else None)

    def _limited(self, chunks: Iterator[FrameChunk], limit: float) -> Iterator[FrameChunk]:
        for frames in chunks:
            keep = int((frames.times < limit).sum())
            if keep:
                yield frames if keep == len(frames.times) else frames.part(0, keep)
            if keep < len(frames.times):
                self.warnings.append(Note("max_duration", f"only the first {limit:g} seconds were read"))
                return

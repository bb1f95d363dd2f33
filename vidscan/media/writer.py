"""Video and pictures out. Files appear under their name only when they are complete."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.media.encode import default_pix_fmt, encoder_options, padded_size, reencode, set_up, to_frame
from vidscan.media.sniff import PathLike, display_name
from vidscan.media.sound import SoundCopy
from vidscan.outputs import Replacement

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["VideoWriter", "reencode", "write_png"]

_FORMATS = {".mkv": "matroska", ".mov": "mov", ".webm": "webm", ".avi": "avi", ".ts": "mpegts", ".gif": "gif"}
_CLOCK = Fraction(1, 90_000)
"""Fine enough for any frame rate; containers round it to their own (Matroska to milliseconds)."""
_FRAME_CLOCK_CODECS = frozenset({"mpeg4", "mpeg2video", "mjpeg", "gif"})
"""Codecs that count in frames: MPEG-4 cannot express a finer clock, the others do not need one."""


class VideoWriter:
    """Writes one video file, atomically.

    Parameters
    ----------
    path
        Its suffix picks the container (mkv, mov, webm, avi, ts, gif; else mp4). An existing file is
        replaced on a clean exit only.
    width, height
        Of the images, in pixels. A format with subsampled chroma cannot hold odd sizes: the last
        column or row is then repeated, and the file is one pixel larger.
    fps
        Nominal frame rate, and the spacing of frames written without a time.
    codec, crf, preset
        FFmpeg encoder and its quality; crf is on x264's scale for every codec (ignored by ffv1,
        which is lossless).
    pix_fmt
        FFmpeg pixel format; None takes the codec's usual one (yuv420p, RGB for ffv1). With ``gray``
        the images are (H, W).
    rotation
        Clockwise degrees (0, 90, 180, 270) by which a player is to turn the images (mp4 and mov).
    metadata
        Tags of the container: ``title``, ``comment``, ...
    sound_of
        A clip whose sound goes along, as it is (:class:`vidscan.media.sound.SoundCopy`). Whether it
        did is told by :attr:`has_sound`.

    Raises
    ------
    SetupError
        The encoder is unknown or refuses these settings.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> with VideoWriter("out.mp4", 640, 360, fps=25) as writer:  # doctest: +SKIP
    ...     writer.write(image, time_s=0.04)
    """

    def __init__(
        self,
        path: PathLike,
        width: int,
        height: int,
        *,
        fps: float = 25.0,
        codec: str = "libx264",
        crf: float = 18,
        pix_fmt: str | None = None,
        preset: str = "veryfast",
        rotation: int = 0,
        metadata: Mapping[str, str] | None = None,
        sound_of: PathLike | None = None,
    ) -> None:
        import av

        self._path = Path(path)
        self._part = Replacement(self._path)
        self._pix_fmt = pix_fmt or default_pix_fmt(codec)
        self._size = (height, width) if self._pix_fmt == "gray" else (height, width, 3)
        self._wide, self._high = padded_size(width, height, self._pix_fmt)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._clock = 1 / self._rate if codec in _FRAME_CLOCK_CODECS else _CLOCK
        self._last = -1
        self._count = 0
        self._file: Any = self._part.open()
        self._container: Any = None
        self._sound: SoundCopy | None = None
        try:
            self._container = av.open(
                self._file, mode="w", format=_FORMATS.get(self._path.suffix.lower(), "mp4")
            )
            self._stream: Any = self._container.add_stream(codec, rate=self._rate)
            context = self._stream.codec_context
            set_up(context, self._wide, self._high, self._pix_fmt, encoder_options(codec, crf, preset))
            context.time_base = self._clock
            if rotation:
                self._stream.set_display_rotation(-rotation)
            context.open()
            self._container.metadata.update(metadata or {})
            if sound_of is not None:
                self._sound = SoundCopy.of(sound_of, self._container)
        except (av.error.FFmpegError, ValueError) as error:
            self._abandon()
            raise SetupError(f"cannot write {codec} to {display_name(path)}: {error}") from None
        except BaseException:  # the clip whose sound was wanted
            self._abandon()
            raise

    @property
    def has_sound(self) -> bool:
        """Whether sound goes along: ``sound_of`` has some, of a codec that this container holds."""
        return self._sound is not None

    def write(self, image: NDArray[np.uint8], time_s: float | None = None) -> None:
        """Append one frame.

        Parameters
        ----------
        image
            (H, W, 3) RGB uint8 of the size given at the start; (H, W) for the pixel format ``gray``.
        time_s
            Presentation time in seconds, later than the frame before; None continues at ``fps``.
        """
        if image.shape != self._size or image.dtype != np.uint8:
            raise ValueError(f"needs a uint8 image of shape {self._size}, not {image.dtype} {image.shape}")
        frame = to_frame(image, self._wide, self._high, self._pix_fmt)
        seconds = Fraction(time_s) if time_s is not None else self._count / self._rate
        # Encoders refuse two frames at one tick of the clock.
        self._last = max(self._last + 1, round(seconds / self._clock))
        frame.pts, frame.time_base = self._last, self._clock
        self._count += 1
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        if self._sound is not None:
            self._sound.copy(float(self._last * self._clock))

    def close(self) -> None:
        """Finish the file and put it in its place; a second call does nothing."""
        if self._container is None:
            return
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            if self._sound is not None:
                self._sound.copy(math.inf)
                self._sound.close()
            self._container.close()
            self._container = None
            self._file.close()
            self._part.commit()
        except BaseException:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or after an exception throw it away."""
        if kind is None:
            self.close()
        else:
            self._abandon()

    def _abandon(self) -> None:
        if self._sound is not None:
            self._sound.close()
        container, self._container = self._container, None
        if container is not None:
            with suppress(Exception):  # it may complain of a header that was never written
                container.close()
        with suppress(OSError):  # closing tries again to write what a full disk refused
            self._file.close()
        self._part.abandon()


def write_png(path: PathLike, image: NDArray[np.uint8], *, comment: str = "") -> None:
    """Write one picture, atomically.

    Parameters
    ----------
    path
        Replaced where it exists.
    image
        uint8, (H, W) gray or (H, W, 3) RGB.
    comment
        Latin-1 text for the picture's ``Comment`` tag.

    Raises
    ------
    ValueError
        Another shape or dtype.
    OSError
        The file cannot be written.
    """
    import cv2

    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"needs uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
    bgr = image if image.ndim == 2 else image[..., ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(bgr))
    if not done:
        raise OSError(f"{display_name(path)}: the picture could not be encoded")
    with Replacement(path) as part, part.open() as file:
        file.write(_commented(data.tobytes(), comment))


_PNG_START = 8 + 25
"""Bytes of a PNG's signature and header chunk."""


def _commented(png: bytes, comment: str) -> bytes:
    if not comment:
        return png
    body = b"tEXtComment\0" + comment.encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_START] + chunk + png[_PNG_START:]

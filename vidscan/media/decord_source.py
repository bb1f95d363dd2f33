"""Frames through decord, for the plain, undamaged files it handles well; the rest is PyAV's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from vidscan.media.probe import Header, Timeline, default_threads
from vidscan.media.tone import TRANSFERS
from vidscan.types import FrameChunk

_CONTAINERS = frozenset({"mp4", "mov", "matroska", "webm", "flv"})
"""Containers that decord indexes correctly. It fails to seek in MPEG transport streams, reads
nonsense times from MPEG programme streams, and AVI may pack two frames into one packet."""


_MOST_AHEAD = 512 * 2**20
"""Bytes of decoded frames. A reader that takes its time finds all the rest of the clip in memory."""


class DecordUnfitError(Exception):
    """decord cannot be trusted with this file, or gave up on it; str() says why."""


def decord_installed() -> bool:
    """Whether decord can be imported (there are no wheels for every platform)."""
    # decord loads its libraries for the whole process to see. Were it first, PyAV would find decord's
    # old libvpx in place of its own, and could write no VP9; OpenCV its zlib, and could read no PNG.
    import av  # noqa: F401
    import cv2  # noqa: F401

    try:
        import decord  # noqa: F401
    except Exception:  # its shared library may fail to load in any number of ways
        return False
    return True


class DecordReader:
    """One clip opened with decord.

    Opening checks what decord would get wrong without saying so: it numbers frames by packets, so its
    count has to be that of the ``timeline``, which also supplies the times (decord's are float32).

    Raises
    ------
    DecordUnfitError
        decord cannot open the file, or what it finds disagrees with ``header`` or ``timeline``.
    """

    def __init__(self, header: Header, timeline: Timeline) -> None:
        self._timeline = timeline
        if header.kind not in _CONTAINERS:
            raise DecordUnfitError(f"decord is not used for {header.kind} files")
        if header.video_streams != 1:
            raise DecordUnfitError("the file has several video streams")
        if header.start or not header.geometry.plain or header.transfer in TRANSFERS:
            raise DecordUnfitError("decord neither stretches, mirrors nor tone-maps frames")
        if not timeline.trusted:
            raise DecordUnfitError("the packets' times are incomplete, out of order or damaged")
        width, height = header.geometry.shown
        if 3 * width * height * len(timeline.times) > _MOST_AHEAD:
            raise DecordUnfitError("decord decodes ahead of its reader without bound, and the clip is long")
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        # Where frames are missing at the end, decord repeats earlier ones, this many times, before it
        # gives up. Repeated frames are worse than none: let it give up at once.
        os.environ.setdefault("DECORD_EOF_RETRY_MAX", "1")
        # An absolute path cannot be taken for a protocol ("concat:...").
        path = os.path.abspath(header.path)  # noqa: PTH100 - resolve() would follow links
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            raise DecordUnfitError("decord needs a file name in UTF-8") from None
        try:
            self._reader: Any = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=default_threads())
            count = len(self._reader)
        except Exception as error:  # DECORDError, RuntimeError, AssertionError: it is not choosy
            raise DecordUnfitError(f"decord cannot open it: {_one_line(error)}") from None
        if count != len(timeline.times):
            raise DecordUnfitError(f"decord counts {count} frames of {len(timeline.times)}")
        self._shape = (height, width, 3)

    def read(self, chunk: int) -> Iterator[FrameChunk]:
        """Decode all frames in order, ``chunk`` at a time (the last chunk may have fewer).

        Raises
        ------
        DecordUnfitError
            decord gave up; the chunks so far are good.
        """
        count = len(self._timeline.times)
        for first in range(0, count, chunk):
            stop = min(first + chunk, count)
            try:
                images = self._reader.get_batch(range(first, stop)).asnumpy()
            except Exception as error:
                raise DecordUnfitError(f"decord gave up: {_one_line(error)}") from None
            if images.shape != (stop - first, *self._shape):
                raise DecordUnfitError(f"decord returned frames of shape {images.shape[1:]}")
            yield FrameChunk(first, self._timeline.times[first:stop], images)


def _one_line(error: Exception) -> str:
    """decord's messages carry a C++ stack trace and paths of its build: keep the sentence."""
    lines = str(error).strip().splitlines()
    sentence = lines[0] if lines else type(error).__name__
    return re.sub(r"^.*?\.(cc|h):\d+: ", "", sentence)[:160]

"""Whoever takes what was found in every frame while a clip is still being scanned."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from vidscan.types import FrameMaps, ModelRef, VideoInfo

T = TypeVar("T")


class FrameSink(Protocol):
    """Takes the frames of one clip after the other."""

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """A clip starts."""

    def write(self, frame: FrameMaps) -> str | None:
        """A decoded frame, in order.

        Returns the name of its picture relative to the mask folder; None where there is none.
        """

    def close(self, models: Sequence[ModelRef]) -> None:
        """The clip ends."""


class FrameSinks:
    """Hands everything on to several sinks; a frame's picture is the first that one of them names."""

    def __init__(self, *sinks: FrameSink) -> None:
        self._sinks = sinks

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """See :class:`FrameSink`."""
        for sink in self._sinks:
            sink.begin(info, sha256, path)

    def write(self, frame: FrameMaps) -> str | None:
        """See :class:`FrameSink`."""
        names = [sink.write(frame) for sink in self._sinks]
        return next((name for name in names if name is not None), None)

    def close(self, models: Sequence[ModelRef]) -> None:
        """See :class:`FrameSink`."""
        for sink in self._sinks:
            sink.close(models)


Sink = TypeVar("Sink", bound=FrameSink)


class FailSafe(Generic[Sink]):
    """A sink whose failure does not end the scan: the rest of the clip passes it by.

    Clips are independent: the next one is handed to it again.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._error: OSError | None = None

    def whole(self) -> Sink:
        """The sink, which took the whole clip; raises the OSError that broke it off."""
        if self._error is not None:
            raise self._error
        return self._sink

    def begin(self, info: VideoInfo, sha256: str, path: str | os.PathLike[str]) -> None:
        """See :class:`FrameSink`."""
        self._error = None
        self._safely(lambda: self._sink.begin(info, sha256, path))

    def write(self, frame: FrameMaps) -> str | None:
        """See :class:`FrameSink`."""
        return self._safely(lambda: self._sink.write(frame))

    def close(self, models: Sequence[ModelRef]) -> None:
        """See :class:`FrameSink`."""
        self._safely(lambda: self._sink.close(models))

    def _safely(self, call: Callable[[], T]) -> T | None:
        if self._error is None:
            try:
                return call()
            except OSError as error:
                self._error = error
        return None

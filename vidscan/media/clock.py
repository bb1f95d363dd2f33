"""One clock for a clip, whatever its time stamps do: from 0, never back, no leaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAX_BACKWARD_S = 1.0
"""Time stamps that step back further were reset (joined recordings); smaller steps are jitter."""
_MAX_FORWARD_S = {"mpegts": 10.0, "mpeg": 10.0, "flv": 60.0}
_LONGEST_STILL_S = 600.0
"""A frame may stay on screen for long where the frame rate varies; a transport stream repeats its clock, and
a leap there is another recording, or the clock's 33 bits that ran over (26 hours)."""


def longest_step(kind: str) -> float:
    """Seconds between two frames beyond which a container of this kind has a broken clock."""
    return _MAX_FORWARD_S.get(kind, _LONGEST_STILL_S)


def broken(stamps: NDArray[np.float64], kind: str) -> bool:
    """Whether (N,) time stamps in seconds, in the order of the file, need mending: they go back or leap."""
    if len(stamps) == 0:
        return False
    back = np.maximum.accumulate(stamps) - stamps
    leaps = np.diff(np.sort(stamps))
    return bool(back.max() > _MAX_BACKWARD_S or (len(leaps) and leaps.max() > longest_step(kind)))


class Clock:
    """Turns presentation time stamps into media time.

    Parameters
    ----------
    fps
        Frames a second, where no time between two frames is known yet; None where unknown. A broken clock
        makes nonsense of it.
    kind
        The container, as :func:`vidscan.media.sniff` names it.

    Attributes
    ----------
    mended
        What was wrong so far, in words; counts by kind of fault.
    """

    def __init__(self, fps: float | None, kind: str) -> None:
        self._step = 1.0 / fps if fps and fps >= 1 else 0.04
        self._leap = longest_step(kind)
        self._offset: float | None = None
        self._last: float | None = None
        self.mended: dict[str, int] = {}

    def time(self, stamp: float | None) -> float:
        """Media time in seconds of the next frame, whose time stamp in seconds is ``stamp``."""
        if self._last is None:
            self._offset, self._last = stamp, 0.0
            if stamp is None:
                self._count("missing")
            return 0.0
        if stamp is None:
            self._count("missing")
            self._last += self._step
            return self._last
        if self._offset is None:  # the first stamp, after frames without one
            self._offset = stamp - self._last - self._step
        step = stamp - self._offset - self._last
        if step < -_MAX_BACKWARD_S or step > self._leap:
            self._count("set back" if step < 0 else "leaping ahead")
            self._offset = stamp - self._last - self._step
        elif 0 < step < 1:
            self._step = step
        self._last = max(self._last, stamp - self._offset)
        return self._last

    def _count(self, fault: str) -> None:
        self.mended[fault] = self.mended.get(fault, 0) + 1

"""How many threads the networks and decoders of one process take.

On a busy machine more threads than free cores make everything many times slower: every step of a network
waits for the thread that got no core.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_FEWEST_S = 0.1
"""A shorter look at the processors says nothing: they are counted in hundredths of a second."""

_limit: int | None = None


def cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Seconds since the system's start that all cores were idle, that they ran in all, and that this process
    ran."""

    idle: float
    total: float
    own: float

    @classmethod
    def now(cls) -> CoreTimes | None:
        """None where the system does not tell."""
        try:
            first = _STAT.read_text("ascii").split("\n", 1)[0].split()[1:9]
            ticks = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, AttributeError):
            return None
        counted = [int(value) / ticks for value in first]
        times = os.times()
        return cls(counted[3] + counted[4], sum(counted), times.user + times.system)


def free_cores(before: CoreTimes | None, after: CoreTimes | None) -> int:
    """Cores that were free between two moments, this process's own share counted as free; 1 at least.

    Where the system does not tell, all cores less the load average, or all cores.
    """
    available = cores()
    if before is not None and after is not None and after.total - before.total >= _FEWEST_S * available:
        # Of as many cores as the system has, which may be more than this process may run on.
        seconds = (after.total - before.total) / (os.cpu_count() or 1)
        free = (after.idle - before.idle + after.own - before.own) / seconds
    elif hasattr(os, "getloadavg"):
        free = available - os.getloadavg()[0]
    else:
        free = available
    return max(1, min(available, round(free)))


def use_threads(count: int) -> None:
    """Have torch and OpenCV, where they are loaded, and decoders that are opened from now on take at most
    ``count`` threads, 1 or more, and no more than the system has cores."""
    global _limit
    count = min(count, os.cpu_count() or 1)
    _limit = count
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(count)


def decoder_threads(most: int) -> int:
    """Threads for one decoder: ``most`` at most, no more than :func:`use_threads` said, nor than
    ``OMP_NUM_THREADS`` where that is set, as in a batch's workers."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(most, os.cpu_count() or 1, _limit or most, int(asked) if asked.isdecimal() else most))

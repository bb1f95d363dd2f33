"""How much at once this machine can do, and what becomes of workers whose parent is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from vidscan.threads import cores

_BYTES_PER_WORKER = 1536 * 1024**2
_MAX_GPU_JOBS = 4


def default_jobs(device: str) -> int:
    """Workers that suit this machine: one a core, as far as memory goes; few share a GPU."""
    jobs = cores()
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        jobs = min(jobs, memory // _BYTES_PER_WORKER)
    if device.startswith("cuda"):
        jobs = min(jobs, _MAX_GPU_JOBS)
    return max(1, jobs)


def end_with_parent(last: Callable[[], object] = lambda: None) -> None:
    """See to it that this worker process ends when its parent is gone, however it went, even amid work.

    ``last`` is called before. Does nothing in a process that :mod:`multiprocessing` has not started.
    """
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        last()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

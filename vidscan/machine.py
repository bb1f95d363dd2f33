"""How much at once this machine can do."""

from __future__ import annotations

import os

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

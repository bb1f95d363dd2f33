"""What all tests share: workers of ``pytest -n`` compute in one thread each, and no example is timed."""

from __future__ import annotations

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

"""How many threads are taken: as many as cores are free, and what was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from vidscan import threads
from vidscan.threads import CoreTimes, cores, decoder_threads, free_cores, use_threads


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("idle", "own", "free"),
    [(70.0, 10.0, 8), (30.0, 10.0, 4), (0.0, 10.0, 1), (0.0, 0.0, 1), (0.0, 2.0, 1), (14.0, 10.0, 2)],
)
def test_cores_that_idle_or_that_this_process_runs_on_are_free(idle: float, own: float, free: int) -> None:
    """Within ten seconds of eight cores."""
    before = CoreTimes(500.0, 4000.0, 3.0)
    assert free_cores(before, CoreTimes(500.0 + idle, 4080.0, 3.0 + own)) == free


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(("load", "free"), [(0.0, 8), (5.2, 3), (30.0, 1)])
def test_without_times_the_load_average_tells(
    load: float, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert free_cores(None, None) == free
    # Too short a look tells nothing either.
    assert free_cores(CoreTimes(1.0, 1.0, 0.0), CoreTimes(1.0, 1.1, 0.0)) == free


def test_the_systems_times_grow() -> None:
    before = CoreTimes.now()
    if before is None:
        pytest.skip("this system does not tell")
    sum(range(2_000_000))
    after = CoreTimes.now()
    assert after is not None
    assert after.total >= before.total > 0 and after.idle >= before.idle and after.own >= before.own
    assert 1 <= free_cores(before, after) <= cores()


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "_STAT", tmp_path / "none")
    assert CoreTimes.now() is None


def test_what_is_asked_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_limit", None)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert decoder_threads(4) == 4
    before = torch.get_num_threads()
    try:
        use_threads(3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert decoder_threads(4) == 3 and decoder_threads(2) == 2
    try:
        use_threads(10**8)
        assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert decoder_threads(4) == 1

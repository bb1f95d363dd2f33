"""Nothing is lost or doubled, whoever is killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from samples.kills import kill_at_random, reports

ROOT = Path(__file__).resolve().parents[2]
FAKE = [sys.executable, str(ROOT / "tests" / "cli" / "fake_main.py")]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers through /proc")
def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for index in range(60):
        # Every tenth has the content of another, and every twentieth is an error.
        content = f"pause {index % 54}" if index % 20 else f"raise {index}"
        (folder / f"{index:02}.mp4").write_text(content)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out.jsonl"
    outcome = kill_at_random([*FAKE, "scan", "-q", "--jobs", "2"], folder, out, 3, seed=8, env=env)
    assert (outcome.clips, outcome.kills) == (60, 3)
    assert (outcome.lost, outcome.doubled, outcome.different, outcome.wrong_exit_codes) == (0, 0, 0, 0)
    assert len(reports(out)) == 60

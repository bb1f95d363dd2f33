"""Hostile and fuzzed files through `vidscan scan`: crashes, hangs, lost files, wrong exit codes.

    python -m benchmarks.hostile [--fuzzed 2000] [--seed 1] [--jobs 1] [--out FILE.json]

Scans all kinds of samples/hostile.py and seeded mutations of every container (samples/fuzz.py) with the
shipped weights, in worker processes. Zero is wanted of everything but verdicts and coded errors.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.publish import publish
from samples.fuzz import fuzzed
from samples.hostile import KINDS, VERDICT

TIMEOUT_S, MEMORY_MB = 60, 3000
_OURS = ("internal", "decoder_crashed", "timeout", "out_of_memory")


def make(folder: Path, count: int, seed: int) -> dict[str, frozenset[str] | None]:
    """Writes the files; what may come of each path, None for anything a file may be guilty of."""
    allowed: dict[str, frozenset[str] | None] = {}
    here = Path.cwd()
    for name, kind in KINDS.items():
        (folder / name).mkdir()
        path = kind.make(folder / name)
        os.chdir(here)
        if not path.is_dir():  # a folder would be searched, not scanned
            allowed[str(path)] = kind.outcomes
    (folder / "fuzzed").mkdir()
    allowed.update((str(path), None) for path in fuzzed(folder / "fuzzed", count, seed))
    return allowed


def scan(paths: Iterable[str], jobs: int) -> tuple[dict[str, dict[str, Any]], int, int]:
    """Reports by path, the exit code, and how many bytes came on stderr."""
    # All paths on standard input, since FIFOs and devices in a folder are passed over.
    command = [sys.executable, "-m", "vidscan", "scan", "-", "-0", "--jobs", str(jobs), "--device", "cpu"]
    command += ["--timeout", str(TIMEOUT_S), "--max-memory", str(MEMORY_MB), "-q"]
    given = b"\0".join(os.fsencode(path) for path in paths)
    ended = subprocess.run(command, input=given, capture_output=True, check=False)
    reports = [json.loads(line) for line in ended.stdout.splitlines()]
    return {_path(report): report for report in reports}, ended.returncode, len(ended.stderr)


def run(count: int, seed: int, jobs: int) -> dict[str, Any]:
    """The whole benchmark, as what is written to the JSON file."""
    with tempfile.TemporaryDirectory() as text:
        allowed = make(Path(text), count, seed)
        start = time.perf_counter()
        reports, code, noise = scan(allowed, jobs)
        wall = time.perf_counter() - start
        wrong_codes = int(code != 3)
        outcomes = {path: (report["error"] or {"code": VERDICT})["code"] for path, report in reports.items()}
        # The exit codes of runs whose files all have a verdict, or all have none.
        good = [path for path, outcome in outcomes.items() if outcome == VERDICT]
        found = any(reports[path]["verdict"]["label"] == "manipulated" for path in good)
        wrong_codes += int(scan(good, jobs)[1] != int(found))
        wrong_codes += int(scan([path for path in outcomes if path not in good], jobs)[1] != 3)
    codes = Counter(outcomes.values())
    return {
        "jobs": jobs,
        "seed": seed,
        "limits": {"timeout_s": TIMEOUT_S, "max_memory_mb": MEMORY_MB},
        "kinds": len(allowed) - count,
        "fuzzed": count,
        "inputs": len(allowed),
        "reports": len(reports),
        "lost": len(set(allowed) - set(outcomes)),
        "crashes": codes["decoder_crashed"],
        "hangs": codes["timeout"],
        "out_of_memory": codes["out_of_memory"],
        "internal_errors": codes["internal"],
        "wrong_outcomes": sorted(
            f"{Path(path).parent.name}: {code}"
            for path, code in outcomes.items()
            if code in _OURS or code not in (allowed.get(path) or {code})
        ),
        "runs": 3,
        "wrong_exit_codes": wrong_codes,
        "bytes_on_stderr": noise,
        "outcomes": dict(sorted(codes.items())),
        "wall_s": round(wall, 1),
    }


def _path(report: dict[str, Any]) -> str:
    raw: str | None = report["input"]["path_raw"]
    return os.fsdecode(base64.b64decode(raw)) if raw else str(report["input"]["path"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fuzzed", type=int, default=2000, help="fuzzed files")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    result = run(arguments.fuzzed, arguments.seed, arguments.jobs)
    publish(result, arguments.out)


if __name__ == "__main__":
    main()

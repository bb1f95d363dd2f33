"""`vidscan scan` killed at random moments, parent or worker: what is lost, doubled or different after all.

    python -m benchmarks.kills [--kills 25] [--clips 60] [--seed 1] [--out FILE.json]

Scans a folder of small distinct clips with the shipped weights; after each death of the parent --resume goes
on. Every finished batch is compared, wall times aside, with one that was left alone. Needs Linux.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.publish import publish
from samples.clips import make_clip
from samples.kills import kill_at_random


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="processes to kill")
    parser.add_argument("--clips", type=int, default=60, help="clips in the folder")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text, "clips")
        folder.mkdir()
        for index in range(arguments.clips):
            noise = np.random.default_rng(index).integers(0, 255, (6, 120, 160, 3), np.uint8)
            make_clip(folder / f"{index:02}.mp4", noise)
        command = [sys.executable, "-m", "vidscan", "scan", "-q", "--jobs", "2", "--device", "cpu"]
        start = time.perf_counter()
        outcome = kill_at_random(
            command, folder, Path(text, "out.jsonl"), arguments.kills, seed=arguments.seed
        )
        wall = time.perf_counter() - start
    result = {
        "seed": arguments.seed,
        **asdict(outcome),
        "wall_s": round(wall, 1),
    }
    publish(result, arguments.out)


if __name__ == "__main__":
    main()

"""What a batch costs: workers side by side, Ray, isolation, and memory over the length of a clip.

    python -m benchmarks.batch [--clips 8] [--seconds 2] [--repeats 3] [--no-ray] [--out FILE.json]

Throughput: a 720p clip scanned --clips times by a scanner in this process (one thread), by one and two local
workers and by one and two Ray workers, all warm, by turns. Ratios compare configurations within one round,
so that other load on the machine falls on all of them; the median round counts. Memory: the largest resident
set of a fresh worker over a short clip and over one ten times as long.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.check_speed import HEIGHT, WIDTH, make_clip
from benchmarks.publish import publish
from vidscan.batch.engine import Engine, Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.process import resident_bytes

_POLL_S = 0.02


def throughput(clip: Path, clips: int, repeats: int, with_ray: bool) -> dict[str, list[float]]:
    """Clips a second of each configuration, a number a round."""
    import torch

    from vidscan.scanner import Scanner

    spec = ScannerSpec(device="cpu")
    torch.set_num_threads(1)
    scanner = Scanner(device="cpu")

    def alone(count: int) -> None:
        for _ in range(count):
            assert scanner.scan(clip).error is None

    def by(engine: Engine) -> Callable[[int], None]:
        def scan(count: int) -> None:
            assert sum(report.error is None for _, report in engine.scan([Job(clip)] * count)) == count

        return scan

    with ExitStack() as stack:
        ways: dict[str, Callable[[int], None]] = {"in_process": alone}
        for jobs in (1, 2):
            ways[f"local_{jobs}"] = by(stack.enter_context(LocalEngine(spec, jobs=jobs)))
        if with_ray:
            import ray

            from vidscan.batch.ray_engine import RayEngine

            # Actors claim a processor each, also while the other engine has its turn.
            ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
            stack.callback(ray.shutdown)
            for jobs in (1, 2):
                ways[f"ray_{jobs}"] = by(stack.enter_context(RayEngine(spec, jobs=jobs)))
        for scan in ways.values():
            scan(4)  # until all workers have loaded
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, scan in ways.items():
                start = time.perf_counter()
                scan(clips)
                rates[name].append(round(clips / (time.perf_counter() - start), 4))
    return rates


def peak_mb(clip: Path) -> float:
    """Largest resident set of a fresh worker while it scans ``clip``."""
    peak, over = 0, threading.Event()
    with LocalEngine(ScannerSpec(device="cpu"), jobs=1) as engine:
        engine.start()

        def watch() -> None:
            nonlocal peak
            while not over.wait(_POLL_S):
                peak = max(peak, resident_bytes(engine.pids[0]))

        thread = threading.Thread(target=watch)
        thread.start()
        ((_, report),) = engine.scan([Job(clip)])
        over.set()
        thread.join()
        assert report.error is None
    return round(peak / 1e6, 1)


def run(clips: int, seconds: float, repeats: int, with_ray: bool) -> dict[str, Any]:
    """The whole benchmark, as what is written to the JSON file."""
    with tempfile.TemporaryDirectory() as text:
        short, long, picture = Path(text, "short.mp4"), Path(text, "long.mp4"), Path(text, "picture.png")
        make_clip(short, picture, seconds)
        make_clip(long, picture, 10 * seconds)
        memory = {"short": peak_mb(short), "long": peak_mb(long)}
        load = os.getloadavg()[0]
        rates = throughput(short, clips, repeats, with_ray)

    def ratio(one: str, other: str) -> float | None:
        if one not in rates:
            return None
        return round(statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True)), 2)

    return {
        "load_before": round(load, 1),
        "clip": {"width": WIDTH, "height": HEIGHT, "seconds": seconds},
        "clips_per_round": clips,
        "rounds": repeats,
        "median_clips_per_s": {name: round(statistics.median(each), 3) for name, each in rates.items()},
        "local_2_over_local_1": ratio("local_2", "local_1"),
        "ray_2_over_ray_1": ratio("ray_2", "ray_1"),
        "local_1_over_in_process": ratio("local_1", "in_process"),
        "ray_1_over_local_1": ratio("ray_1", "local_1"),
        "worker_peak_mb": memory,
        "long_over_short_memory": round(memory["long"] / memory["short"], 2),
        "clips_per_s": rates,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="scans in a round")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of the short clip")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    result = run(arguments.clips, arguments.seconds, arguments.repeats, not arguments.no_ray)
    publish(result, arguments.out)


if __name__ == "__main__":
    main()

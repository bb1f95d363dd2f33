"""What the service costs and withstands: throughput beside `scan`, 200 uploads at once, kills, memory.

    python -m benchmarks.serve [--clips 8] [--seconds 1] [--repeats 3] [--uploads 200] [--kills 20]
        [--jobs 500] [--seed 1] [--out FILE.json]

Throughput: the same 720p clips through the engine of `vidscan scan --jobs 2` and through a service of two
workers, uploads and HTTP included, both warm, by turns; without pages, and with a page for every clip (`scan
--report`). Ratios are taken within a round, so that other load falls on both; the median round counts. The
rest is about the queue and not about the scanner: it takes small pictures of noise.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.check_speed import HEIGHT, WIDTH, make_clip
from benchmarks.publish import publish
from samples.serving import Process, clean_environment, kill_at_random, serving
from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.process import resident_bytes

JOBS = 2
COMMAND = [sys.executable, "-m", "vidscan"]
OPTIONS = ("--jobs", str(JOBS), "--device", "cpu", "--rate", "1000000")
ENV = clean_environment(Path(__file__).resolve().parents[1])


def picture(number: int) -> bytes:
    """A small picture of noise that no other number gives."""
    noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


def throughput(folder: Path, clips: int, seconds: float, repeats: int) -> dict[str, list[float]]:
    """Clips a second of each way, a number a round."""
    first = folder / "clip.mp4"
    make_clip(first, folder / "picture.png", seconds)
    numbers = iter(range(10**6))

    def contents() -> Iterator[bytes]:
        """The clip over and over, each with another end that no decoder minds: a free box of ISO 14496-12."""
        for _ in range(clips):
            yield first.read_bytes() + b"\0\0\0\x10free" + next(numbers).to_bytes(8, "big")

    def scan(engine: LocalEngine) -> None:
        paths = []
        for number, content in enumerate(contents()):
            paths.append(folder / f"{number}.mp4")
            paths[-1].write_bytes(content)
        reports = [report for _, report in engine.scan([Job(path) for path in paths])]
        assert len(reports) == clips and all(report.error is None for report in reports)

    def serve(server: Process, page: str) -> None:
        ids = [server.post(content, page=page)["id"] for content in contents()]
        jobs = server.wait_until_done(len(server.jobs()))
        assert all(jobs[id]["state"] == "done" for id in ids)

    pages = folder / "pages"
    pages.mkdir()
    plain = ScannerSpec(device="cpu")
    paged = ScannerSpec(
        device="cpu", factory="vidscan.batch.pages:PageScanner", options={"folder": str(pages)}
    )
    with ExitStack() as stack:
        engines = [stack.enter_context(LocalEngine(spec, jobs=JOBS)) for spec in (plain, paged)]
        server = stack.enter_context(serving(COMMAND, folder / "data", *OPTIONS, env=ENV))
        ways: dict[str, Callable[[], None]] = {
            "scan": lambda: scan(engines[0]),
            "serve": lambda: serve(server, "false"),
            "scan_with_pages": lambda: scan(engines[1]),
            "serve_with_pages": lambda: serve(server, "true"),
        }
        for way in ways.values():
            way()  # until all workers have loaded
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                rates[name].append(round(clips / (time.perf_counter() - start), 4))
    return rates


def at_once(data: Path, uploads: int) -> dict[str, int]:
    """Small uploads, all at the same time."""
    with serving(COMMAND, data, *OPTIONS, env=ENV) as server, ThreadPoolExecutor(uploads) as pool:
        answers = list(pool.map(lambda n: server.post(picture(n)), range(uploads)))
        ids = {answer["id"] for answer in answers}
        jobs = server.wait_until_done(uploads)
    return {
        "sent": uploads,
        "accepted": len(ids),
        "done": sum(job["state"] == "done" for id, job in jobs.items() if id in ids),
        "lost": len(ids - set(jobs)),
    }


def memory(data: Path, jobs: int) -> dict[str, float]:
    """Resident set of the server's own process, in MB, after a fifth of the jobs and after all."""
    with serving(COMMAND, data, *OPTIONS, env=ENV) as server:

        def after(start: int, end: int) -> float:
            for number in range(start, end):
                server.post(picture(number))
            server.wait_until_done(end)
            return round(resident_bytes(server.process.pid) / 1e6, 1)

        early = after(0, jobs // 5)
        late = after(jobs // 5, jobs)
    return {"jobs": jobs, "early_mb": early, "late_mb": late, "late_over_early": round(late / early, 3)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark, as what is written to the JSON file."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        rates = throughput(folder, arguments.clips, arguments.seconds, arguments.repeats)
        uploads = at_once(folder / "uploads", arguments.uploads)
        held = memory(folder / "memory", arguments.jobs)
        kills = kill_at_random(
            COMMAND,
            folder / "kills",
            lambda number: picture(number % 40),
            arguments.kills,
            seed=arguments.seed,
            options=OPTIONS,
            env=ENV,
        )

    def ratio(one: str, other: str) -> float:
        return round(statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True)), 3)

    return {
        "load_before": round(load, 1),
        "clip": {"width": WIDTH, "height": HEIGHT, "seconds": arguments.seconds},
        "clips_per_round": arguments.clips,
        "rounds": arguments.repeats,
        "workers": JOBS,
        "serve_over_scan": ratio("serve", "scan"),
        "serve_over_scan_with_pages": ratio("serve_with_pages", "scan_with_pages"),
        "clips_per_s": rates,
        "uploads_at_once": uploads,
        "memory": held,
        "kills": {"seed": arguments.seed, **asdict(kills)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="clips in a round")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a clip")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--uploads", type=int, default=200, help="uploads at once")
    parser.add_argument("--kills", type=int, default=20, help="servers to kill")
    parser.add_argument("--jobs", type=int, default=500, help="jobs over which memory is watched")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    publish(run(arguments), arguments.out)


if __name__ == "__main__":
    main()

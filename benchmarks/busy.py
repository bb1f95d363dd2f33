"""How long `vidscan check` takes beside busy processes, with threads as they are chosen and as they would be.

    python -m benchmarks.busy [--busy 4] [--seconds 3] [--repeats 3] [--out FILE.json]

Starts processes that do nothing but compute, and then by turns `vidscan check` of a 720p clip with a thread
for every core (what the networks' library takes by itself, and vidscan took before), with one, and with as
many as vidscan chooses. Also tells how soon a terminal says that something happens, beside how long Python
itself takes to start (POSIX only). Times depend on the machine; their ratios are what counts.
"""

from __future__ import annotations

import argparse
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.check_speed import make_clip, measure
from benchmarks.publish import publish
from vidscan.threads import cores

_SPIN = "while True: sum(range(10_000))"


@contextmanager
def busy(count: int) -> Iterator[None]:
    """That many processes that compute for as long as the context lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def first_word_s(command: list[str], word: str) -> float:
    """Seconds until a process has written ``word`` to the terminal that is its standard error."""
    ours, theirs = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    while word.encode() not in said:
        part = os.read(ours, 1024)
        if not part:
            raise SystemExit(f"never said {word!r}: {' '.join(command)}")
        said += part
    found = time.perf_counter() - start
    process.kill()
    process.wait()
    os.close(ours)
    return found


def run(count: int, seconds: float, repeats: int) -> dict[str, object]:
    """The whole benchmark, as what is written to the JSON file."""
    os.environ.pop("OMP_NUM_THREADS", None)  # it would be obeyed
    check = [sys.executable, "-m", "vidscan", "check", "--exit-zero", "--device", "cpu"]
    with tempfile.TemporaryDirectory() as folder, busy(count):
        clip = Path(folder, "clip.mp4")
        make_clip(clip, Path(folder, "picture.png"), seconds)
        commands = {
            "a thread a core": [*check, "--threads", str(cores()), "--json", str(clip)],
            "chosen": [*check, "--json", str(clip)],
            "one thread": [*check, "--threads", "1", "--json", str(clip)],
        }
        walls: dict[str, list[float]] = {name: [] for name in commands}
        spoken: dict[str, list[float]] = {"Loading": [], "python": []}
        # By turns, so that a slow spell of the machine falls on all of them.
        for _ in range(repeats):
            for name, command in commands.items():
                walls[name].append(measure(command, (0,)).wall_s)
            spoken["Loading"].append(round(first_word_s([*check, str(clip)], "Loading"), 3))
            spoken["python"].append(measure([sys.executable, "-c", "pass"], (0,)).wall_s)
    median = {name: statistics.median(runs) for name, runs in walls.items()}
    return {
        "cores": cores(),
        "busy": count,
        "clip_s": seconds,
        "repeats": repeats,
        "median_wall_s": median,
        "a_thread_a_core_per_chosen": round(median["a thread a core"] / median["chosen"], 2),
        "one_thread_per_chosen": round(median["one thread"] / median["chosen"], 2),
        "median_first_word_s": {name: statistics.median(runs) for name, runs in spoken.items()},
        "runs": walls | {f"first word, {name}": runs for name, runs in spoken.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--busy", type=int, default=4, help="busy processes beside")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of the clip")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each kind")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    result = run(arguments.busy, arguments.seconds, arguments.repeats)
    publish(result, arguments.out)


if __name__ == "__main__":
    main()

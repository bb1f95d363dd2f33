"""How long `vidscan check` takes, and how much memory, beside decoding the same clip and nothing else.

    python -m benchmarks.check_speed [--seconds 10] [--repeats 3] [--device cpu] [--out FILE.json]

Makes a 720p clip from scikit-image's public-domain portrait, then runs three kinds of process by turns:
decoding alone, `vidscan check`, and `vidscan check` of a one-frame picture, which is what starting up
costs. Wall time and peak resident memory are those of the whole process, as the system counts them
(Linux and macOS).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from benchmarks.publish import publish
from vidscan.media.writer import VideoWriter, write_png

WIDTH, HEIGHT, FPS = 1280, 720, 25
_DECODE = (
    "import sys; from vidscan.media import open_video\n"
    "for chunk in open_video(sys.argv[1]):\n"
    "    for row in range(len(chunk.times)): chunk.image(row)"
)
_WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""
"""Linux counts the memory of whoever starts a process as that process's own: a small one has to start it.
`wait4` tells this one child's peak; `resource.getrusage` would tell the largest of all so far."""


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    wall_s: float
    peak_mb: float


def make_clip(path: Path, picture: Path, seconds: float) -> None:
    """A slow pan over the portrait with sensor noise, and its first frame as a picture."""
    portrait = np.ascontiguousarray(astronaut())
    rng = np.random.default_rng(0)
    with VideoWriter(path, WIDTH, HEIGHT, fps=FPS, crf=23) as writer:
        for index in range(round(seconds * FPS)):
            x = 250 + 150 * np.sin(index / FPS)
            shown = cv2.warpAffine(
                portrait,
                np.array([[1.4, 0, x], [0, 1.4, 8]]),
                (WIDTH, HEIGHT),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT,
            )
            noisy = shown + rng.normal(0, 2, shown.shape)
            image = np.clip(noisy, 0, 255).round().astype(np.uint8)
            writer.write(image)
            if index == 0:
                write_png(picture, image)


def measure(command: list[str], allowed: tuple[int, ...]) -> Cost:
    """Run a process to its end; its standard output goes nowhere."""
    watched = subprocess.run(
        [sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    wall, peak, code = json.loads(watched.stdout)
    if code not in allowed:
        raise SystemExit(f"exit code {code}: {' '.join(command)}")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes, Linux in kibibytes
    return Cost(round(wall, 3), round(peak * unit / 1e6, 1))


def run(seconds: float, repeats: int, device: str) -> dict[str, object]:
    """The whole benchmark, as what is written to the JSON file."""
    # Whatever the verdict on this made-up clip is, it is not what is measured.
    check = [sys.executable, "-m", "vidscan", "check", "--json", "--exit-zero", "--device", device]
    with tempfile.TemporaryDirectory() as folder:
        clip, picture = Path(folder, "clip.mp4"), Path(folder, "picture.png")
        make_clip(clip, picture, seconds)
        commands = {
            "decode": [sys.executable, "-c", _DECODE, str(clip)],
            "check": [*check, str(clip)],
            "startup": [*check, str(picture)],
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        # By turns, so that a slow spell of the machine falls on all of them.
        for _ in range(repeats):
            for name, command in commands.items():
                costs[name].append(measure(command, (0,)))
    wall = {name: statistics.median(c.wall_s for c in runs) for name, runs in costs.items()}
    peak = {name: statistics.median(c.peak_mb for c in runs) for name, runs in costs.items()}
    return {
        "device": device,
        "clip": {"width": WIDTH, "height": HEIGHT, "fps": FPS, "seconds": seconds},
        "repeats": repeats,
        "median_wall_s": wall,
        "median_peak_mb": peak,
        "check_per_decode": round(wall["check"] / wall["decode"], 2),
        "check_per_clip_second": round(wall["check"] / seconds, 3),
        "check_without_startup_per_clip_second": round((wall["check"] - wall["startup"]) / seconds, 3),
        "runs": {name: [asdict(cost) for cost in runs] for name, runs in costs.items()},
    }


def table(result: dict[str, object]) -> str:
    """The medians for people."""
    wall, peak = result["median_wall_s"], result["median_peak_mb"]
    assert isinstance(wall, dict) and isinstance(peak, dict)
    rows = [f"{'process':<10}{'wall s':>10}{'peak MB':>10}{'x decode':>10}"]
    rows += [f"{n:<10}{wall[n]:>10.2f}{peak[n]:>10.0f}{wall[n] / wall['decode']:>10.2f}" for n in wall]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each kind")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda[:n]")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    result = run(arguments.seconds, arguments.repeats, arguments.device)
    publish(result, arguments.out, table(result) + "\n")


if __name__ == "__main__":
    main()

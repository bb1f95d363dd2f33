"""Whether an hour of film needs more memory than a minute.

    python -m benchmarks.memory [--minutes 60] [--fps 10] [--out FILE.json]

A minute of 720p with one face (`benchmarks/throughput.py`), and the same minute repeated without encoding it
anew. Peak resident memory is that of a process that scans the one or the other, as the system counts it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import av

from benchmarks.check_speed import measure
from benchmarks.publish import publish
from benchmarks.throughput import write_clip

_MINUTE_S = 60.0
_SCAN = (
    "import sys; from vidscan import Scanner; assert Scanner(device='cpu').scan(sys.argv[1]).error is None"
)


def repeat(source: Path, target: Path, times: int) -> None:
    """Write the packets of a clip's video so many times, one after the other."""
    with av.open(str(target), "w") as out:
        stream, start = None, 0
        for _ in range(times):
            with av.open(str(source)) as clip:
                template = clip.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(template)
                    stream.time_base = template.time_base
                last = 0
                for packet in clip.demux(template):
                    if packet.dts is None or packet.pts is None:
                        continue
                    last = max(last, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, stream
                    out.mux(packet)
                start += last


def run(minutes: int, fps: int, folder: Path) -> dict[str, Any]:
    """The whole benchmark, as what is written to the JSON file."""
    short, long = folder / "minute.mp4", folder / "long.mp4"
    write_clip(short, 1280, 720, 1, _MINUTE_S, fps)
    repeat(short, long, minutes)
    costs = {
        name: measure([sys.executable, "-c", _SCAN, str(path)], (0,))
        for name, path in (("a minute", short), (f"{minutes} minutes", long))
    }
    first, last = (cost.peak_mb for cost in costs.values())
    return {
        "clip": {"size": "1280x720", "fps": fps},
        "peak_mb": {name: round(cost.peak_mb) for name, cost in costs.items()},
        "wall_s": {name: round(cost.wall_s, 1) for name, cost in costs.items()},
        "longer_per_minute": round(last / first, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60, help="length of the longer clip")
    parser.add_argument("--fps", type=int, default=10, help="frames per second of both")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        publish(run(arguments.minutes, arguments.fps, Path(folder)), arguments.out)


if __name__ == "__main__":
    main()

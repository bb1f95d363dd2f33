"""What the instruments of the evidence shelf cost, in multiples of decoding the clip.

    python -m benchmarks.forensics CLIP... --out benchmarks/forensics.json

Processor time of one thread, each instrument on material of its own, so that what instruments share (frames,
one pass over the coded frames) is counted with each.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.publish import publish
from vidscan.forensics.base import INSTRUMENTS
from vidscan.forensics.material import Material
from vidscan.forensics.shelf import examine
from vidscan.media import open_video


def spent(run: Callable[[], object]) -> float:
    """Processor seconds of a second run: the first one imports."""
    run()
    start = time.process_time()
    run()
    return time.process_time() - start


def decode(clip: Path) -> int:
    """Decode a clip and let go of it; the number of its frames."""
    with open_video(clip, prefetch=0) as source:
        return sum(len(chunk.times) for chunk in source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    clips = []
    for clip in given.clips:
        once = spent(lambda clip=clip: decode(clip))
        ratios = {
            name: round(spent(lambda clip=clip, name=name: examine(Material(clip), [name])) / once, 2)
            for name in INSTRUMENTS
        }
        ratios["all together"] = round(spent(lambda clip=clip: examine(Material(clip))) / once, 2)
        clips.append({"clip": clip.name, "frames": decode(clip), "times_decoding": ratios})
    publish({"clips": clips}, given.out)


if __name__ == "__main__":
    main()

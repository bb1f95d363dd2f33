"""What the instruments of the evidence shelf cost, in multiples of decoding the clip.

    python -m benchmarks.forensics [--seconds 10] [--out benchmarks/forensics.json]

Makes a 720p clip and a picture of one person, and finds the faces that instruments are given beforehand, as
a scan would have. Processor time of one thread, each instrument on material of its own, so that what
instruments share (frames, one pass over the coded frames) is counted with each. Of pictures, which cost too
little to decode, milliseconds are told.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.check_speed import make_clip
from benchmarks.publish import publish
from vidscan.faces.detect import load_detector
from vidscan.forensics.base import INSTRUMENTS
from vidscan.forensics.material import Box, Material
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


def faces_of(clip: Path) -> dict[int, Sequence[Box]]:
    """Boxes by frame, in the frames that instruments look at."""
    detector = load_detector()
    found = {}
    for frame in Material(clip).frames:
        faces = detector.detect(frame.image[None])[0]
        found[frame.index] = [tuple(map(float, face.box)) for face in faces]
    return found


def costs(path: Path) -> dict[str, float]:
    """Processor seconds of each instrument, and of all of them together."""
    faces: Mapping[int, Sequence[Box]] = faces_of(path)
    found = {
        name: spent(lambda name=name: examine(Material(path, faces=faces), [name])) for name in INSTRUMENTS
    }
    return found | {"all together": spent(lambda: examine(Material(path, faces=faces)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, picture = Path(folder) / "clip.mp4", Path(folder) / "picture.png"
        make_clip(clip, picture, given.seconds)
        once = spent(lambda: decode(clip))
        result = {
            "seconds": given.seconds,
            "frames": decode(clip),
            "clip_times_decoding": {name: round(cost / once, 2) for name, cost in costs(clip).items()},
            "picture_ms": {name: round(1000 * cost) for name, cost in costs(picture).items()},
        }
    publish(result, given.out)


if __name__ == "__main__":
    main()

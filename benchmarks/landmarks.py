"""How many faces per second the landmark network reads on one core, beside the patch network and the cutting.

    python -m benchmarks.landmarks [--out FILE.json]

One thread, batches of 32, processor time: what else runs on the machine hardly counts. Cutting is of faces of
about 130 px in 480p frames.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.data import astronaut

from benchmarks.publish import publish
from vidscan.faces.align import align, crop_transform
from vidscan.faces.landmarks import LandmarkReader
from vidscan.models import load_registry
from vidscan.patches.classifier import PatchClassifier
from vidscan.types import Face

BATCH = 32


def per_second(call: Callable[[], object], repeats: int) -> float:
    """Faces a second of processor time, median of ``repeats``."""
    call()
    rates = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        rates.append(BATCH / (time.process_time() - start))
    return round(statistics.median(rates), 1)


def run(repeats: int) -> dict[str, Any]:
    """The whole benchmark, as what is written to the JSON file."""
    torch.set_num_threads(1)
    registry = load_registry()
    reader = LandmarkReader(registry.get("landmarks"), batch=BATCH)
    patches = PatchClassifier(registry.get("patches"), batch=BATCH)
    frame = np.pad(np.ascontiguousarray(astronaut())[:480], ((0, 0), (170, 172), (0, 0)))
    images = np.repeat(frame[None], BATCH, axis=0)
    points = np.array([[366, 109], [414, 105], [392, 133], [375, 156], [413, 153]], np.float32)
    box = np.array([340, 60, 445, 190], np.float32)
    faces = [Face(i, i / 25, 0, box, points, 1.0, True) for i in range(BATCH)]
    index = np.arange(BATCH)
    maps = crop_transform(np.stack([f.points for f in faces]), reader.spec)
    crops = align(torch.from_numpy(images), index, maps, reader.spec)
    large = patches.crops(images, index, patches.transforms(faces))
    rates = {
        "landmark network": per_second(lambda: reader.output(crops), repeats),
        "landmarks with cutting and texture": per_second(lambda: reader.read(images, index, faces), repeats),
        "patch network": per_second(lambda: patches.logits(large), repeats),
    }
    return {
        "batch": BATCH,
        "repeats": repeats,
        "faces_per_cpu_second": rates,
        "landmark_network_per_patch_network": round(rates["landmark network"] / rates["patch network"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    publish(run(arguments.repeats), arguments.out)


if __name__ == "__main__":
    main()

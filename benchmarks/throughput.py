"""How fast clips are scanned: against real time, decoding alone, and a pipeline of ready-made parts.

    python -m benchmarks.throughput [--seconds 60] [--repeats 5] [--reference-seconds 2] [--out FILE.json]

Clips of one face at 720p and 1080p and of four faces at 720p are made from scikit-image's public-domain
portrait. In one process, models loaded and warm, decoding alone and scanning take turns with one decoder and
its threads. The reference is facenet-pytorch's MTCNN with its defaults on every full frame, and a whole
Xception at 299 px on every face, on the first seconds of the same clip. What starting costs is told by cold
processes. Two workers against one is `benchmarks/batch.py`, memory `benchmarks/memory.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

from benchmarks.check_speed import measure
from benchmarks.publish import publish
from vidscan import Scanner, ScanSettings
from vidscan.media import VideoWriter, open_video, write_png
from vidscan.patches.xception import WholeXception

FPS = 30
CLIPS = {
    "720p, one face": (1280, 720, 1),
    "1080p, one face": (1920, 1080, 1),
    "720p, four faces": (1280, 720, 4),
}
"""Width, height and faces."""


def write_clip(path: Path, width: int, height: int, faces: int, seconds: float, fps: int = FPS) -> None:
    """Portraits that sway before a plain ground, with sensor noise."""
    portrait = np.ascontiguousarray(astronaut()[:400, 60:420])
    rng = np.random.default_rng(0)
    ground = cv2.resize(
        rng.integers(60, 180, (6, 10, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    # A few pictures of noise by turns: drawing it anew would take longer than all that is measured.
    noise = rng.normal(0, 2, (8, height, width, 3)).round().astype(np.int16)
    columns = 1 if faces == 1 else 2
    zoom = 0.9 * height / (columns * portrait.shape[0])
    with VideoWriter(path, width, height, fps=fps, crf=23) as writer:
        for index in range(round(seconds * fps)):
            shown = ground.copy()
            for face in range(faces):
                row, column = divmod(face, columns)
                phase = index / fps + face
                x = (column + 0.5) * width / columns - 180 * zoom + 0.04 * width * np.sin(phase)
                y = row * height / columns + 0.01 * height * np.sin(1.7 * phase) + 0.02 * height
                place = np.array([[zoom, 0, x], [0, zoom, y]])
                cv2.warpAffine(
                    portrait,
                    place,
                    (width, height),
                    dst=shown,
                    flags=cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_TRANSPARENT,
                )
            writer.write(np.asarray(cv2.add(shown, noise[index % 8], dtype=cv2.CV_8U), np.uint8))


def decode(path: Path) -> None:
    """All frames as RGB, and nothing else, with the decoder that a scan takes."""
    with open_video(path, decoder=ScanSettings().decoder) as source:
        for chunk in source:
            for row in range(len(chunk.times)):  # they become RGB when they are asked for
                chunk.image(row)


def timed(call: Callable[[], object]) -> float:
    """Wall seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def reference_s_per_frame(path: Path, seconds: float) -> float:
    """Wall seconds a frame of the pipeline of ready-made parts; untrained weights cost the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pickled weights
        from facenet_pytorch import MTCNN

        detector = MTCNN(keep_all=True).eval()
    network = torch.nn.Sequential(WholeXception(), torch.nn.Flatten(), torch.nn.Linear(2048, 2)).eval()
    frames, start = 0, time.perf_counter()
    with open_video(path, max_duration_s=seconds) as source, torch.inference_mode():
        for chunk in source:
            for image in chunk.images:
                boxes, _ = detector.detect(image)
                crops = [_crop(image, box) for box in ([] if boxes is None else boxes)]
                if crops:
                    network(torch.stack(crops)).softmax(1)
                frames += 1
    return (time.perf_counter() - start) / frames


def _crop(image: NDArray[np.uint8], box: NDArray[np.floating]) -> torch.Tensor:
    """(3, 299, 299) of a box enlarged by 1.3, as FaceForensics' detect_from_video cuts it."""
    centre, side = (box[:2] + box[2:]) / 2, 1.3 * float((box[2:] - box[:2]).max())
    x0, y0 = np.maximum(centre - side / 2, 0).astype(int)
    part = image[y0 : int(y0 + side) + 1, x0 : int(x0 + side) + 1]
    pixels = torch.from_numpy(cv2.resize(part, (299, 299))).permute(2, 0, 1).float()
    return (pixels / 255 - 0.5) / 0.5


def clip_figures(scanner: Scanner, path: Path, seconds: float, repeats: int) -> dict[str, Any]:
    """One clip, decoded and scanned by turns."""
    decoding, scanning, reports = [], [], []
    for _ in range(repeats):
        decoding.append(timed(lambda: decode(path)))
        scanning.append(timed(lambda: reports.append(scanner.scan(path))))
    report = reports[-1]
    if report.error is not None or not report.tracks:
        raise SystemExit(f"{path.name}: {report.error or 'no face'}")
    wall, alone = statistics.median(scanning), statistics.median(decoding)
    stages = {
        name: round(statistics.median(getattr(r.timing_s, name) for r in reports), 2)
        for name in ("decode", "detect", "landmarks", "classify", "verdict")
    }
    return {
        "tracks": len(report.tracks),
        "decode_s": round(alone, 2),
        "scan_s": round(wall, 2),
        "times_real_time": round(seconds / wall, 2),
        "scan_per_decode": round(wall / alone, 2),
        "stages_s": stages,
        "runs_s": {"decode": [round(v, 2) for v in decoding], "scan": [round(v, 2) for v in scanning]},
    }


def startup_figures(picture: Path, repeats: int) -> dict[str, Any]:
    """Wall seconds of cold processes, by turns."""
    write_png(picture, np.ascontiguousarray(astronaut()))
    check = [sys.executable, "-m", "vidscan", "check", "--json", "--exit-zero", "--device", "cpu"]
    commands = {
        "import typer": [sys.executable, "-c", "import typer"],
        "vidscan --help": [sys.executable, "-m", "vidscan", "--help"],
        "import torch": [sys.executable, "-c", "import torch"],
        "check of a picture": [*check, str(picture)],
    }
    runs = [
        {name: measure(command, (0,)).wall_s for name, command in commands.items()} for _ in range(repeats)
    ]
    wall = {name: statistics.median(turn[name] for turn in runs) for name in commands}
    return {"wall_s": wall, "help_per_typer": round(wall["vidscan --help"] / wall["import typer"], 2)}


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole benchmark, as what is written to the JSON file."""
    scanner = Scanner(device="cpu")
    warm = folder / "warm.mp4"
    write_clip(warm, 1280, 720, 1, 1.0)
    scanner.scan(warm)
    clips, paths = {}, {}
    for name, (width, height, faces) in CLIPS.items():
        paths[name] = folder / f"{height}-{faces}.mp4"
        write_clip(paths[name], width, height, faces, arguments.seconds)
        clips[name] = clip_figures(scanner, paths[name], arguments.seconds, arguments.repeats)
    first = next(iter(CLIPS))
    frame_s = clips[first]["scan_s"] / (arguments.seconds * FPS)
    reference = reference_s_per_frame(paths[first], arguments.reference_seconds)
    return {
        "threads": torch.get_num_threads(),
        "load_before": arguments.load,
        "clip": {"fps": FPS, "seconds": arguments.seconds},
        "repeats": arguments.repeats,
        "clips": clips,
        "reference": {
            "seconds": arguments.reference_seconds,
            "ms_per_frame": round(1e3 * reference, 1),
            "times_vidscan": round(reference / frame_s, 1),
        },
        "startup": startup_figures(folder / "portrait.png", arguments.repeats),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each clip")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each kind")
    parser.add_argument("--reference-seconds", type=float, default=2.0, help="what the reference is given")
    parser.add_argument("--out", type=Path, help="write the JSON here")
    arguments = parser.parse_args()
    arguments.load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        publish(run(arguments, Path(folder)), arguments.out)


if __name__ == "__main__":
    main()

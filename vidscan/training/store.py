"""Aligned crops with landmarks, cut once from the corpus and kept on disk as flat arrays.

A store is a folder: ``crops.npy`` (N, S, S, 3) uint8 RGB, ``landmarks.npy`` (N, 478, 2) float32 in crop
pixels (NaN where the teacher found no face) and ``rows.jsonl``, one line a crop. Crops are cut wider
than the network's, at the network's scale, so that augmentation never runs over an edge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vidscan.errors import InputError
from vidscan.faces.align import CropSpec, align, crop_transform
from vidscan.faces.detect import Detector, load_detector
from vidscan.media import open_video
from vidscan.training.corpus import Entry
from vidscan.training.teacher import Teacher
from vidscan.types import FrameChunk

STORE_SPEC = CropSpec(size=352, margin=2.2)


@dataclass(frozen=True, slots=True)
class StoreRow:
    """Where one crop came from."""

    file: str
    identity: str
    repo: str
    genuine: bool
    held_out: bool
    kind: str
    method: str
    family: str
    frame: int
    face_px: float
    """Side of the detector's box in the source, in pixels."""


@dataclass(frozen=True, slots=True)
class Store:
    crops: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    rows: list[StoreRow]

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Opens a finished store without reading the crops into memory."""
        with (folder / "rows.jsonl").open(encoding="utf-8") as handle:
            rows = [StoreRow(**json.loads(line)) for line in handle]
        crops = np.load(folder / "crops.npy", mmap_mode="r")
        landmarks = np.load(folder / "landmarks.npy")
        return cls(crops, landmarks, rows)


def spread_frames(path: Path, count: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """``count`` frames spread evenly over a clip; see :func:`frames_at`."""
    return frames_at(path, tuple(np.linspace(0.05, 0.95, count).tolist()))


def frames_at(path: Path, shares: Sequence[float]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames with their indices at ascending ``shares`` (0..1) of a clip's duration, decoded in order.

    Random access is far slower in clips with few key frames.
    """
    taken = 0
    with open_video(path) as source:
        wanted = np.array(shares) * (source.info.duration_s or 0.0)
        for chunk in source:
            for index, image in _pick(chunk, wanted, taken):
                taken += 1
                yield index, image
            if taken >= len(wanted):
                return


def _pick(
    chunk: FrameChunk, wanted: NDArray[np.float64], taken: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for i, time in enumerate(chunk.times):
        if taken < len(wanted) and time >= wanted[taken]:
            taken += 1
            yield chunk.first_index + i, chunk.image(i)


def largest_face(
    image: NDArray[np.uint8], detector: Detector, spec: CropSpec
) -> tuple[NDArray[np.uint8], float] | None:
    """The largest face of a frame (H, W, 3) RGB: its crop (S, S, 3), and the side of its box in frame pixels.

    None where there is no face.
    """
    found = detector.detect(image[None])[0]
    if not found:
        return None
    face = found[0]
    transform = crop_transform(face.points[None], spec, face.box[None])
    crop = align(torch.from_numpy(image[None]), np.zeros(1, np.int64), transform, spec)
    pixels = crop[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
    return pixels, round(float(np.sqrt(np.prod(face.box[2:] - face.box[:2]))), 1)


def build_store(
    corpus: Path, entries: list[Entry], folder: Path, *, frames_per_clip: int, teacher: Teacher | None
) -> Store:
    """Cuts the largest face of every picture, and of spread frames of every clip, into a store.

    A folder that is finished is opened as it is. Without ``teacher`` the landmarks are NaN. A store in
    which no face was found is empty.
    """
    if (folder / "rows.jsonl").exists():
        return Store.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    detector = load_detector()
    crops, landmarks, rows = [], [], []
    for entry in tqdm(entries, desc="crops", unit="file", disable=None):
        count = frames_per_clip if entry.kind == "video" else 1
        try:
            frames = list(spread_frames(corpus / entry.file, count))
        except InputError as error:
            tqdm.write(f"{entry.file}: {error}")
            continue
        for index, image in frames:
            found = largest_face(image, detector, STORE_SPEC)
            if found is None:
                continue
            pixels, face_px = found
            points = teacher.landmarks(pixels) if teacher is not None else None
            crops.append(pixels)
            landmarks.append(np.full((478, 2), np.nan, np.float32) if points is None else points)
            rows.append(
                StoreRow(
                    file=entry.file,
                    identity=entry.identity,
                    repo=entry.repo,
                    genuine=entry.genuine,
                    held_out=entry.held_out,
                    kind=entry.kind,
                    method=entry.method,
                    family=entry.family,
                    frame=index,
                    face_px=face_px,
                )
            )
    side = STORE_SPEC.size
    np.save(folder / "crops.npy", np.array(crops, np.uint8).reshape(-1, side, side, 3))
    np.save(folder / "landmarks.npy", np.array(landmarks, np.float32).reshape(-1, 478, 2))
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    return Store.open(folder)

"""Aligned crops with landmarks, cut once from the corpus and kept on disk as flat arrays.

A store is a folder: ``crops.npy`` (N, S, S, 3) uint8 RGB, ``landmarks.npy`` (N, 478, 2) float32 in crop
pixels (NaN where the teacher found no face) and ``rows.jsonl``, one line a crop. Crops are cut wider
than the network's, at the network's scale, so that augmentation never runs over an edge.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from vidscan.errors import InputError
from vidscan.faces.align import CropSpec
from vidscan.faces.detect import load_detector
from vidscan.training.corpus import Entry
from vidscan.training.face_crops import largest_face, spread_frames
from vidscan.training.teacher import Teacher

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

"""Genuine training faces labeled by the teacher, cut once and kept on disk as flat arrays.

A label store is a folder: ``crops.npy`` (N, 192, 192, 3) uint8 RGB, ``coded.npy`` (the same crops after a
video encoder), ``landmarks.npy`` (N, 68, 3) float32 in crop pixels, ``blendshapes.npy`` (N, 52) and
``rotation.npy`` (N, 3, 3) float32, ``names.json`` (of the blendshapes) and ``rows.jsonl``. The rows of a
clip are consecutive, in time order.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from vidscan.errors import InputError, NoFaceError
from vidscan.faces.align import CropSpec
from vidscan.faces.detect import Detector, load_detector
from vidscan.faces.track import FaceTracker
from vidscan.media import open_video
from vidscan.media.encode import reencode
from vidscan.training.corpus import Entry
from vidscan.training.expression import IBUG
from vidscan.training.face_crops import area, cut, largest_by_frame, picture
from vidscan.training.teacher import BLENDSHAPES, Teacher
from vidscan.types import Face

LABEL_SPEC = CropSpec(size=192, margin=1.9)
_WIDE = CropSpec(size=384, margin=1.9)
"""What the teacher sees: the same crop at twice the size."""
_CRF = (24, 40)
_LOG = logging.getLogger("vidscan")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """Where one labeled face came from."""

    file: str
    identity: str
    repo: str
    kind: str
    held_out: bool
    frame: int
    time_s: float
    face_px: float


@dataclass(frozen=True, slots=True)
class Labels:
    """An opened label store; see the module's text for the arrays."""

    crops: NDArray[np.uint8]
    coded: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    rotation: NDArray[np.float32]
    rows: list[LabelRow]

    @classmethod
    def open(cls, folder: Path) -> Labels:
        """Opens a finished store without reading the crops into memory."""
        with (folder / "rows.jsonl").open(encoding="utf-8") as handle:
            rows = [LabelRow(**json.loads(line)) for line in handle]
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("crops", "coded")}
        arrays |= {name: np.load(folder / f"{name}.npy") for name in ("landmarks", "blendshapes", "rotation")}
        return cls(rows=rows, **arrays)


def build_labels(corpus: Path, entries: list[Entry], folder: Path, teacher: Teacher) -> Labels:
    """Labels the largest face of every picture and of every frame of every clip.

    A folder that is finished is opened as it is; frames in which the teacher sees no face are left out.

    Parameters
    ----------
    corpus
        Folder with the media.
    entries
        What to label: genuine ones.
    teacher
        Made with ``expression=True``.

    Raises
    ------
    NoFaceError
        Where there is no face in any of the ``entries``.
    """
    if (folder / "rows.jsonl").exists():
        return Labels.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    detector = load_detector()
    parts = _Parts()
    for entry in tqdm(entries, desc="labels", unit="file", disable=None):
        try:
            faces = list(_largest_faces(corpus / entry.file, detector))
        except InputError as error:
            _LOG.warning("%s: %s", entry.file, error)
            continue
        parts.add(entry, faces, teacher)
    if not parts:
        raise NoFaceError(f"no face to label in the {len(entries)} genuine files of {corpus}")
    parts.save(folder)
    return Labels.open(folder)


def _largest_faces(path: Path, detector: Detector) -> Iterator[tuple[Face, NDArray[np.uint8]]]:
    """The face seen longest and largest, frame by frame, with its wide crop (384, 384, 3)."""
    tracker = FaceTracker(detector)
    found: dict[int, list[tuple[Face, NDArray[np.uint8]]]] = {}
    with open_video(path) as source:
        for chunk in source:
            for face in largest_by_frame(tracker.update(chunk)):
                image = chunk.image(face.frame_index - chunk.first_index)
                found.setdefault(face.track_id, []).append((face, picture(cut(image, face, _WIDE))))
    if found:
        yield from max(found.values(), key=len)


class _Parts:
    """Rows as they come, until they are saved."""

    def __init__(self) -> None:
        self._arrays: dict[str, list[NDArray]] = {
            name: [] for name in ("crops", "coded", "landmarks", "blendshapes", "rotation")
        }
        self._rows: list[LabelRow] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, entry: Entry, faces: list[tuple[Face, NDArray[np.uint8]]], teacher: Teacher) -> None:
        labelled = [(face, wide, teacher.face(wide)) for face, wide in faces]
        kept = [(face, wide, label) for face, wide, label in labelled if label is not None]
        if not kept:
            return
        wide = np.stack([image for _, image, _ in kept])
        crops = _halved(wide)
        self._arrays["crops"].append(crops)
        self._arrays["coded"].append(_coded(crops, entry.file))
        for face, _, label in kept:
            points = label.mesh[list(IBUG)] * 0.5
            points[:, :2] -= 0.25  # pixel centers at whole numbers, before and after halving
            self._arrays["landmarks"].append(points[None].astype(np.float32))
            self._arrays["blendshapes"].append(label.blendshapes[None])
            self._arrays["rotation"].append(label.rotation[None])
            self._rows.append(
                LabelRow(
                    file=entry.file,
                    identity=entry.identity,
                    repo=entry.repo,
                    kind=entry.kind,
                    held_out=entry.held_out,
                    frame=face.frame_index,
                    time_s=round(face.time_s, 4),
                    face_px=round(area(face) ** 0.5, 1),
                )
            )

    def save(self, folder: Path) -> None:
        for name, parts in self._arrays.items():
            np.save(folder / f"{name}.npy", np.concatenate(parts))
        (folder / "names.json").write_text(json.dumps(BLENDSHAPES), encoding="utf-8")
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in self._rows)
        (folder / "rows.jsonl").write_text(lines, encoding="utf-8")


def _halved(wide: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 2S, 2S, 3) to (N, S, S, 3), each pixel the mean of four."""
    small = [F.avg_pool2d(torch.from_numpy(w).permute(2, 0, 1)[None].float(), 2)[0] for w in wide]
    return torch.stack(small).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _coded(crops: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The crops of one file after H.264, at a quality drawn by the file's name."""
    crf = np.random.default_rng(list(name.encode())).uniform(*_CRF)
    return reencode(crops, crf=float(crf))

"""What the frozen encoder says of the corpus, read once and kept: training a head then takes seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.batch.local import default_jobs
from vidscan.errors import InputError, SetupError
from vidscan.faces.align import align, crop_transform
from vidscan.faces.detect import FaceDetector
from vidscan.patches.encoder import SPEC, Encoder
from vidscan.training.corpus import Entry
from vidscan.training.store import spread_frames

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Described:
    """One crop: whose it is, and what the encoder says of it.

    Attributes
    ----------
    entry
        Of the corpus.
    frame
        Index in the clip.
    features
        (d,) float16, see :func:`vidscan.patches.encoder.describe`.
    """

    entry: Entry
    frame: int
    features: NDArray[np.float16]


def load_encoder(start: Path, taps: tuple[int, ...], device: str = "cpu") -> Encoder:
    """The encoder cut out of a whole DINOv2 ViT-S/14 (safetensors, int8 with scales or float).

    Raises SetupError where the file cannot be read or is another network.
    """
    return Encoder(start_tensors(start, taps), taps, device)


def start_tensors(start: Path, taps: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """What of ``start`` the encoder needs, as it is stored.

    Raises SetupError where the file cannot be read or is another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from vidscan.patches.vision_transformer import PATCH, cut

    try:
        return cut(load_file(start), taps, SPEC.size // PATCH)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise SetupError(f"{start} is no DINOv2 encoder: {error}") from error


def described(
    corpus: Path,
    entries: Sequence[Entry],
    start: Path,
    taps: tuple[int, ...],
    folder: Path,
    *,
    frames: int,
    jobs: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> list[Described]:
    """Descriptions of the largest face in ``frames`` spread frames of every clip, and of every picture.

    What is in ``folder`` is not read again; files in which no face is found are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(json.dumps([_FORMAT, taps, frames, asdict(SPEC)]).encode()).hexdigest()[:8]
    targets = [folder / f"{hashlib.sha256(e.file.encode()).hexdigest()[:20]}-{key}.npz" for e in entries]
    missing = [
        (corpus / e.file, frames if e.kind == "video" else 1, target)
        for e, target in zip(entries, targets, strict=True)
        if not target.exists()
    ]
    jobs = min(jobs or default_jobs("cpu"), len(missing))
    if missing:
        # Each worker has one thread: two of them read more crops a second than one with two.
        with get_context("spawn").Pool(jobs, _begin, (start, taps)) as pool:
            for _ in pool.imap_unordered(_describe, missing):
                advance()
    found = []
    for entry, target in zip(entries, targets, strict=True):
        with np.load(target, allow_pickle=False) as data:
            found += [
                Described(entry, int(f), x) for f, x in zip(data["frames"], data["features"], strict=True)
            ]
    return found


_encoder: Encoder
_detector: FaceDetector


def _begin(start: Path, taps: tuple[int, ...]) -> None:
    global _encoder, _detector
    torch.set_num_threads(1)
    _encoder, _detector = load_encoder(start, taps), FaceDetector()


def _describe(task: tuple[Path, int, Path]) -> None:
    source, count, target = task
    crops = list(_crops(source, count))
    features = (
        _encoder.describe(torch.cat([crop for _, crop in crops])) if crops else torch.zeros(0, 0)
    )
    part = target.with_suffix(".part.npz")
    np.savez(
        part,
        frames=np.array([frame for frame, _ in crops], np.int64),
        features=features.numpy().astype(np.float16),
    )
    part.replace(target)


def _crops(source: Path, count: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Aligned crops (1, 3, 224, 224) of the largest face, with their frames; none of an unreadable file."""
    try:
        for index, image in spread_frames(source, count):
            faces = _detector.detect(image[None])[0]
            if faces:
                face = faces[0]
                to_crop = crop_transform(face.points[None], SPEC, face.box[None])
                yield index, align(torch.from_numpy(image[None]), np.zeros(1, np.int64), to_crop, SPEC)
    except InputError:
        return

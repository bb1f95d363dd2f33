"""The train split in one small file: what a machine that has no corpus can train from.

One aligned crop of every look at every clip and picture, as WebP of the best quality at which all of them
fit, and the part that each belongs to (:mod:`vidscan.training.sources`). Both sides are coded alike, and a
crop takes half of what JPEG would at the same loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.faces.detect import Detector, load_detector
from vidscan.machine import default_jobs, end_with_parent
from vidscan.training.checkpoint import write_tensors
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.face_crops import crops_at, picture
from vidscan.training.own_pairs import FORGED_SPEC
from vidscan.training.sources import part_by_file

PACK = "pack.safetensors"
"""Name of the file in a pack's folder."""
_FORMAT = 1
_QUALITIES = (98, 96, 95, 94, 93, 92, 91, 90, 88, 85)
_HEADER = 1024
"""Bytes, and more, of what a file says of its tensors."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Pack:
    """Crops of the train split, at the encoder's scale with room for forging beyond its crop.

    Attributes
    ----------
    crops
        (n, 280, 280, 3) RGB; the encoder looks at the middle 224.
    entries
        (n,) whose they are.
    parts
        (n,) 0 to 4; no source, person or pair is in two.
    """

    crops: NDArray[np.uint8]
    entries: list[Entry]
    parts: NDArray[np.int64]


def write_pack(
    corpus: Path,
    folder: Path,
    *,
    mib: float,
    looks: int = 1,
    jobs: int = 0,
    stage: Callable[[str, int], Callable[[], None]] = lambda name, files: lambda: None,
) -> int:
    """Pack the train split of ``corpus``: the largest face in ``looks`` spread frames of every clip.

    Returns the WebP quality. Files without a face are left out.

    Raises SetupError where the corpus has no face or too few sources, or where its crops do not fit into
    ``mib`` MiB at a quality that shows forgeries.
    """
    entries = [e for e in read_manifest(corpus) if e.split == "train"]
    part_of = part_by_file(entries)
    moments = tuple(((np.arange(looks) + 0.5) / looks).tolist())
    tasks = [(corpus / e.file, moments if e.kind == "video" else (0.0,)) for e in entries]
    advance = stage("packing crops", len(entries))
    owners: list[Entry] = []
    coded: list[tuple[bytes, ...]] = []
    with get_context("spawn").Pool(min(jobs or default_jobs("cpu"), len(tasks)), _begin) as pool:
        for entry, found in zip(entries, pool.imap(_code, tasks), strict=True):
            owners += [entry] * len(found)
            coded += found
            advance()
    if not coded:
        raise SetupError(f"no face was found in the train split of {corpus}")
    metadata = {"format": str(_FORMAT), "entries": json.dumps([asdict(e) for e in owners])}
    # The header quotes the metadata once more; a crop has an end and a part.
    beside = len(json.dumps(metadata)) + 16 * len(coded) + _HEADER
    sizes = [beside + sum(map(len, files)) for files in zip(*coded, strict=True)]
    fitting = [i for i, size in enumerate(sizes) if size <= mib * MIB]
    if not fitting:
        raise SetupError(
            f"{len(coded)} crops take {sizes[-1] / MIB:.1f} MiB at WebP quality {_QUALITIES[-1]}: "
            f"more than {mib:g}"
        )
    chosen = [files[fitting[0]] for files in coded]
    write_tensors(
        folder / PACK,
        {
            "crops": torch.frombuffer(bytearray(b"".join(chosen)), dtype=torch.uint8),
            "ends": torch.from_numpy(np.cumsum([len(file) for file in chosen])),
            "parts": torch.tensor([part_of[e.file] for e in owners]),
        },
        metadata,
    )
    return _QUALITIES[fitting[0]]


def read_pack(folder: Path) -> Pack:
    """What :func:`write_pack` wrote; raises SetupError where that cannot be read."""
    from safetensors import SafetensorError, safe_open

    path = folder / PACK
    try:
        with safe_open(path, "np") as handle:
            metadata = handle.metadata() or {}
            if metadata.get("format") != str(_FORMAT):
                raise ValueError("not a pack, or one of another version")
            entries = [Entry(**row) for row in json.loads(metadata["entries"])]
            data, ends, parts = (handle.get_tensor(name) for name in ("crops", "ends", "parts"))
        crops = np.empty((len(ends), FORGED_SPEC.size, FORGED_SPEC.size, 3), np.uint8)
        for row, file in enumerate(np.split(data, ends[:-1])):
            crops[row] = _decoded(file)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, cv2.error) as error:
        raise SetupError(f"cannot read the pack {path}: {error}") from error
    if not len(crops) == len(entries) == len(parts):
        raise SetupError(f"cannot read the pack {path}: {len(crops)} crops of {len(entries)} files")
    return Pack(crops, entries, parts)


def _decoded(file: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = cv2.imdecode(file, cv2.IMREAD_COLOR)
    if found is None or found.shape != (FORGED_SPEC.size, FORGED_SPEC.size, 3):
        raise ValueError("a crop is damaged")
    return np.asarray(found[..., ::-1], np.uint8)


_detector: Detector


def _begin() -> None:
    global _detector
    end_with_parent()
    torch.set_num_threads(1)
    _detector = load_detector()


def _code(look: tuple[Path, tuple[float, ...]]) -> list[tuple[bytes, ...]]:
    """Of every crop its file at each of the qualities."""
    crops = [picture(crop) for crop in crops_at(*look, _detector, FORGED_SPEC)]
    return [tuple(_coded(crop, quality) for quality in _QUALITIES) for crop in crops]


def _coded(crop: NDArray[np.uint8], quality: int) -> bytes:
    _, data = cv2.imencode(".webp", crop[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    return data.tobytes()

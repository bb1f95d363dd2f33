"""Windows of the corpus at its own resolution, cut once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.digests import digest, hashed
from vidscan.errors import InputError, SetupError
from vidscan.faces.detect import Detector, load_detector
from vidscan.faces.landmark_network import SIZE
from vidscan.forensics import neurons
from vidscan.forensics.windows import SIDE as WINDOW
from vidscan.forensics.windows import face_window
from vidscan.outputs import Replacement
from vidscan.training.corpus import Entry, choose, read_manifest
from vidscan.training.face_crops import frames_at
from vidscan.training.sources import source_folds

MOMENTS = (0.1, 0.4)
"""Where clips are looked at, as shares of their duration."""
PER_METHOD = 2
"""Files of every generator, so that none drowns the others."""
_MIN_FACE = 0.2
"""Smallest face looked for, of the short side: the corpus is cut about its faces."""


@dataclass(frozen=True, slots=True)
class Window:
    """One face.

    Attributes
    ----------
    entry
        Of the corpus.
    part
        0 to 4: see :func:`vidscan.training.sources.source_folds`; -1 outside the train split.
    face
        (128, 128, 3) uint8 RGB at the frame's resolution.
    aligned
        (112, 112, 3) uint8 RGB, cut by the detector's box.
    """

    entry: Entry
    part: int
    face: NDArray[np.uint8]
    aligned: NDArray[np.uint8]


def train_entries(corpus: Path, per_method: int = PER_METHOD) -> tuple[list[Entry], list[int]]:
    """Of the train split ``per_method`` clips and stills of every generator and as many genuine ones.

    Returns them in an order without meaning, with the part that each is in. Raises SetupError where there is
    no manifest or there are too few sources.
    """
    entries = [e for e in read_manifest(corpus) if e.split == "train"]
    try:
        parts = dict(zip([e.file for e in entries], source_folds(entries).tolist(), strict=True))
    except ValueError as error:
        raise SetupError(f"the corpus cannot be parted by source: {error}") from error
    kept: list[Entry] = []
    for film in (True, False):
        own = [e for e in entries if (e.kind == "video") is film]
        forged: list[Entry] = []
        for method in sorted({e.method for e in own if not e.genuine}):
            forged += choose([e for e in own if e.method == method], per_method)
        kept += forged + choose([e for e in own if e.genuine], len(forged))
    kept.sort(key=lambda e: hashed(e.file))
    return kept, [parts[e.file] for e in kept]


def dev_entries(corpus: Path, count: int = 40) -> list[Entry]:
    """``count`` genuine and as many forged dev clips, always the same."""
    entries = [e for e in read_manifest(corpus) if e.split == "dev" and e.kind == "video"]
    return [e for side in (True, False) for e in choose([e for e in entries if e.genuine is side], count)]


def read_windows(
    corpus: Path,
    entries: Sequence[Entry],
    parts: Sequence[int],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> list[Window]:
    """The largest face of every file, at :data:`MOMENTS` of clips; files without one are left out.

    ``folder`` keeps a file for each; what is there is not made again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    detector: Detector | None = None
    found = []
    for entry, part in zip(entries, parts, strict=True):
        kept = folder / f"{digest(entry.file, 20)}.npz"
        if not kept.exists():
            detector = detector or load_detector(min_face=_MIN_FACE)
            moments = MOMENTS if entry.kind == "video" else (0.0,)
            with Replacement(kept) as target, target.open() as file:
                np.savez(file, **_cut(corpus / entry.file, moments, detector))  # type: ignore[arg-type]
        with np.load(kept, allow_pickle=False) as data:
            for face, aligned in zip(data["face"], data["aligned"], strict=True):
                found.append(Window(entry, part, face, aligned))
        advance()
    return found


def _cut(source: Path, moments: tuple[float, ...], detector: Detector) -> dict[str, NDArray]:
    faces, aligned = [], []
    try:
        for _, image in frames_at(source, moments):
            boxes = detector.detect(image[None])[0]
            face = face_window(image, boxes[0].box) if boxes else None
            if face is None:
                continue
            faces.append(face)
            aligned.append(neurons.aligned(image, boxes[0].box))
    except InputError:
        pass
    return {
        "face": np.array(faces, np.uint8).reshape(-1, WINDOW, WINDOW, 3),
        "aligned": np.array(aligned, np.uint8).reshape(-1, SIZE, SIZE, 3),
    }

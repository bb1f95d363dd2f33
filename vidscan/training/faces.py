"""A data set of face crops from a corpus, for whoever trains something else on it.

Crops lie in ``<part>/<class>/``, as image folders do, the same share of every clip's frames. Parts share no
person: ``train``, ``held_out`` (the fixed fifth of train's people) and ``dev``. Beside them stand a table of
all crops, how many there are of each class, and a contact sheet of every part.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.align import CropSpec
from vidscan.faces.detect import Detector, load_detector
from vidscan.markdown import table
from vidscan.media import write_png
from vidscan.outputs import Replacement, write_text
from vidscan.spread import evenly, in_turns
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.derive import derive_all
from vidscan.training.face_crops import largest_face, spread_frames

TABLE, COUNTS = "faces.csv", "counts.md"
GENUINE = "genuine"
_THUMB, _COLUMNS, _ROWS = 96, 12, 5
"""Pixels of a crop on a contact sheet; crops across; rows of each class."""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """One crop of the data set; the table's columns."""

    file: str
    """Relative to the data set's folder."""
    part: str
    label: str
    """``genuine`` or the forgery's family."""
    identity: str
    method: str
    source: str
    """Relative to the corpus."""
    frame: int
    face_px: float
    """Side of the detector's box in the source, in pixels."""


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip whose crops are to be cut; ``target`` lists them, and is written last."""

    corpus: Path
    entry: Entry
    folder: Path
    count: int
    spec: CropSpec

    @property
    def stem(self) -> str:
        return Path(self.entry.file).with_suffix("").as_posix().replace("/", "-")

    @property
    def target(self) -> Path:
        return self.folder / "clips" / f"{self.stem}.json"


def part_of(entry: Entry) -> str:
    """The part that all clips of a person go to."""
    return "held_out" if entry.split == "train" and entry.held_out else entry.split


def build_faces(
    corpus: Path,
    out: Path,
    *,
    count: int = 8,
    spec: CropSpec | None = None,
    jobs: int = 0,
    stage: Callable[[str, int], Callable[[], None]],
) -> list[FaceCrop]:
    """Cut the largest face in ``count`` frames of every clip, and of every picture, into ``out``.

    Clips that are done are not read again: a run that was stopped goes on. Those without a face, or that
    cannot be read, are left out.

    Parameters
    ----------
    spec
        How crops are cut; 224 px, 1.4 times the face, by default.
    jobs
        Worker processes; 0 as many as suit the machine.
    stage
        Called with what comes and how many files it has; what it returns is called after each.

    Raises
    ------
    SetupError
        Where the corpus has no readable manifest.
    """
    spec = spec or CropSpec(size=224, margin=1.4)
    clips = [_Clip(corpus, entry, out, count, spec) for entry in read_manifest(corpus)]
    failures = derive_all(_cut, clips, jobs=jobs, advance=stage("faces", len(clips)))
    found = [
        FaceCrop(**row)
        for clip in clips
        if clip.target not in failures
        for row in json.loads(clip.target.read_text("utf-8"))
    ]
    _write_table(found, out / TABLE)
    write_text(out / COUNTS, counts_table(found))
    for part in sorted({crop.part for crop in found}):
        write_png(out / f"sheet-{part}.png", contact_sheet([c for c in found if c.part == part], out))
    return found


@lru_cache(maxsize=1)
def _detector() -> Detector:
    return load_detector()


def _cut(clip: _Clip) -> None:
    entry, spec = clip.entry, clip.spec
    part, label = part_of(entry), GENUINE if entry.genuine else entry.family
    folder = clip.folder / part / label
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, image in spread_frames(clip.corpus / entry.file, clip.count if entry.kind == "video" else 1):
        found = largest_face(image, _detector(), spec)
        if found is None:
            continue
        pixels, side = found
        name = f"{clip.stem}-{index:06d}.png"
        write_png(folder / name, pixels)
        rows.append(
            FaceCrop(
                f"{part}/{label}/{name}", part, label, entry.identity, entry.method, entry.file, index, side
            )
        )
    write_text(clip.target, json.dumps([asdict(row) for row in rows]))


def _write_table(crops: Sequence[FaceCrop], path: Path) -> None:
    with Replacement(path, parents=True) as part, part.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.DictWriter(stream, list(FaceCrop.__dataclass_fields__), lineterminator="\n")
        rows.writeheader()
        rows.writerows(map(asdict, crops))


def counts_table(crops: Iterable[FaceCrop]) -> str:
    """A Markdown table: of every part and class its crops, clips, people and methods."""
    groups: dict[tuple[str, str], list[FaceCrop]] = {}
    for crop in crops:
        groups.setdefault((crop.part, crop.label), []).append(crop)
    rows = []
    for (part, label), own in sorted(groups.items()):
        distinct = [len({getattr(c, name) for c in own} - {""}) for name in ("source", "identity", "method")]
        rows.append([part, label, *map(str, [len(own), *distinct])])
    return "\n".join(table(("part", "class", "crops", "clips", "people", "methods"), rows)) + "\n"


def contact_sheet(crops: Sequence[FaceCrop], folder: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: of every class some crops, each of another clip as far as there are such."""
    from vidscan.report.drawing import TEXT, draw_text

    classes = Counter(crop.label for crop in crops)
    strips = []
    for label, total in sorted(classes.items()):
        chosen = _spread([crop for crop in crops if crop.label == label])
        rows = -(-len(chosen) // _COLUMNS)
        strip = np.full((_THUMB // 4 + rows * _THUMB, _COLUMNS * _THUMB, 3), 32, np.uint8)
        draw_text(strip, f"{label}: {total} crops", 6, _THUMB / 8, 14, TEXT)
        for place, crop in enumerate(chosen):
            top, left = _THUMB // 4 + place // _COLUMNS * _THUMB, place % _COLUMNS * _THUMB
            strip[top : top + _THUMB, left : left + _THUMB] = _thumbnail(folder / crop.file)
        strips.append(strip)
    return np.concatenate(strips)


def _spread(crops: Sequence[FaceCrop]) -> list[FaceCrop]:
    """First crops of as many clips as the sheet has room for, evenly chosen; then their second ones."""
    room = _COLUMNS * _ROWS
    ranked = in_turns(crops, lambda crop: crop.source)
    clips = len({crop.source for crop in crops})
    if clips >= room:
        return [ranked[n] for n in evenly(clips, room)]
    return ranked[:room]


def _thumbnail(path: Path) -> NDArray[np.uint8]:
    import cv2

    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None  # written by this run or a former one
    return np.asarray(cv2.resize(image, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)[..., ::-1], np.uint8)

"""The instruments of the shelf against material whose truth is known, and against the corpus.

Every instrument is a question of its own. Material made for it says whether it answers; the corpus says
whether the answer has anything to do with forgery, which after a platform's re-encoding it mostly has not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.digests import hashed
from vidscan.errors import InputError, SetupError
from vidscan.evaluation import forensic_material as made
from vidscan.evaluation.measures import Part, Stage
from vidscan.evaluation.scanning import load_split
from vidscan.evaluation.statistics import Interval, Sample, auc_interval
from vidscan.faces.detect import Detector, load_detector
from vidscan.forensics import shelf
from vidscan.forensics.base import INSTRUMENTS
from vidscan.forensics.material import Material
from vidscan.markdown import table
from vidscan.media import open_video
from vidscan.spread import in_turns
from vidscan.training.corpus import Entry, choose
from vidscan.training.transfer import auc

CLIPS, PICTURES = 40, 20
"""Of either label that are examined."""
SOURCES = 6
"""Genuine clips whose frames known material is made of."""
_FRAMES = 100
_SCALE = 0.75
"""Sources are made smaller, so that their own history is gone."""

Picture = made.Picture
Make = Callable[[list[Picture], Path], Path]


@dataclass(frozen=True, slots=True)
class Case:
    """One instrument against one kind of known material.

    ``without`` and ``within`` make a file without and with what it looks for, from the frames of a source.
    ``face`` says that the middle of the frame is given as a face.
    """

    instrument: str
    material: str
    moving: bool
    without: Make
    within: Make
    face: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Area under the curve of one instrument's scores; files on which it gave none are left out.

    ``interval`` is None of made material, which comes in pairs of one source.
    """

    instrument: str
    material: str
    negatives: int
    positives: int
    auc: float
    interval: Interval | None


def cases() -> tuple[Case, ...]:
    """What each instrument is measured on."""

    def jpeg(quality: int, before: int = 0, rounding: made.Rounding = np.rint) -> Make:
        def make(frames: list[Picture], path: Path) -> Path:
            picture = made.resaved(frames[0], before) if before else frames[0]
            return made.save_jpeg(picture, path.with_suffix(".jpg"), quality, rounding)

        return make

    def png(change: Callable[[Picture], Picture]) -> Make:
        def make(frames: list[Picture], path: Path) -> Path:
            path = path.with_suffix(".png")
            cv2.imwrite(str(path), change(frames[0])[..., ::-1])
            return path

        return make

    def clip(change: Callable[[list[Picture]], list[Picture]], crf: int = 23) -> Make:
        return lambda frames, path: made.save_clip(change(frames), path.with_suffix(".mp4"), crf=crf)

    def twice(first: int, second: int) -> Make:
        def make(frames: list[Picture], path: Path) -> Path:
            before = made.save_clip(frames, path.with_suffix(".first.mp4"), gop=12, crf=first)
            return made.save_clip(_frames(before), path.with_suffix(".mp4"), crf=second)

        return make

    def partly(values: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.floor(values + 0.35)

    def doubled(picture: Picture) -> Picture:
        return made.transposed(np.ascontiguousarray(picture[::2, ::2]))

    def pasted(frames: list[Picture]) -> list[Picture]:
        changed = made.deinterlaced(made.woven(frames))
        for image, other in zip(changed, frames[::2], strict=False):
            rows, columns = (slice(side // 4, 3 * side // 4) for side in image.shape[:2])
            image[rows, columns] = other[rows, columns]
        return changed

    def same(frames: list[Picture]) -> list[Picture]:
        return frames

    return (
        Case("jpeg_dimples", "coefficients rounded down, in part", False, jpeg(85), jpeg(85, 0, partly)),
        Case(
            "jpeg_dimples", "the same, saved again at 75", False,
            png(lambda p: made.resaved(p, 75)),
            png(lambda p: made.resaved(made.saved_pixels(p, 85, partly), 75)),
        ),
        Case("double_compression", "70, then 90", False, jpeg(90), jpeg(90, 70)),
        Case("double_compression", "90, then 70", False, jpeg(70), jpeg(70, 90)),
        Case(
            "jpeg_ghosts", "a part of quality 65 in one of 90", False,
            png(lambda p: made.resaved(p, 90)), png(lambda p: made.with_ghost(p, 65, 90)[0]),
        ),
        Case("spectrum", "transposed convolution", False, png(lambda p: p), png(doubled)),
        Case(
            "spectrum", "the same, saved at 75", False,
            png(lambda p: made.resaved(p, 75)), png(lambda p: made.resaved(doubled(p), 75)),
        ),
        Case("resampling", "a part enlarged by 1.4", False, png(lambda p: p), png(made.with_enlarged)),
        Case(
            "resampling", "the same, saved at 75", False,
            png(lambda p: made.resaved(p, 75)), png(lambda p: made.resaved(made.with_enlarged(p), 75)),
        ),
        Case(
            "resampling_learned", "a part enlarged by 1.4", False,
            png(lambda p: p), png(made.with_enlarged),
        ),
        Case(
            "resampling_learned", "the same, saved at 75", False,
            png(lambda p: made.resaved(p, 75)), png(lambda p: made.resaved(made.with_enlarged(p), 75)),
        ),
        Case(
            "noise", "a face with noise of 3 gray levels more", False,
            png(lambda p: p), png(made.with_noise), face=True,
        ),
        Case(
            "noise", "the same, saved at 75", False,
            png(lambda p: made.resaved(p, 75)), png(lambda p: made.resaved(made.with_noise(p), 75)),
            face=True,
        ),
        Case("former_groups", "key frames every 12, then finer", True, clip(same, 18), twice(28, 18)),
        Case("former_groups", "key frames every 12, then alike", True, clip(same), twice(23, 23)),
        Case(
            "interlacing", "a part that was never interlaced", True,
            clip(lambda f: made.deinterlaced(made.woven(f))), clip(pasted),
        ),
        Case(
            "repeated_frames", "30 frames copied", True,
            clip(same), clip(lambda f: f[:80] + f[30:60] + f[80:]),
        ),
        Case("missing_frames", "10 frames cut out", True, clip(same), clip(lambda f: f[:55] + f[65:])),
        Case(
            "missing_frames", "the same, coded strongly", True,
            clip(same, 32), clip(lambda f: f[:55] + f[65:], 32),
        ),
    )  # fmt: skip


def measure_forensics(corpus: Path, stage: Stage, seed: int = 0) -> Part:
    """Rows of made material, and of a fixed sample of the dev split, for every instrument."""
    entries = load_split(corpus, "dev")
    genuine = choose([entry for entry in entries if entry.genuine and entry.kind == "video"], SOURCES, seed)
    if not genuine:
        raise SetupError(f"the dev split of {corpus} has no genuine clip to make material from")
    rows = [*made_rows(corpus, genuine, stage), *corpus_rows(corpus, entries, stage, seed)]
    return Part("forensics", "The evidence shelf", markdown(rows), [asdict(row) for row in rows])


def made_rows(corpus: Path, sources: Sequence[Entry], stage: Stage) -> list[Row]:
    """One row for each of :func:`cases`, on material made of the sources' frames."""
    known = cases()
    advance = stage("examining made material", len(sources) * len(known))
    scores: dict[Case, tuple[list[float], list[float]]] = {case: ([], []) for case in known}
    with tempfile.TemporaryDirectory(prefix="vidscan-") as folder:
        for entry in sources:
            frames = [_smaller(image) for image in _frames(corpus / entry.file)]
            for case, found in scores.items():
                for side, make in zip(found, (case.without, case.within), strict=True):
                    path = make(frames if case.moving else frames[:1], Path(folder) / "made")
                    faces = {0: [made.middle(frames[0])]} if case.face else None
                    finding = shelf.examine(Material(path, faces=faces), [case.instrument])[0]
                    # An instrument that could not tell has not found anything.
                    side.append(finding.score or 0.0)
                advance()
    return [
        Row(case.instrument, case.material, len(without), len(within), auc(np.array(without), within), None)
        for case, (without, within) in scores.items()
    ]


def corpus_rows(corpus: Path, entries: Sequence[Entry], stage: Stage, seed: int = 0) -> list[Row]:
    """Two rows for every instrument, clips and pictures, genuine against forged."""
    detector = load_detector()
    groups = {
        (kind, truth): _spread(entries, truth, kind == "clips", count, seed)
        for kind, count in (("clips", CLIPS), ("pictures", PICTURES))
        for truth in (True, False)
    }
    advance = stage("examining the corpus", sum(map(len, groups.values())))
    scores: dict[tuple[str, str, bool], list[tuple[float, str]]] = {}
    for (kind, truth), chosen in groups.items():
        for entry in chosen:
            for name, score in _scores(corpus / entry.file, detector):
                scores.setdefault((name, kind, truth), []).append((score, entry.identity))
            advance()
    rows = []
    rng = np.random.default_rng(seed)
    for name in INSTRUMENTS:
        for kind in ("clips", "pictures"):
            sides = [scores.get((name, kind, truth), []) for truth in (True, False)]
            if min(map(len, sides)) < 5:
                continue
            samples = [Sample(np.array([s for s, _ in side]), [who for _, who in side]) for side in sides]
            rows.append(
                Row(
                    name,
                    f"corpus, {kind}",
                    len(sides[0]),
                    len(sides[1]),
                    auc(samples[0].values, samples[1].values),
                    auc_interval(samples[0], samples[1:], rng),
                )
            )
    return rows


def markdown(rows: Sequence[Row]) -> list[str]:
    """The rows as a table."""
    cells = []
    for row in rows:
        about = "" if row.interval is None else f" ({row.interval[0]:.2f} to {row.interval[1]:.2f})"
        files = f"{row.negatives} + {row.positives}"
        cells.append([row.instrument, row.material, files, f"{row.auc:.2f}{about}"])
    return table(["instrument", "material", "files", "AUC"], cells)


def _spread(entries: Sequence[Entry], genuine: bool, moving: bool, count: int, seed: int) -> list[Entry]:
    """Some entries, each method's first before any method's second."""
    own = [e for e in entries if e.genuine == genuine and (e.kind == "video") == moving]
    if genuine:
        return choose(own, count, seed)
    drawn = sorted(own, key=lambda e: hashed(f"{seed}:{e.file}"))
    return in_turns(drawn, lambda entry: entry.method)[:count]


def _scores(path: Path, detector: Detector) -> Iterator[tuple[str, float]]:
    """Name and score of the instruments that gave one; of the frames only the middle one is looked at."""
    try:
        material = Material(path)
        frame = material.frames[len(material.frames) // 2]
    except InputError:
        return
    boxes = (face.box.tolist() for face in detector.detect(frame.image[None])[0])
    material.frames = (replace(frame, faces=tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes)),)
    yield from ((f.name, f.score) for f in shelf.examine(material) if f.score is not None)


def _frames(path: Path) -> list[Picture]:
    found: list[Picture] = []
    with open_video(path) as source:
        for chunk in source:
            found += list(chunk.images)
            if len(found) >= _FRAMES:
                break
    return found[:_FRAMES]


def _smaller(image: Picture) -> Picture:
    return np.asarray(cv2.resize(image, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_AREA), np.uint8)

"""How well faces are read: landmarks, units, eyes and rotation against the teacher, blinks event by event.

Genuine clips of people that no gradient saw. The teacher labels frames of the clip as it is; vidscan reads
the clip as it is, the clip after H.264 at crf 35, and the same frames brought to 64 px faces.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.blink import Blink, f1, find_blinks, match_events
from vidscan.behavior.eye_closure import Rule, closure, closure_of_openness
from vidscan.behavior.eye_state import EyeState
from vidscan.errors import InputError
from vidscan.faces.align import CropSpec, apply_affine, crop_transform, invert_affine
from vidscan.faces.detect import load_detector
from vidscan.faces.face_model import OUTER_EYE_CORNERS
from vidscan.faces.landmarks import FaceReadings, LandmarkReader, SeriesBuilder
from vidscan.faces.rotation import euler_degrees
from vidscan.faces.track import FaceTracker
from vidscan.faces.units import UNITS
from vidscan.markdown import table
from vidscan.media import open_video
from vidscan.models import ModelRecord
from vidscan.training.derive import derived_name, rewrite
from vidscan.training.expression import IBUG, expression
from vidscan.training.face_crops import area, cut, largest_by_frame, picture
from vidscan.training.teacher import Teacher
from vidscan.types import Face, FaceSeries, FrameChunk

CONDITIONS = ("clean", "crf 35", "64 px")
_CRF = 35
_SMALL_PX = 64.0
_WIDE = CropSpec(size=384, margin=1.9)
_LOG = logging.getLogger("vidscan")


@dataclass(frozen=True, slots=True)
class Sample:
    """One genuine clip to be read.

    Attributes
    ----------
    path
        The clip.
    person
        Who it shows.
    seconds
        How much of it, from its start.
    every
        Every so many frames are labeled by the teacher.
    """

    path: Path
    person: str
    seconds: float
    every: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Truth and answers for the labeled frames of one clip.

    Attributes
    ----------
    truth
        The teacher's series: what it was asked for, NaN where it saw nothing.
    answers
        By condition, vidscan's series of the same frames; NaN where it lost the face. At 64 px, or without an
        eye-state network, they have no ``shut``.
    tracked
        (T,) frames since the last detection, of the clip as it is.
    """

    person: str
    truth: FaceSeries
    answers: dict[str, FaceSeries]
    tracked: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BehaviorRow:
    """How well one condition is read.

    Attributes
    ----------
    nme
        Mean over frames of the mean distance of 68 points over the outer eye corners' distance.
    found
        Share of the teacher's faces that were not marked lost.
    openness, units, gaze
        Pearson correlation over all frames: mean of both eyes; by unit; mean of yaw and pitch.
    degrees
        Mean absolute error of pitch, yaw and roll.
    """

    condition: str
    clips: int
    frames: int
    found: float
    nme: float
    openness: float
    degrees: tuple[float, float, float]
    units: dict[int, float]
    gaze: float


@dataclass(frozen=True, slots=True)
class BlinkRow:
    """Blinks found by one rule against those in the teacher's openness."""

    rule: str
    condition: str
    hits: int
    false: int
    missed: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return f1(self.hits, self.false, self.missed)


@dataclass(frozen=True, slots=True)
class BehaviorEvaluation:
    """Everything that was measured, and the series of the clips as they are."""

    rows: tuple[BehaviorRow, ...]
    blinks: tuple[BlinkRow, ...]
    tracked_nme: dict[str, float]
    """Normalised mean error in frames of detection, and in frames followed since."""
    people: int


def read_clips(
    samples: Sequence[Sample],
    teacher: Path,
    landmarks: ModelRecord,
    eyes: ModelRecord | None,
    work: Path,
    advance: Callable[[], None] = lambda: None,
) -> list[Reading]:
    """Label and read every clip; re-encoded clips are kept in ``work``.

    Clips in which the teacher or the detector sees no face are left out.
    """
    reader, found = LandmarkReader(landmarks), []
    with closing(Teacher(teacher, expression=True)) as model:
        for sample in samples:
            try:
                reading = _read(sample, model, reader, eyes, work)
            except InputError as error:
                _LOG.warning("%s: %s", sample.path.name, error)
                reading = None
            if reading is not None:
                found.append(reading)
            advance()
    return found


def _read(
    sample: Sample, teacher: Teacher, reader: LandmarkReader, eyes: ModelRecord | None, work: Path
) -> Reading | None:
    state, state_late = (None if eyes is None else EyeState(eyes) for _ in range(2))
    labels: list[tuple[Face, FaceReadings]] = []
    clean: list[FaceReadings] = []
    small: list[FaceReadings] = []
    followed: list[int] = []
    for chunk, face, since in _main_face(sample):
        if face.frame_index % sample.every:
            continue
        image = chunk.image(face.frame_index - chunk.first_index)
        truth = _label(teacher, image, face)
        if truth is None:
            continue
        labels.append((face, truth))
        clean.append(_answer(reader, state, image, face))
        small.append(_read_small(reader, image, face))
        followed.append(since)
    if not labels:
        return None
    faces = [face for face, _ in labels]
    coded = work / derived_name(sample.path, f"crf{_CRF}")
    if not coded.exists():
        coded.parent.mkdir(parents=True, exist_ok=True)
        rewrite(sample.path, coded, lambda image, _: image, crf=_CRF)
    late = _read_late(replace(sample, path=coded), reader, state_late, faces)
    return Reading(
        person=sample.person,
        truth=_series(faces, [truth for _, truth in labels]),
        answers={
            "clean": _series(faces, clean),
            "crf 35": _series(faces, late),
            "64 px": _series(faces, small),
        },
        tracked=np.array(followed, np.int64),
    )


def _answer(
    reader: LandmarkReader, eyes: EyeState | None, image: NDArray[np.uint8], face: Face
) -> FaceReadings:
    """What vidscan reads in one frame (H, W, 3) of the clip's only track."""
    first = np.zeros(1, np.int64)
    found = reader.read(image[None], first, [face])
    if eyes is None:
        return found
    return replace(found, shut=eyes.read(image[None], first, found.landmarks, [0]))


def _main_face(sample: Sample) -> Iterator[tuple[FrameChunk, Face, int]]:
    """The largest face of every frame, with the frames that passed since it was last detected."""
    tracker, since = FaceTracker(load_detector()), 0
    with open_video(sample.path) as source:
        for chunk in source:
            for face in largest_by_frame(tracker.update(chunk)):
                if face.time_s > sample.seconds:
                    return
                since = 0 if face.detected else since + 1
                yield chunk, face, since


def _label(teacher: Teacher, image: NDArray[np.uint8], face: Face) -> FaceReadings | None:
    """What the teacher says of a face, in frame coordinates; None where it sees none."""
    label = teacher.face(picture(cut(image, face, _WIDE)))
    if label is None:
        return None
    inverse = invert_affine(crop_transform(face.points[None], _WIDE, face.box[None]))[0]
    points = label.mesh[list(IBUG)]
    scale = float(np.hypot(inverse[0, 0], inverse[1, 0]))
    flat = apply_affine(inverse, points[:, :2])
    turn = np.arctan2(inverse[1, 0], inverse[0, 0])
    roll = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    target = expression(label.mesh[None], label.blendshapes[None])
    return FaceReadings(
        landmarks=np.column_stack([flat, points[:, 2] * scale])[None].astype(np.float32),
        confidence=np.ones(1, np.float32),
        units=target.units,
        openness=target.openness,
        rotation=euler_degrees(roll @ label.rotation)[None].astype(np.float32),
        gaze=target.gaze * 30.0,
        texture=np.zeros((1, 2, 3, 2), np.float32),
    )


def _read_small(reader: LandmarkReader, image: NDArray[np.uint8], face: Face) -> FaceReadings:
    """Read the face as if it were 64 px wide, in the coordinates of the frame as it is."""
    side = area(face) ** 0.5
    factor = min(1.0, _SMALL_PX / side)
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    reduced = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    scale = np.array([size[0] / image.shape[1], size[1] / image.shape[0]], np.float32)
    lower = replace(
        face, points=(face.points + 0.5) * scale - 0.5, box=(face.box + 0.5) * np.tile(scale, 2) - 0.5
    )
    found = reader.read(reduced[None], np.zeros(1, np.int64), [lower])
    landmarks = found.landmarks.copy()
    landmarks[..., :2] = (landmarks[..., :2] + 0.5) / scale - 0.5
    return replace(found, landmarks=landmarks)


def _read_late(
    sample: Sample, reader: LandmarkReader, eyes: EyeState | None, faces: list[Face]
) -> list[FaceReadings]:
    """Read the re-encoded clip with its own tracking, in the frames of ``faces``; NaN where none is found."""
    wanted = {face.frame_index: face for face in faces}
    found: dict[int, FaceReadings] = {}
    for chunk, face, _ in _main_face(sample):
        if face.frame_index in wanted:
            image = chunk.image(face.frame_index - chunk.first_index)
            found[face.frame_index] = _answer(reader, eyes, image, face)
    lost = _LOST if eyes is None else replace(_LOST, shut=np.full((1, 2), np.nan, np.float32))
    return [found.get(face.frame_index, lost) for face in faces]


_LOST = FaceReadings(
    landmarks=np.full((1, 68, 3), np.nan, np.float32),
    confidence=np.zeros(1, np.float32),
    units=np.full((1, len(UNITS)), np.nan, np.float32),
    openness=np.full((1, 2), np.nan, np.float32),
    rotation=np.full((1, 3), np.nan, np.float32),
    gaze=np.full((1, 2, 2), np.nan, np.float32),
    texture=np.full((1, 2, 3, 2), np.nan, np.float32),
)


def _series(faces: list[Face], readings: list[FaceReadings]) -> FaceSeries:
    builder = SeriesBuilder()
    for face, reading in zip(faces, readings, strict=True):
        builder.add([face], reading)
    return builder.series(0)


# --------------------------------------------------------------------------- tables


def tabulate(readings: Sequence[Reading]) -> BehaviorEvaluation:
    """All rows; blinks only from clips whose every frame was labeled."""
    blinks = []
    rule: Rule
    for rule in get_args(Rule):
        blinks += [_blinks(readings, rule, condition) for condition in ("clean", "crf 35")]
    return BehaviorEvaluation(
        rows=tuple(_row(readings, condition) for condition in CONDITIONS),
        blinks=tuple(row for row in blinks if row is not None),
        tracked_nme=_tracked(readings),
        people=len({r.person for r in readings}),
    )


def _row(readings: Sequence[Reading], condition: str) -> BehaviorRow:
    truth = [r.truth for r in readings]
    answers = [r.answers[condition] for r in readings]
    seen = np.concatenate([~np.isnan(a.landmarks[:, 0, 0]) for a in answers])

    def both(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        a, b = (
            np.concatenate([np.asarray(getattr(s, name), np.float64) for s in side])
            for side in (answers, truth)
        )
        return a[seen].reshape(int(seen.sum()), -1), b[seen].reshape(int(seen.sum()), -1)

    def correlation(name: str) -> NDArray[np.float64]:
        a, b = both(name)
        return np.array([np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(a.shape[1])])

    a, b = both("rotation")
    error = np.abs((a - b + 180) % 360 - 180).mean(0)
    units = correlation("units")
    return BehaviorRow(
        condition=condition,
        clips=len(readings),
        frames=len(seen),
        found=float(seen.mean()),
        nme=float(np.concatenate([_nme(r, condition) for r in readings])[seen].mean()),
        openness=float(correlation("openness").mean()),
        degrees=(float(error[0]), float(error[1]), float(error[2])),
        units={unit: float(r) for unit, r in zip(UNITS, units, strict=True)},
        gaze=float(correlation("gaze").mean()),
    )


def _nme(reading: Reading, condition: str) -> NDArray[np.float64]:
    """(T,) normalized mean error; NaN where the face was lost."""
    truth = np.asarray(reading.truth.landmarks[..., :2], np.float64)
    answer = np.asarray(reading.answers[condition].landmarks[..., :2], np.float64)
    ocular = np.linalg.norm(truth[:, OUTER_EYE_CORNERS[0]] - truth[:, OUTER_EYE_CORNERS[1]], axis=1)
    return np.linalg.norm(answer - truth, axis=2).mean(1) / ocular


def _tracked(readings: Sequence[Reading]) -> dict[str, float]:
    error = np.concatenate([_nme(r, "clean") for r in readings])
    since = np.concatenate([r.tracked for r in readings])
    known = np.isfinite(error)
    groups = {"detected": since == 0, "followed": since > 0}
    return {name: float(error[known & rows].mean()) for name, rows in groups.items() if (known & rows).any()}


def _blinks(readings: Sequence[Reading], rule: Rule, condition: str) -> BlinkRow | None:
    total = np.zeros(3, int)
    used = 0
    for reading in readings:
        if len(reading.truth.times) < 2 or (np.diff(reading.truth.frames) == 1).mean() < 0.9:
            continue
        answer = reading.answers[condition]
        if rule == "network" and answer.shut is None:
            continue
        wanted = _events(reading.truth.times, closure_of_openness(reading.truth.openness))
        found = _events(answer.times, closure(answer, rule))
        total += match_events(found, wanted)
        used += 1
    if not used:
        return None
    return BlinkRow(rule, condition, *(int(v) for v in total))


def _events(times: NDArray[np.float64], closed: NDArray[np.float64]) -> Sequence[Blink]:
    return find_blinks(times, closed).blinks


def markdown(result: BehaviorEvaluation) -> list[str]:
    """Lines of the tables."""
    clean = result.rows[0]
    heads = ("found", "landmark error", "openness r", "pitch, yaw, roll", "units r", "worst", "gaze r")
    lines = []
    for row in result.rows:
        worst = min(row.units, key=lambda u: row.units[u])
        degrees = ", ".join(f"{v:.1f}" for v in row.degrees)
        mean = float(np.mean(list(row.units.values())))
        cells = [row.condition, f"{row.found:.1%}", f"{row.nme:.2%}", f"{row.openness:.3f}", degrees]
        lines.append([*cells, f"{mean:.3f}", f"{row.units[worst]:.2f} (AU {worst})", f"{row.gaze:.2f}"])
    units = [[f"AU {unit}", *(f"{row.units[unit]:.2f}" for row in result.rows)] for unit in UNITS]
    blinks = [
        [b.rule, b.condition, str(b.hits), str(b.false), str(b.missed), f"{b.f1:.3f}"] for b in result.blinks
    ]
    tracked = ", ".join(f"{name} {error:.2%}" for name, error in result.tracked_nme.items())
    return [
        f"{clean.clips} clips of {result.people} people, {clean.frames:,} labeled frames.",
        "",
        *table(("condition", *heads), lines),
        "",
        *table(("unit", *(row.condition for row in result.rows)), units),
        "",
        *table(("blinks by", "condition", "found", "false", "missed", "F1"), blinks),
        "",
        f"Landmark error by frame: {tracked}.",
    ]

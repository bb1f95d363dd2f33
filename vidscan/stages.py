"""The stages that frames with faces pass through, one class each.

A stage is told what the clip is, gets every :class:`FaceBatch` in order, and is told when the clip is over.
What it found it keeps.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.behavior.eye_state import EyeState
from vidscan.behavior.windows import BehaviorCollector
from vidscan.faces.align import CropSpec, align, face_transforms, invert_affine
from vidscan.faces.landmarks import LandmarkReader
from vidscan.media.quantiser import within
from vidscan.patches.classifier import PatchClassifier, crop_quality
from vidscan.patches.detail import detail_px
from vidscan.patches.encoder import EncoderClassifier, cells_within, native_maps, native_region_weights
from vidscan.patches.parts import part_levels
from vidscan.sinks import FrameSink
from vidscan.types import (
    Face,
    FaceEvidence,
    FaceMap,
    FrameChunk,
    FrameFaces,
    FrameMaps,
    FrameReport,
    ModelRef,
    PatchMap,
    Track,
    VideoInfo,
)
from vidscan.verdict.judge import Judge

_STEADINESS = 0.2
"""Weight of a mask's past after a second: a forged part stays, noise does not."""


class Uploaded(Sequence[Tensor]):
    """The frames of a chunk as (H, W, 3) RGB uint8 on a device, each uploaded once, when it is asked for."""

    def __init__(self, chunk: FrameChunk, device: str) -> None:
        self._chunk, self._device = chunk, device
        self._known: dict[int, Tensor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._chunk.times)

    def __getitem__(self, row: int) -> Tensor:  # type: ignore[override]  # slices are not needed
        with self._lock:
            if row not in self._known:
                self._known[row] = torch.from_numpy(self._chunk.image(row)).to(self._device)
            return self._known[row]


@dataclass(frozen=True)
class FaceBatch:
    """A chunk of frames with the faces that stages may look at."""

    chunk: FrameChunk
    faces: list[Face]
    """In the followed frames of the chunk, by frame and then by track."""
    stride: int
    """Only frames whose index is a multiple of it are followed."""
    complete: list[FrameFaces]
    """Frames, of this chunk and of the end of the last, whose faces are all known now."""
    device: str
    images: Uploaded = field(init=False)
    """The frames on the device."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", Uploaded(self.chunk, self.device))

    def index(self, faces: Sequence[Face]) -> NDArray[np.int64]:
        """(N,) rows of ``images`` that faces of this batch are in."""
        return np.array([face.frame_index - self.chunk.first_index for face in faces], np.int64)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        height, width = self.chunk.shape
        return width, height

    def quantiser(self, face: Face, box: tuple[float, float, float, float]) -> float | None:
        """Mean quantizer in the box of a face of this batch; None where the decoder does not tell."""
        known = self.chunk.quantiser(face.frame_index - self.chunk.first_index)
        return None if known is None else within(known, box, self.size)

    def crops(self, faces: Sequence[Face], spec: CropSpec) -> tuple[Tensor, NDArray[np.float64]]:
        """Aligned crops (N, 3, S, S) float32 RGB 0..255, and their maps (N, 2, 3) from the frame."""
        maps = face_transforms(faces, spec)
        return align(self.images, self.index(faces), maps, spec), maps


_EARLY_LOOKS, _EARLY_S = 3, 1 / 3


def _next_due(due_s: float, time_s: float, wait_s: float) -> float:
    """When the next look is due, after one at ``time_s`` that was due at ``due_s``.

    Counted from the time that was due: looks a little late, as frames come, must not add up to fewer looks.
    """
    return (due_s if time_s < due_s + wait_s else time_s) + wait_s


class Turns:
    """Chooses the faces to look at: those of frames at a steady rate, and a few more as a track begins.

    Nobody may come and go between two chosen frames without having been looked at, and short tracks must be
    looked at often enough to be judged.

    Parameters
    ----------
    rate
        Frames per second, above 0.

    Attributes
    ----------
    frames
        How many frames were chosen so far.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next_s = 0.0
        self._tracks: dict[int, tuple[int, float]] = {}
        self.frames = 0

    def choose(self, batch: FaceBatch) -> list[Face]:
        """The faces of the batch whose turn it is."""
        due = {
            i
            for i, time_s in enumerate(batch.chunk.times.tolist(), batch.chunk.first_index)
            if self._due(i, time_s, batch.stride)
        }
        chosen = []
        for face in batch.faces:
            looks, next_s = self._tracks.get(face.track_id, (0, face.time_s))
            if face.frame_index in due or (looks < _EARLY_LOOKS and face.time_s >= next_s - 1e-6):
                chosen.append(face)
                self._tracks[face.track_id] = looks + 1, face.time_s + _EARLY_S
        self.frames += len(due | {face.frame_index for face in chosen})
        return chosen

    def _due(self, index: int, time_s: float, stride: int) -> bool:
        if index % stride or time_s < self._next_s - 1e-6:
            return False
        self._next_s = _next_due(self._next_s, time_s, 1 / self._rate)
        return True


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that goes through stages; ``size`` is the file's, in bytes."""

    path: str | os.PathLike[str]
    info: VideoInfo
    sha256: str
    size: int


class Stage:
    """What every stage does; the methods here do nothing."""

    clock = ""
    """The field of :class:`vidscan.types.Timing` that its time counts for."""

    def start(self, clip: Clip) -> None:
        """The clip that comes."""

    def add(self, batch: FaceBatch) -> None:
        """The next chunk."""

    def finish(self, rest: list[FrameFaces]) -> None:
        """The clip is over; ``rest`` are the last frames whose faces are known only now."""


class BehaviorStage(Stage):
    """Landmarks and eyes of faces at about ``rate`` frames per second, window by window.

    Parameters
    ----------
    reader, eyes
        The networks; without ``eyes`` nobody tells whether eyes are shut.
    collector
        Takes the readings.
    rate
        Frames a second.
    """

    clock = "landmarks"

    def __init__(
        self, reader: LandmarkReader, eyes: EyeState | None, collector: BehaviorCollector, rate: float
    ) -> None:
        self._reader, self._eyes = reader, None if eyes is None else eyes.anew()
        self.collector, self._rate = collector, rate
        self._stride = 1

    def start(self, clip: Clip) -> None:
        self._stride = frame_step(clip.info.fps, self._rate)

    def add(self, batch: FaceBatch) -> None:
        chosen = [face for face in batch.faces if face.frame_index % self._stride == 0]
        if not chosen:
            return
        index = batch.index(chosen)
        readings = self._reader.read(batch.images, index, chosen)
        if self._eyes is not None:
            tracks = [face.track_id for face in chosen]
            shut = self._eyes.read(batch.images, index, readings.landmarks, tracks)
            readings = replace(readings, shut=shut)
        self.collector.add(chosen, readings)


class PatchStage(Stage):
    """The patch classifier on the faces whose turn it is."""

    clock = "classify"

    def __init__(self, classifier: PatchClassifier, turns: Turns) -> None:
        self.classifier, self.turns = classifier, turns
        self.evidence: dict[int, list[FaceEvidence]] = {}
        """By track, in time order."""
        self.maps: dict[tuple[int, int], PatchMap] = {}
        """What was found in the latest batch, by frame and track."""

    def add(self, batch: FaceBatch) -> None:
        chosen = self.turns.choose(batch)
        self.maps = {}
        if not chosen:
            return
        crops, to_crop = batch.crops(chosen, self.classifier.spec)
        sharpness, brightness = crop_quality(crops)
        detail = detail_px(crops, self.classifier.spec)
        logits = self.classifier.logits(crops)
        found = self.classifier.maps(logits, to_crop)
        parts = part_levels(logits.numpy(), self.classifier.spec)
        for i, (face, patch_map) in enumerate(zip(chosen, found, strict=True)):
            box = box_of(face)
            self.evidence.setdefault(face.track_id, []).append(
                FaceEvidence(
                    frame_index=face.frame_index,
                    time_s=face.time_s,
                    box=box,
                    score=patch_map.score,
                    face_px=side_of(box),
                    sharpness=float(sharpness[i]),
                    brightness=float(brightness[i]),
                    parts=tuple(parts[i].tolist()),
                    detail_px=float(detail[i]),
                    inside=inside_of(box, batch.size),
                    quantiser=batch.quantiser(face, box),
                )
            )
            self.maps[face.frame_index, face.track_id] = patch_map

    def finish(self, rest: list[FrameFaces]) -> None:
        self.maps = {}


class EncoderStage(Stage):
    """The encoder on some of the faces that the patch classifier looked at: it costs ten times as much.

    Every second at the start of a track, so that a short one is looked at more than once, and at ``rate``
    from then on. The first look is at an aligned and a native crop, those after it at one of both in turn.

    Parameters
    ----------
    patches
        Comes before this stage.
    classifier
        The encoder with its heads.
    rate
        Frames per second of every track.

    Attributes
    ----------
    mapped
        Masks are wanted, so every track is looked at aligned about once a second. Looks that are not due
        otherwise are for masks alone: whether they are written never changes a verdict.
    """

    clock = "classify"

    def __init__(self, patches: PatchStage, classifier: EncoderClassifier, rate: float) -> None:
        self._patches, self.classifier, self._rate = patches, classifier, rate
        self._next: dict[int, tuple[int, float]] = {}
        self._mapped_s: dict[int, float] = {}
        self.mapped = False
        self.deviations: dict[tuple[int, int], float] = {}
        """By frame and track."""
        self.maps: dict[tuple[int, int], NDArray[np.float32]] = {}
        """(16, 16) log-odds that were found in the latest batch, by frame and track."""

    def add(self, batch: FaceBatch) -> None:
        self.maps = {}
        aligned: list[Face] = []
        native: list[Face] = []
        extra: list[Face] = []
        for face in batch.faces:
            if (face.frame_index, face.track_id) not in self._patches.maps:
                continue
            due = self._due(face)
            if "native" in due:
                native.append(face)
            if "aligned" in due:
                aligned.append(face)
            elif self.mapped and face.time_s > self._mapped_s[face.track_id] + _FIRST_S - 1e-6:
                extra.append(face)
            else:
                continue
            self._mapped_s[face.track_id] = face.time_s
        self._look(batch, aligned, judged=True)
        self._look_natively(batch, native)
        # By themselves: in one batch with others a crop's answer differs by a millionth.
        self._look(batch, extra, judged=False)

    def _look(self, batch: FaceBatch, faces: list[Face], *, judged: bool) -> None:
        if not faces:
            return
        crops, _ = batch.crops(faces, self.classifier.spec)
        found = self.classifier.read(crops)
        for face, value, cells in zip(faces, found.deviations, found.maps, strict=True):
            key = face.frame_index, face.track_id
            self.maps[key] = cells
            if judged:
                self.deviations[key] = float(value)

    def _look_natively(self, batch: FaceBatch, faces: list[Face]) -> None:
        if not faces:
            return
        aligned = face_transforms(faces, self.classifier.spec)
        native = native_maps(aligned, batch.size)
        crops = align(batch.images, batch.index(faces), native, self.classifier.spec)
        weights = native_region_weights(invert_affine(native), aligned)
        for face, value in zip(faces, self.classifier.read_native(crops, weights).tolist(), strict=True):
            key = face.frame_index, face.track_id
            # A track's first look is at both.
            self.deviations[key] = (value + self.deviations.get(key, value)) / 2

    def finish(self, rest: list[FrameFaces]) -> None:
        self.maps = {}

    def _due(self, face: Face) -> tuple[str, ...]:
        """At which kinds of crop a look at this face is due."""
        looks, due_s = self._next.get(face.track_id, (0, face.time_s))
        if face.time_s < due_s - 1e-6:
            return ()
        wait = min(_FIRST_S if looks < _FIRST_LOOKS else math.inf, 1 / self._rate)
        self._next[face.track_id] = looks + 1, _next_due(due_s, face.time_s, wait)
        if not self.classifier.reads_native:
            return ("aligned",)
        if looks == 0:
            return "aligned", "native"
        return ("native",) if looks % 2 else ("aligned",)

    def joined(self, track_id: int, faces: Sequence[FaceEvidence]) -> tuple[FaceEvidence, ...]:
        """The faces of a track with what the encoder said of them."""
        return tuple(replace(f, encoder=self.deviations.get((f.frame_index, track_id))) for f in faces)


_FIRST_S, _FIRST_LOOKS = 1.0, 4


@dataclass(slots=True)
class Seen:
    """When a track was seen."""

    start_s: float
    end_s: float
    frames: int = 0


class SeenStage(Stage):
    """When every track was seen."""

    clock = "detect"

    def __init__(self) -> None:
        self.tracks: dict[int, Seen] = {}

    def add(self, batch: FaceBatch) -> None:
        self.finish(batch.complete)

    def finish(self, rest: list[FrameFaces]) -> None:
        for frame in rest:
            for face in frame.faces:
                seen = self.tracks.setdefault(face.track_id, Seen(face.time_s, face.time_s))
                seen.frames += 1
                seen.end_s = face.time_s


@dataclass
class FrameStage(Stage):
    """A report of every face of every frame, and its mask: between analyzed frames the last one moves along.

    Parameters
    ----------
    patches
        Knows which frames were analyzed, and what was found in them; it comes before this stage.
    encoder
        Whose maps these are, unless there is none: then they are those of ``patches``. It comes before too.
    judge
        Knows the scale of scores.
    masks
        Takes the manipulation probability of every frame that has a face.
    models
        Are named to ``masks`` in the end.
    """

    patches: PatchStage
    encoder: EncoderStage | None
    judge: Judge
    masks: FrameSink | None
    models: Sequence[ModelRef] = ()
    reports: list[FrameReport] = field(default_factory=list)

    clock = "classify"

    def __post_init__(self) -> None:
        self._shape = (0, 0)
        self._steady: dict[int, tuple[float, NDArray[np.float32]]] = {}
        self._grid, self._mask = self.patches.classifier.grid, self.patches.classifier.mask
        if self.encoder is not None:
            self._cells, self._grid = cells_within(self.patches.classifier.spec)
            self._mask = self.encoder.classifier.mask

    def start(self, clip: Clip) -> None:
        if self.masks is not None:
            self.masks.begin(clip.info, clip.sha256, clip.path)
            if self.encoder is not None:
                self.encoder.mapped = True

    def add(self, batch: FaceBatch) -> None:
        self._shape = batch.chunk.shape
        for frame in batch.complete:
            self._write(frame)

    def finish(self, rest: list[FrameFaces]) -> None:
        for frame in rest:
            self._write(frame)
        if self.masks is not None:
            self.masks.close(self.models)

    def _write(self, frame: FrameFaces) -> None:
        fresh = {face.track_id: self.patches.maps.get((frame.index, face.track_id)) for face in frame.faces}
        name = None
        if self.masks is not None:
            followed = any(patch_map is None for patch_map in fresh.values())
            regions = tuple(self._regions(frame))
            name = self.masks.write(FrameMaps(frame.index, frame.time_s, self._shape, regions, followed))
        for face in frame.faces:
            patch_map = fresh[face.track_id]
            self.reports.append(
                FrameReport(
                    index=frame.index,
                    time_s=face.time_s,
                    track_id=face.track_id,
                    box=box_of(face),
                    score=None if patch_map is None else self.judge.patch_scale.score(patch_map.score),
                    mask=name,
                )
            )

    def _regions(self, frame: FrameFaces) -> Iterator[FaceMap]:
        classifier = self.patches.classifier
        for face, to_crop in zip(frame.faces, classifier.transforms(frame.faces), strict=True):
            log_odds = self._log_odds(frame, face.track_id)
            if log_odds is not None:
                probability = self._mask.probability(log_odds)
                yield FaceMap(face.track_id, probability, to_crop, classifier.spec.size, self._grid)

    def _log_odds(self, frame: FrameFaces, track_id: int) -> NDArray[np.float32] | None:
        """Of each patch: what is seen now, steadied by what was; carried on in between."""
        fresh, before = self._fresh(frame.index, track_id), self._steady.get(track_id)
        if fresh is not None:
            if before is not None:
                past = np.float32(_STEADINESS ** (frame.time_s - before[0]))
                fresh = past * before[1] + (1 - past) * fresh
            self._steady[track_id] = before = frame.time_s, fresh
        return None if before is None else before[1]

    def _fresh(self, frame: int, track_id: int) -> NDArray[np.float32] | None:
        """Log-odds of each patch of the patch classifier's crop that were found in this very frame."""
        if self.encoder is not None:
            cells = self.encoder.maps.get((frame, track_id))
            return None if cells is None else cells[self._cells, self._cells]
        found = self.patches.maps.get((frame, track_id))
        return None if found is None else found.logits


@dataclass(frozen=True, slots=True)
class EvidenceStages:
    """The stages whose findings a clip is judged by."""

    seen: SeenStage
    patches: PatchStage
    behavior: BehaviorStage | None
    encoder: EncoderStage | None

    def __iter__(self) -> Iterator[Stage]:
        """In the order in which they see a batch."""
        stages = (self.seen, self.behavior, self.patches, self.encoder)
        return (stage for stage in stages if stage is not None)

    def tracks(self) -> list[Track]:
        """Every track that was looked at, with its evidence."""
        behavior = {} if self.behavior is None else self.behavior.collector.windows()
        found = []
        for track_id, seen in sorted(self.seen.tracks.items()):
            faces = self.patches.evidence.get(track_id)
            if faces is not None:
                joined = tuple(faces) if self.encoder is None else self.encoder.joined(track_id, faces)
                windows = behavior.get(track_id, ())
                found.append(Track(track_id, joined, seen.frames, seen.start_s, seen.end_s, windows))
        return found

    def boxes(self) -> dict[int, list[tuple[float, float, float, float]]]:
        """Boxes of the analyzed faces by frame index."""
        found: dict[int, list[tuple[float, float, float, float]]] = {}
        for face in chain.from_iterable(self.patches.evidence.values()):
            found.setdefault(face.frame_index, []).append(face.box)
        return found


def frame_step(fps: float | None, rate: float) -> int:
    """Every how many frames a clip of ``fps`` frames a second is read at about ``rate`` a second."""
    return max(1, round((fps or 0.0) / rate))


def box_of(face: Face) -> tuple[float, float, float, float]:
    """The face's box as plain numbers."""
    x0, y0, x1, y1 = (float(v) for v in face.box)
    return x0, y0, x1, y1


def inside_of(box: tuple[float, float, float, float], size: tuple[int, int]) -> float:
    """Share of a box that lies in a frame of ``size`` (width, height), 0..1."""
    x0, y0, x1, y1 = box
    seen = max(0.0, min(x1, size[0]) - max(x0, 0.0)) * max(0.0, min(y1, size[1]) - max(y0, 0.0))
    return seen / max((x1 - x0) * (y1 - y0), seen, 1e-6)


def side_of(box: tuple[float, float, float, float]) -> float:
    """Geometric mean of a box's width and height."""
    x0, y0, x1, y1 = box
    return float(np.sqrt(max(0.0, x1 - x0) * max(0.0, y1 - y0)))

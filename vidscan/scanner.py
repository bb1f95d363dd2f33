"""The pipeline: decode, detect and track, align, classify, aggregate, judge."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from vidscan import __version__
from vidscan.behavior.eye_closure import RULES
from vidscan.behavior.eye_state import EyeState
from vidscan.behavior.windows import BehaviorCollector
from vidscan.errors import InputError, SetupError, UnreadableError, VidscanError
from vidscan.faces.detect import FaceDetector
from vidscan.faces.landmarks import LandmarkReader
from vidscan.faces.track import FaceTracker
from vidscan.media import open_video
from vidscan.models import ModelRecord, Registry, file_sha256, load_registry
from vidscan.patches.classifier import PatchClassifier, crop_quality
from vidscan.patches.parts import part_levels
from vidscan.report.masks import MaskRegion, MaskSink
from vidscan.report.paths import path_names
from vidscan.types import (
    SCHEMA_VERSION,
    Calibration,
    ErrorInfo,
    Face,
    FaceEvidence,
    FaceSeries,
    FrameChunk,
    FrameReport,
    InputInfo,
    ModelRef,
    PatchMap,
    Quality,
    Report,
    ScanSettings,
    Thresholds,
    Timing,
    ToolInfo,
    Track,
    Verdict,
)
from vidscan.verdict.calibration import MANIPULATED_SCORE, UNCERTAIN_SCORE
from vidscan.verdict.judge import Judgement, load_judge, no_signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOOL = ToolInfo("vidscan", __version__)

T = TypeVar("T")
PathLike = str | os.PathLike[str]


class Scanner:
    """Scans clips; made once, used for many.

    Parameters
    ----------
    settings
        What can change a verdict; defaults suit most clips.
    device
        ``auto`` (a GPU where there is one), ``cpu`` or ``cuda[:n]``.

    Raises
    ------
    SetupError
        Where the device or the rule for blinks does not exist, or the verdict's genuine people are too few
        for the false-alarm rates asked for.
    WeightsError
        Where weights are missing or are not the registered ones.
    """

    def __init__(self, settings: ScanSettings | None = None, *, device: str = "auto") -> None:
        start = time.perf_counter()
        self.settings = settings or ScanSettings()
        self.device = _device(device)
        records = chosen_models(load_registry(), self.settings)
        self.classifier = PatchClassifier(records["patches"], self.device)
        self.judge = load_judge(records["verdict"], self.settings.target_fpr, self.settings.uncertain_fpr)
        self.reader: LandmarkReader | None = None
        self.eyes: EyeState | None = None
        if "landmarks" in records:
            self.reader = LandmarkReader(records["landmarks"], self.device)
        if "blink" in records:
            self.eyes = EyeState(records["blink"], self.device)
        self.models: tuple[ModelRef, ...] = tuple(record.ref for record in records.values())
        self.detector = FaceDetector(self.device, min_face=self.settings.min_face)
        self._startup = time.perf_counter() - start

    def scan(
        self,
        path: PathLike,
        *,
        masks: MaskSink | None = None,
        frames: bool = False,
        progress: Callable[[float], None] | None = None,
        sha256: str | None = None,
    ) -> Report:
        """Scan one clip or picture.

        A bad input raises nothing: the report carries ``error`` and the label ``error``.

        Parameters
        ----------
        path
            A video or picture file.
        masks
            Takes the manipulation probability of every frame that has a face.
        frames
            Fill ``Report.frames``; implied by ``masks``.
        progress
            Called with the share done, 0..1.
        sha256
            Of the content, where the caller knows it; the file is then not hashed.
        """
        return self._guarded(path, lambda: self._pass(path, masks, frames, progress, sha256).run())

    def examine(
        self,
        path: PathLike,
        *,
        masks: MaskSink | None = None,
        frames: bool = True,
        progress: Callable[[float], None] | None = None,
        sha256: str | None = None,
    ) -> tuple[Report, list[FaceSeries]]:
        """:meth:`scan`, and the whole behaviour series of every track; memory grows with the clip.

        The list is empty where the report carries an error, or ``settings.behavior_fps`` is 0.
        """
        work = self._pass(path, masks, frames, progress, sha256, keep_series=True)
        report = self._guarded(path, work.run)
        return report, [] if report.error else work.collector.series()

    def gather(self, path: PathLike) -> tuple[list[Track], float | None]:
        """The evidence of a clip without a verdict: its tracks, and its bits a pixel.

        Raises
        ------
        InputError
            Where the clip cannot be scanned.
        """
        work = self._pass(path, None, False, None, None)
        return work.gather()

    def series(self, path: PathLike) -> list[FaceSeries]:
        """The behaviour series of every track of a clip, without a verdict; empty where no face is found.

        Raises
        ------
        InputError
            Where the clip cannot be read.
        SetupError
            Where the settings leave behaviour out.
        """
        if self.reader is None:
            raise SetupError("behavior_fps is 0: no behaviour is measured")
        work = self._pass(path, None, False, None, None, keep_series=True)
        work.classifies = False
        work.gather()
        return work.collector.series()

    def _pass(
        self,
        path: PathLike,
        masks: MaskSink | None,
        frames: bool,
        progress: Callable[[float], None] | None,
        sha256: str | None,
        keep_series: bool = False,
    ) -> _Pass:
        return _Pass(self, path, masks, frames or masks is not None, progress, sha256, keep_series)

    def _guarded(self, path: PathLike, run: Callable[[], Report]) -> Report:
        try:
            return run()
        except InputError as error:
            return error_report(path, error, self.settings, self.device, self.models)
        except VidscanError:
            raise
        except Exception as error:  # a bug must cost one clip, not a batch
            if os.environ.get("VIDSCAN_DEBUG") == "1":
                raise
            return error_report(path, error, self.settings, self.device, self.models)


def chosen_models(registry: Registry, settings: ScanSettings) -> dict[str, ModelRecord]:
    """The models that a scan with these settings uses, by their kind.

    Raises
    ------
    SetupError
        Where the rule for blinks does not exist.
    WeightsError
        Where the registry lacks one.
    """
    if settings.blink_rule not in RULES:
        raise SetupError(f"blink_rule {settings.blink_rule!r}: there are {', '.join(RULES)}")
    patches = registry.get("patches", settings.patch_model)
    verdict = registry.get("verdict", settings.verdict_model or patches.settings.get("verdict", ""))
    records = {"patches": patches, "verdict": verdict}
    if settings.behavior_fps > 0:
        records["landmarks"] = registry.get("landmarks", verdict.settings.get("landmarks", ""))
        if settings.blink_rule == "network":
            records["blink"] = registry.get("blink", verdict.settings.get("blink", ""))
    return records


class _Pass:
    """One clip on its way through the stages."""

    def __init__(
        self,
        scanner: Scanner,
        path: PathLike,
        masks: MaskSink | None,
        frames: bool,
        progress: Callable[[float], None] | None,
        sha256: str | None,
        keep_series: bool,
    ) -> None:
        self.scanner, self.path, self.masks, self.progress = scanner, path, masks, progress
        self.sha256 = sha256
        self.frames: list[FrameReport] | None = [] if frames else None
        self.spent = dict.fromkeys(("startup", "decode", "detect", "landmarks", "classify", "verdict"), 0.0)
        self.spent["startup"] = scanner._startup
        self.evidence: dict[int, list[FaceEvidence]] = {}
        self.seen: dict[int, tuple[int, float, float]] = {}
        self.maps: dict[int, NDArray[np.float32]] = {}
        self.decoded = self.analysed = 0
        self.next_s = 0.0
        self.collector = BehaviorCollector(keep=keep_series, blink_rule=scanner.settings.blink_rule)
        self.eyes = None if scanner.eyes is None else scanner.eyes.anew()
        self.stride = 1
        self.classifies = True

    def run(self) -> Report:
        """The report of the clip; raises InputError where it cannot be scanned."""
        start = time.perf_counter()
        self._stream()
        with self._clock("verdict"):
            judgement = self.scanner.judge.judge(self._tracks(), self._bits_per_pixel())
        if self.progress is not None:
            self.progress(1.0)
        self.spent["total"] = time.perf_counter() - start + self.spent["startup"]
        return self._report(judgement)

    def gather(self) -> tuple[list[Track], float | None]:
        """Tracks with their evidence, and bits a pixel."""
        self._stream()
        return self._tracks(), self._bits_per_pixel()

    def _stream(self) -> None:
        """Every stage but the verdict, chunk by chunk."""
        settings = self.scanner.settings
        with open_video(
            self.path,
            decoder=settings.decoder,
            max_pixels=settings.max_pixels,
            max_duration_s=settings.max_duration_s,
            stream=settings.stream,
        ) as source:
            self.content, self.size = self._content()
            if self.scanner.reader is not None:
                self.stride = max(1, round((source.info.fps or 0.0) / settings.behavior_fps))
            tracker = FaceTracker(
                self.scanner.detector, detect_every=settings.detect_every, max_faces=settings.max_faces
            )
            if self.masks is not None:
                self.masks.begin(source.info, self.content, self.path)
            chunks = iter(source)
            while (chunk := self._timed("decode", lambda: next(chunks, None))) is not None:
                with self._clock("detect"):
                    faces = tracker.update(chunk)
                with self._clock("landmarks"):
                    self._read(chunk, faces)
                if self.classifies:
                    with self._clock("classify"):
                        self._classify(chunk, faces)
                self.decoded += len(chunk.times)
                if self.progress is not None and source.info.duration_s:
                    self.progress(min(1.0, float(chunk.times[-1]) / source.info.duration_s))
            if self.masks is not None:
                self.masks.close(self.scanner.models)
            self.info, self.warnings = source.info, tuple(source.warnings)

    def _content(self) -> tuple[str, int]:
        """Hash and size in bytes of the file."""
        path = Path(self.path)
        try:
            return self.sha256 or file_sha256(path), path.stat().st_size
        except OSError as error:  # it was there a moment ago
            raise UnreadableError(f"{path_names(path).path}: {error.strerror}") from error

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[stage] += time.perf_counter() - start

    def _timed(self, stage: str, call: Callable[[], T]) -> T:
        with self._clock(stage):
            return call()

    def _read(self, chunk: FrameChunk, faces: list[Face]) -> None:
        """Landmarks and eyes of the frames whose turn it is."""
        reader = self.scanner.reader
        chosen = [face for face in faces if face.frame_index % self.stride == 0]
        if reader is None or not chosen:
            return
        index = np.array([face.frame_index - chunk.first_index for face in chosen])
        images = torch.from_numpy(chunk.images).to(self.scanner.device)
        readings = reader.read(images, index, chosen)
        if self.eyes is not None:
            tracks = [face.track_id for face in chosen]
            shut = self.eyes.read(images, index, readings.landmarks, tracks)
            readings = replace(readings, shut=shut)
        self.collector.add(chosen, readings)

    def _classify(self, chunk: FrameChunk, faces: list[Face]) -> None:
        """Score the faces of the frames whose turn it is, and hand masks of all frames over."""
        due = self._due(chunk)
        chosen = []
        fresh: set[int] = set()
        for face in faces:
            # Nobody may come and go between two analysed frames without having been looked at.
            unseen = face.track_id not in self.evidence and face.track_id not in fresh
            if unseen or due[face.frame_index - chunk.first_index]:
                chosen.append(face)
                fresh.add(face.track_id)
        scored: dict[tuple[int, int], PatchMap] = {}
        if chosen:
            classifier = self.scanner.classifier
            transforms = classifier.transforms(chosen)
            index = np.array([face.frame_index - chunk.first_index for face in chosen])
            crops = classifier.crops(chunk.images, index, transforms)
            sharpness, brightness = crop_quality(crops)
            logits = classifier.logits(crops)
            found = classifier.maps(logits, transforms)
            parts = part_levels(logits.numpy(), classifier.spec)
            for i, (face, patch_map) in enumerate(zip(chosen, found, strict=True)):
                box = _box(face)
                self.evidence.setdefault(face.track_id, []).append(
                    FaceEvidence(
                        frame_index=face.frame_index,
                        time_s=face.time_s,
                        box=box,
                        score=patch_map.score,
                        face_px=_side(box),
                        sharpness=float(sharpness[i]),
                        brightness=float(brightness[i]),
                        parts=tuple(parts[i].tolist()),
                    )
                )
                scored[face.frame_index, face.track_id] = patch_map
        extra = {face.frame_index for face in chosen} - set(chunk.first_index + np.flatnonzero(due))
        self.analysed += int(due.sum()) + len(extra)
        for face in faces:
            count, first, _ = self.seen.get(face.track_id, (0, face.time_s, 0.0))
            self.seen[face.track_id] = (count + 1, first, face.time_s)
        if self.frames is not None:
            self._hand_over(chunk, faces, scored)

    def _due(self, chunk: FrameChunk) -> NDArray[np.bool_]:
        """(T,) which frames of the chunk are classified."""
        settings = self.scanner.settings
        indices = chunk.first_index + np.arange(len(chunk.times))
        if settings.every > 0:
            return indices % settings.every == 0
        due = np.zeros(len(indices), bool)
        for i, time_s in enumerate(chunk.times):
            if time_s >= self.next_s - 1e-6:
                due[i] = True
                # From the time that was due, not from the frame's: the rate holds at any frame rate.
                self.next_s = max(self.next_s, float(time_s) - 1 / settings.analysis_fps)
                self.next_s += 1 / settings.analysis_fps
        return due

    def _hand_over(
        self, chunk: FrameChunk, faces: list[Face], scored: dict[tuple[int, int], PatchMap]
    ) -> None:
        """Frame reports, and masks: between analysed frames the last patch map moves with its face."""
        assert self.frames is not None
        classifier, scale = self.scanner.classifier, self.scanner.judge.patch_scale
        by_frame: dict[int, list[Face]] = {}
        for face in faces:
            by_frame.setdefault(face.frame_index, []).append(face)
        for index in range(chunk.first_index, chunk.first_index + len(chunk.times)):
            present = by_frame.get(index, [])
            transforms = classifier.transforms(present) if present else np.zeros((0, 2, 3))
            regions = []
            for face, to_crop in zip(present, transforms, strict=True):
                probability = self._mask_probability(face.track_id, scored.get((index, face.track_id)))
                if probability is not None:
                    regions.append(MaskRegion(face.track_id, probability, to_crop, classifier.spec.size))
            name = None
            if self.masks is not None:
                carried = any((index, face.track_id) not in scored for face in present)
                shape = chunk.images.shape[1:3]
                time_s = float(chunk.times[index - chunk.first_index])
                name = self.masks.write(index, time_s, (shape[0], shape[1]), regions, carried)
            for face in present:
                patch_map = scored.get((index, face.track_id))
                self.frames.append(
                    FrameReport(
                        index=index,
                        time_s=face.time_s,
                        track_id=face.track_id,
                        box=_box(face),
                        score=None if patch_map is None else scale.score(patch_map.score),
                        mask=name,
                    )
                )

    def _mask_probability(self, track_id: int, fresh: PatchMap | None) -> NDArray[np.float32] | None:
        """Probability of each patch: what is seen now, steadied by what was; carried on in between."""
        before = self.maps.get(track_id)
        if fresh is not None:
            steady = (
                fresh.logits if before is None else _STEADINESS * before + (1 - _STEADINESS) * fresh.logits
            )
            self.maps[track_id] = before = steady
        return None if before is None else self.scanner.classifier.mask_probability(before)

    def _tracks(self) -> list[Track]:
        behavior = self.collector.windows()
        return [
            Track(
                track_id,
                tuple(self.evidence.get(track_id, ())),
                count,
                first,
                last,
                behavior.get(track_id, ()),
            )
            for track_id, (count, first, last) in sorted(self.seen.items())
        ]

    def _bits_per_pixel(self) -> float | None:
        pixels = self.info.width * self.info.height * self.decoded
        return 8 * self.size / pixels if pixels else None

    def _report(self, judgement: Judgement) -> Report:
        names, info = path_names(self.path), self.info
        return Report(
            schema_version=SCHEMA_VERSION,
            tool=TOOL,
            models=self.scanner.models,
            device=self.scanner.device,
            settings=asdict(self.scanner.settings),
            input=InputInfo(
                path=names.path,
                path_raw=names.path_raw,
                sha256=self.content,
                bytes=self.size,
                container=info.container,
                codec=info.codec,
                width=info.width,
                height=info.height,
                fps=info.fps,
                duration_s=info.duration_s,
                rotation=info.rotation,
                has_audio=info.has_audio,
                frames_decoded=self.decoded,
                frames_analysed=self.analysed,
                decoder=info.decoder,
            ),
            verdict=judgement.verdict,
            tracks=judgement.tracks,
            segments=judgement.segments,
            signals=judgement.signals,
            person=None,
            frames=tuple(self.frames or ()),
            quality=judgement.quality,
            timing_s=Timing(**self.spent),
            warnings=self.warnings,
            error=None,
        )


_STEADINESS = 0.6
"""Weight of the past in a mask, from one analysed frame to the next: a forged part stays, noise does not."""


def _box(face: Face) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) for v in face.box)
    return x0, y0, x1, y1


def _side(box: tuple[float, float, float, float]) -> float:
    """Geometric mean of a box's width and height."""
    x0, y0, x1, y1 = box
    return float(np.sqrt(max(0.0, x1 - x0) * max(0.0, y1 - y0)))


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SetupError(f"no such device: {name}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SetupError(f"no such device: {name} ({torch.cuda.device_count()} CUDA devices found)")
    if device.type not in ("cpu", "cuda"):
        raise SetupError(f"device {name} is not supported; use auto, cpu or cuda[:n]")
    return str(device)


def error_report(
    path: PathLike,
    error: Exception,
    settings: ScanSettings,
    device: str,
    models: tuple[ModelRef, ...],
) -> Report:
    """The report of an input that could not be scanned; coded, with one line for a person."""
    names = path_names(path)
    if isinstance(error, InputError):
        info = ErrorInfo(error.code, str(error))  # type: ignore[arg-type]
    elif isinstance(error, MemoryError):
        info = ErrorInfo("out_of_memory", "not enough memory")
    else:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        info = ErrorInfo("internal", f"unexpected failure, please report it ({line})")
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=TOOL,
        models=models,
        device=device,
        settings=asdict(settings),
        input=InputInfo(
            path=names.path,
            path_raw=names.path_raw,
            sha256=None,
            bytes=None,
            container=None,
            codec=None,
            width=None,
            height=None,
            fps=None,
            duration_s=None,
            rotation=None,
            has_audio=None,
            frames_decoded=0,
            frames_analysed=0,
            decoder=None,
        ),
        verdict=Verdict(
            "error",
            None,
            None,
            Thresholds(UNCERTAIN_SCORE, MANIPULATED_SCORE),
            Calibration(0, "", 0.0, None, None),
            (),
        ),
        tracks=(),
        segments=(),
        signals=no_signals(),
        person=None,
        frames=(),
        quality=Quality(None, None, None, None),
        timing_s=Timing(),
        warnings=(),
        error=info,
    )

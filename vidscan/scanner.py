"""The pipeline: decode, detect and track, align, classify, aggregate, judge."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from vidscan.behavior.eye_closure import RULES
from vidscan.behavior.eye_state import EyeState
from vidscan.behavior.windows import BehaviorCollector
from vidscan.errors import InputError, SetupError, UnreadableError, VidscanError
from vidscan.faces.between import Between
from vidscan.faces.detect import Detector, load_detector
from vidscan.faces.landmarks import LandmarkReader
from vidscan.faces.second_look import SecondLook
from vidscan.faces.track import FaceTracker
from vidscan.file_parts import worse_part
from vidscan.lanes import Lane, shared_threads
from vidscan.media import open_video
from vidscan.media.sniff import is_picture
from vidscan.models import ModelRecord, Registry, content_sha256, file_sha256, load_registry
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.encoder import EncoderClassifier
from vidscan.paths import path_names
from vidscan.reporting import Origin, error_report, input_info, with_left_out
from vidscan.sinks import FrameSink
from vidscan.stages import (
    BehaviorStage,
    EncoderStage,
    FaceBatch,
    FrameStage,
    PatchStage,
    SeenStage,
    Stage,
    Turns,
    frame_step,
)
from vidscan.types import (
    FaceEvidence,
    FaceSeries,
    FrameReport,
    ModelRef,
    Note,
    Report,
    ScanSettings,
    Timing,
    Track,
)
from vidscan.verdict.judge import Judgement, load_judge

if TYPE_CHECKING:
    from vidscan.forensics.shelf import Shelf

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
    forensics
        Also ask the instruments of :mod:`vidscan.forensics`: reports then have ``forensics`` and
        ``provenance``. They never change the verdict.

    Raises
    ------
    SetupError
        Where the device or the rule for blinks does not exist, or the verdict's genuine people are too few
        for the false-alarm rates asked for.
    WeightsError
        Where weights are missing or are not the registered ones.
    """

    def __init__(
        self, settings: ScanSettings | None = None, *, device: str = "auto", forensics: bool = False
    ) -> None:
        start = time.perf_counter()
        self.forensics = forensics
        if forensics:
            from vidscan.forensics.provenance import trust_anchors

            trust_anchors()  # a list that cannot be read is told before the first file
        self.settings = settings or ScanSettings()
        self.device = _device(device)
        records = chosen_models(load_registry(), self.settings)
        detector = load_detector(records["detector"], self.device, min_face=self.settings.min_face)
        self.detector: Detector = SecondLook(detector)
        self.classifier = PatchClassifier(records["patches"], self.device)
        self.judge = load_judge(records["verdict"], self.settings.target_fpr, self.settings.uncertain_fpr)
        self.encoder: EncoderClassifier | None = None
        self.notes: tuple[Note, ...] = ()
        if "encoder" in records:
            self.encoder = EncoderClassifier(records["encoder"], self.device)
        elif "encoder" in records["verdict"].settings:
            self.notes = (_WITHOUT_ENCODER,)
        self.reader: LandmarkReader | None = None
        self.eyes: EyeState | None = None
        if "landmarks" in records:
            self.reader = LandmarkReader(records["landmarks"], self.device)
        if "blink" in records:
            self.eyes = EyeState(records["blink"], self.device)
        self.models: tuple[ModelRef, ...] = tuple(record.ref for record in records.values())
        self._startup = time.perf_counter() - start

    def scan(
        self,
        path: PathLike,
        *,
        masks: FrameSink | None = None,
        frames: bool = False,
        progress: Callable[[float], None] | None = None,
        sha256: str | None = None,
        shelf: Shelf | None = None,
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
        shelf
            Takes what the instruments found, with maps and series, where ``forensics`` was asked for.
        """

        def run(embedded: bool, masks: FrameSink | None) -> tuple[Report, _Pass]:
            work = _Pass(self, path, embedded=embedded)
            return self._guarded(path, lambda: work.report(masks, frames, progress, sha256), sha256), work

        report, work = worse_part(path, masks, run)
        return self._with_forensics(report, work, shelf)

    def examine(
        self,
        path: PathLike,
        *,
        masks: FrameSink | None = None,
        frames: bool = True,
        progress: Callable[[float], None] | None = None,
        sha256: str | None = None,
        shelf: Shelf | None = None,
    ) -> tuple[Report, list[FaceSeries]]:
        """:meth:`scan`, and the whole behavior series of every track; memory grows with the clip.

        The list is empty where the report carries an error, or ``settings.behavior_fps`` is 0.
        """

        def run(embedded: bool, masks: FrameSink | None) -> tuple[Report, _Pass]:
            work = _Pass(self, path, keep_series=True, embedded=embedded)
            return self._guarded(path, lambda: work.report(masks, frames, progress, sha256), sha256), work

        report, work = worse_part(path, masks, run)
        report = self._with_forensics(report, work, shelf)
        return report, [] if report.error else work.collector.series()

    def gather(self, path: PathLike) -> tuple[list[Track], float | None]:
        """The evidence of a clip without a verdict: its tracks, and its bits per pixel.

        Raises
        ------
        InputError
            Where the clip cannot be scanned.
        """
        work = _Pass(self, path)
        work.stream()
        return work.tracks(), work.bits_per_pixel()

    def series(self, path: PathLike) -> list[FaceSeries]:
        """The behavior series of every track of a clip, without a verdict; empty where no face is found.

        Raises
        ------
        InputError
            Where the clip cannot be read.
        SetupError
            Where the settings leave behavior out.
        """
        if self.reader is None:
            raise SetupError("behavior_fps is 0: no behavior is measured")
        work = _Pass(self, path, classifies=False, keep_series=True)
        work.stream()
        return work.collector.series()

    def _with_forensics(self, report: Report, work: _Pass, shelf: Shelf | None) -> Report:
        if not self.forensics or report.error is not None:
            return report
        from vidscan.forensics.shelf import with_forensics

        try:
            return with_forensics(report, work.path, work.boxes(), embedded=work.embedded, shelf=shelf)
        except InputError as error:  # gone since: the verdict stands
            note = Note("forensics_failed", f"the instruments of forensics could not look: {error}")
            return replace(report, forensics=(), warnings=(*report.warnings, note))

    def _guarded(self, path: PathLike, run: Callable[[], Report], sha256: str | None) -> Report:
        try:
            return run()
        except InputError as error:
            failure: Exception = error
        except VidscanError:
            raise
        except Exception as error:  # a bug must cost one clip, not a batch
            if os.environ.get("VIDSCAN_DEBUG") == "1":
                raise
            failure = error
        report = error_report(path, failure, self.settings, self.device, self.models)
        return replace(report, input=replace(report.input, sha256=sha256 or content_sha256(Path(path))))


def chosen_models(registry: Registry, settings: ScanSettings) -> dict[str, ModelRecord]:
    """The models that a scan with these settings uses, by their kind.

    Raises
    ------
    SetupError
        Where the rule for blinks does not exist, the rate of classification is not above 0, the encoder's is
        negative, or either is infinite.
    WeightsError
        Where the registry lacks one.
    """
    if settings.blink_rule not in RULES:
        raise SetupError(f"blink_rule {settings.blink_rule!r}: there are {', '.join(RULES)}")
    patches = registry.get("patches", settings.patch_model)
    verdict = registry.get("verdict", settings.verdict_model or patches.settings.get("verdict", ""))
    records = {"detector": registry.get("detector"), "patches": patches, "verdict": verdict}
    if not 0 < settings.analysis_fps < math.inf:
        raise SetupError(f"analysis_fps {settings.analysis_fps:g} is not above 0, or infinite")
    if not 0 <= settings.encoder_fps < math.inf:
        raise SetupError(f"encoder_fps {settings.encoder_fps:g} is below 0, or infinite")
    if settings.encoder_fps > 0 and "encoder" in registry.defaults:
        records["encoder"] = registry.get("encoder", verdict.settings.get("encoder", ""))
    if settings.behavior_fps > 0:
        records["landmarks"] = registry.get("landmarks", verdict.settings.get("landmarks", ""))
        if settings.blink_rule == "network":
            records["blink"] = registry.get("blink", verdict.settings.get("blink", ""))
    return records


class _Pass:
    """One clip on its way through the stages.

    Parameters
    ----------
    scanner
        Holds the networks.
    path
        The clip.
    classifies
        Whether patches are classified; else only behavior is measured.
    keep_series
        Keep the whole behavior series of every track.
    embedded
        The clip is the video behind a photo.
    """

    def __init__(
        self,
        scanner: Scanner,
        path: PathLike,
        *,
        classifies: bool = True,
        keep_series: bool = False,
        embedded: bool = False,
    ) -> None:
        settings = scanner.settings
        self.scanner, self.path, self.embedded = scanner, path, embedded
        self.collector = BehaviorCollector(keep=keep_series, blink_rule=settings.blink_rule)
        self.seen = SeenStage()
        self.patches = PatchStage(scanner.classifier, Turns(settings.analysis_fps))
        self.stages: list[Stage] = [self.seen]
        if scanner.reader is not None:
            self.stages.append(
                BehaviorStage(scanner.reader, scanner.eyes, self.collector, settings.behavior_fps)
            )
        self.encoder: EncoderStage | None = None
        if classifies:
            self.stages.append(self.patches)
            if scanner.encoder is not None:
                self.encoder = EncoderStage(self.patches, scanner.encoder, settings.encoder_fps)
                self.stages.append(self.encoder)
        self.spent = dict.fromkeys(("startup", "decode", "detect", "landmarks", "classify", "verdict"), 0.0)
        self.spent["startup"] = scanner._startup
        self.decoded = 0

    def report(
        self,
        masks: FrameSink | None,
        frames: bool,
        progress: Callable[[float], None] | None,
        sha256: str | None,
    ) -> Report:
        """The report of the clip; raises InputError where it cannot be scanned."""
        start = time.perf_counter()
        judge = self.scanner.judge
        if self.encoder is not None:
            self.encoder.mapped = masks is not None
        every_frame = None
        if frames or masks is not None:
            every_frame = FrameStage(self.patches, self.encoder, judge, masks)
        if every_frame is not None:
            self.stages.append(every_frame)
        self.stream(masks, progress, sha256)
        with self._clock("verdict"):
            picture = is_picture(self.info.container, self.info.duration_s)
            judgement = judge.judge(self.tracks(), self.bits_per_pixel(), picture)
        if progress is not None:
            progress(1.0)
        self.spent["total"] = time.perf_counter() - start + self.spent["startup"]
        return self._report(judgement, () if every_frame is None else tuple(every_frame.reports))

    def stream(
        self,
        masks: FrameSink | None = None,
        progress: Callable[[float], None] | None = None,
        sha256: str | None = None,
    ) -> None:
        """Every stage but the verdict, chunk by chunk."""
        settings = self.scanner.settings
        with open_video(
            self.path,
            decoder=settings.decoder,
            max_pixels=settings.max_pixels,
            max_duration_s=settings.max_duration_s,
            stream=settings.stream,
            embedded=self.embedded,
        ) as source:
            self.content, self.size = self._content(sha256)
            if masks is not None:
                masks.begin(source.info, self.content, self.path)
            for stage in self.stages:
                stage.start(source.info)
            stride = _stride(source.info.fps, settings)
            tracker = FaceTracker(
                self.scanner.detector,
                detect_every=max(1, round(settings.detect_s * (source.info.fps or _USUAL_FPS))),
                max_faces=settings.max_faces,
                stride=stride,
            )
            between = Between(stride)
            chunks = iter(source)
            with self._lanes() as give:
                while (chunk := self._timed("decode", lambda: next(chunks, None))) is not None:
                    with self._clock("detect"):
                        faces = tracker.update(chunk)
                        followed = [face for face in faces if face.frame_index % stride == 0]
                        complete = between.add(chunk, faces)
                    give(FaceBatch(chunk, followed, stride, complete, self.scanner.device))
                    self.decoded += len(chunk.times)
                    if progress is not None and source.info.duration_s:
                        progress(min(1.0, float(chunk.times[-1]) / source.info.duration_s))
            rest = between.finish()
            for stage in self.stages:
                with self._clock(stage.clock):
                    stage.finish(rest)
            if masks is not None:
                masks.close(self.scanner.models)
            self.info, self.warnings = source.info, tuple(source.warnings)
            self.left_out = tracker.left_out

    @contextmanager
    def _lanes(self) -> Iterator[Callable[[FaceBatch], None]]:
        """What gives a batch to every stage; at the end all are through.

        Stages of one clock follow each other. Those of different clocks run side by side, and beside
        detection, where torch has threads to share: which of them is first changes nothing.
        """
        groups = {clock: [s for s in self.stages if s.clock == clock] for clock in _SIDE_BY_SIDE}
        here = [stage for stage in self.stages if stage.clock not in groups]

        def work(stages: list[Stage], batch: FaceBatch) -> None:
            for stage in stages:
                with self._clock(stage.clock):
                    stage.add(batch)

        if torch.get_num_threads() == 1:
            yield partial(work, self.stages)
            return
        with ExitStack() as stack:
            threads = stack.enter_context(shared_threads(len(_SIDE_BY_SIDE)))
            lanes = [
                stack.enter_context(Lane(partial(work, stages), threads))
                for stages in groups.values()
                if stages
            ]

            def give(batch: FaceBatch) -> None:
                work(here, batch)
                for lane in lanes:
                    lane.add(batch)

            yield give
            for lane in lanes:
                lane.wait()

    def _content(self, sha256: str | None) -> tuple[str, int]:
        """Hash and size in bytes of the file."""
        path = Path(self.path)
        try:
            return sha256 or file_sha256(path), path.stat().st_size
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

    def tracks(self) -> list[Track]:
        """Every track that was looked at, with its evidence."""
        behavior = self.collector.windows()
        return [
            Track(
                track_id,
                self._faces(track_id),
                seen.frames,
                seen.start_s,
                seen.end_s,
                behavior.get(track_id, ()),
            )
            for track_id, seen in sorted(self.seen.tracks.items())
            if track_id in self.patches.evidence
        ]

    def _faces(self, track_id: int) -> tuple[FaceEvidence, ...]:
        faces = self.patches.evidence[track_id]
        return tuple(faces) if self.encoder is None else self.encoder.joined(track_id, faces)

    def boxes(self) -> dict[int, list[tuple[float, float, float, float]]]:
        """Boxes of the analyzed faces by frame index."""
        found: dict[int, list[tuple[float, float, float, float]]] = {}
        for faces in self.patches.evidence.values():
            for face in faces:
                found.setdefault(face.frame_index, []).append(face.box)
        return found

    def bits_per_pixel(self) -> float | None:
        """Of the file, over all frames."""
        pixels = self.info.width * self.info.height * self.decoded
        return 8 * self.size / pixels if pixels else None

    def _report(self, judgement: Judgement, frames: tuple[FrameReport, ...]) -> Report:
        scanner = self.scanner
        judgement, notes = with_left_out(judgement, self.left_out, scanner.settings.max_faces)
        source = input_info(
            self.path,
            self.info,
            sha256=self.content,
            size=self.size,
            decoded=self.decoded,
            analysed=self.patches.turns.frames,
        )
        return Origin(scanner.settings, scanner.device, scanner.models).report(
            source,
            judgement,
            frames=frames,
            timing=Timing(**self.spent),
            warnings=(*self.warnings, *notes, *scanner.notes),
        )


_WITHOUT_ENCODER = Note(
    "encoder_left_out",
    "the encoder was left out, which this verdict weighs most: what it is said to find does not hold",
)
_FOLLOW_FPS = 15.0
"""Faces are followed in about so many frames per second, or as many as are read."""
_SIDE_BY_SIDE = ("landmarks", "classify")
"""Clocks whose stages need nothing of each other."""
_USUAL_FPS = 25.0
"""Frames a second where the container does not say."""


def _stride(fps: float | None, settings: ScanSettings) -> int:
    """Every how many frames faces are followed: as many as somebody reads, and enough to follow by."""
    stride = frame_step(fps, _FOLLOW_FPS)
    if settings.behavior_fps > 0:
        stride = math.gcd(stride, frame_step(fps, settings.behavior_fps))
    return 1 if settings.analysis_fps * stride > (fps or 0.0) else stride


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

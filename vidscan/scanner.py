"""The pipeline: decode, detect and track, align, classify, aggregate, judge."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vidscan.behavior.eye_state import EyeState
from vidscan.behavior.windows import BehaviorCollector
from vidscan.errors import InputError, SetupError, VidscanError
from vidscan.faces.detect import Detector, load_detector
from vidscan.faces.landmarks import LandmarkReader
from vidscan.faces.second_look import SecondLook
from vidscan.file_parts import worse_part
from vidscan.media.sniff import is_picture
from vidscan.model_choice import chosen_models
from vidscan.models import content_sha256, load_registry
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.encoder import EncoderClassifier
from vidscan.reporting import Origin, error_report, input_info, with_left_out
from vidscan.sinks import FrameSink
from vidscan.stages import (
    BehaviorStage,
    EncoderStage,
    EvidenceStages,
    FrameStage,
    PatchStage,
    SeenStage,
    Stage,
    Turns,
)
from vidscan.streaming import Clocks, Streamed, stream
from vidscan.types import FaceSeries, ModelRef, Note, Report, ScanSettings, Track
from vidscan.verdict.judge import load_judge

if TYPE_CHECKING:
    from vidscan.forensics.shelf import Shelf

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
        return self._scanned(path, masks, frames, progress, sha256, shelf)[0]

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
        report, stages = self._scanned(path, masks, frames, progress, sha256, shelf, keep_series=True)
        if report.error is not None or stages.behavior is None:
            return report, []
        return report, stages.behavior.collector.series()

    def gather(self, path: PathLike) -> tuple[list[Track], float | None]:
        """The evidence of a clip without a verdict: its tracks, and its bits per pixel.

        Raises
        ------
        InputError
            Where the clip cannot be scanned.
        """
        stages = self._stages()
        clip = self._stream(path, list(stages), Clocks())
        return stages.tracks(), clip.bits_per_pixel

    def series(self, path: PathLike) -> list[FaceSeries]:
        """The behavior series of every track of a clip, without a verdict; empty where no face is found.

        Raises
        ------
        InputError
            Where the clip cannot be read.
        SetupError
            Where the settings leave behavior out.
        """
        stage = self._behavior(keep_series=True)
        if stage is None:
            raise SetupError("behavior_fps is 0: no behavior is measured")
        self._stream(path, [stage], Clocks())
        return stage.collector.series()

    # ----------------------------------------------------------------------- stages

    def _behavior(self, keep_series: bool) -> BehaviorStage | None:
        if self.reader is None:
            return None
        settings = self.settings
        collector = BehaviorCollector(keep=keep_series, blink_rule=settings.blink_rule)
        return BehaviorStage(self.reader, self.eyes, collector, settings.behavior_fps)

    def _stages(self, keep_series: bool = False) -> EvidenceStages:
        patches, encoder = PatchStage(self.classifier, Turns(self.settings.analysis_fps)), None
        if self.encoder is not None:
            encoder = EncoderStage(patches, self.encoder, self.settings.encoder_fps)
        return EvidenceStages(SeenStage(), patches, self._behavior(keep_series), encoder)

    def _stream(self, path: PathLike, stages: Sequence[Stage], clocks: Clocks, **options: Any) -> Streamed:
        return stream(path, stages, self.detector, self.settings, self.device, clocks, **options)

    # ----------------------------------------------------------------------- reports

    def _scanned(
        self,
        path: PathLike,
        masks: FrameSink | None,
        frames: bool,
        progress: Callable[[float], None] | None,
        sha256: str | None,
        shelf: Shelf | None,
        *,
        keep_series: bool = False,
    ) -> tuple[Report, EvidenceStages]:
        """The report of a file, or of its worse part, and what was found in that."""

        def run(embedded: bool, masks: FrameSink | None) -> tuple[Report, tuple[EvidenceStages, bool]]:
            stages = self._stages(keep_series)
            every_frame = None
            if frames or masks is not None:
                every_frame = FrameStage(stages.patches, stages.encoder, self.judge, masks, self.models)
            options = {"embedded": embedded, "progress": progress, "sha256": sha256}
            report = self._guarded(path, lambda: self._judged(path, stages, every_frame, options), sha256)
            return report, (stages, embedded)

        report, (stages, embedded) = worse_part(path, masks, run)
        return self._with_forensics(report, path, stages, embedded, shelf), stages

    def _judged(
        self, path: PathLike, stages: EvidenceStages, every_frame: FrameStage | None, options: dict[str, Any]
    ) -> Report:
        """The report of a clip; raises InputError where it cannot be scanned."""
        clocks = Clocks()
        last = () if every_frame is None else (every_frame,)
        streamed = self._stream(path, [*stages, *last], clocks, **options)
        info = streamed.clip.info
        with clocks("verdict"):
            picture = is_picture(info.container, info.duration_s)
            judgement = self.judge.judge(stages.tracks(), streamed.bits_per_pixel, picture)
        if options["progress"] is not None:
            options["progress"](1.0)
        judgement, notes = with_left_out(judgement, streamed.left_out, self.settings.max_faces)
        source = input_info(
            path,
            info,
            sha256=streamed.clip.sha256,
            size=streamed.clip.size,
            decoded=streamed.decoded,
            analysed=stages.patches.turns.frames,
        )
        return Origin(self.settings, self.device, self.models).report(
            source,
            judgement,
            frames=() if every_frame is None else tuple(every_frame.reports),
            timing=clocks.timing(self._startup),
            warnings=(*streamed.warnings, *notes, *self.notes),
        )

    def _with_forensics(
        self, report: Report, path: PathLike, stages: EvidenceStages, embedded: bool, shelf: Shelf | None
    ) -> Report:
        if not self.forensics or report.error is not None:
            return report
        from vidscan.forensics.shelf import with_forensics

        try:
            return with_forensics(report, path, stages.boxes(), embedded=embedded, shelf=shelf)
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


_WITHOUT_ENCODER = Note(
    "encoder_left_out",
    "the encoder was left out, which this verdict weighs most: what it is said to find does not hold",
)


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

"""Reports made of what a scan found, or of why there was none."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from vidscan import __version__
from vidscan.errors import InputError
from vidscan.paths import path_names
from vidscan.types import (
    LABEL_SEVERITY,
    SCHEMA_VERSION,
    Calibration,
    ErrorInfo,
    FrameReport,
    InputInfo,
    ModelRef,
    Note,
    Quality,
    Reason,
    Report,
    ScanSettings,
    Thresholds,
    Timing,
    ToolInfo,
    Verdict,
    VideoInfo,
)
from vidscan.verdict.calibration import MANIPULATED_SCORE, UNCERTAIN_SCORE
from vidscan.verdict.judge import Judgement, no_signals

TOOL = ToolInfo("vidscan", __version__)
_OF_STREAM = (
    "container",
    "codec",
    "width",
    "height",
    "fps",
    "duration_s",
    "rotation",
    "has_audio",
    "decoder",
)
"""Fields that :class:`InputInfo` takes from :class:`VideoInfo`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What all reports of a scanner share."""

    settings: ScanSettings
    device: str
    models: tuple[ModelRef, ...]

    def report(
        self,
        input: InputInfo,
        judgement: Judgement,
        *,
        frames: tuple[FrameReport, ...] = (),
        timing: Timing | None = None,
        warnings: tuple[Note, ...] = (),
        error: ErrorInfo | None = None,
    ) -> Report:
        """One clip's report; what the judge noted comes after ``warnings``."""
        return Report(
            schema_version=SCHEMA_VERSION,
            tool=TOOL,
            models=self.models,
            device=self.device,
            settings=asdict(self.settings),
            input=input,
            verdict=judgement.verdict,
            tracks=judgement.tracks,
            segments=judgement.segments,
            signals=judgement.signals,
            person=None,
            frames=frames,
            quality=judgement.quality,
            timing_s=timing or Timing(),
            warnings=(*warnings, *judgement.notes),
            error=error,
        )


def input_info(
    path: str | os.PathLike[str],
    info: VideoInfo | None = None,
    *,
    sha256: str | None = None,
    size: int | None = None,
    decoded: int = 0,
    analysed: int = 0,
) -> InputInfo:
    """What is known of an input, without ``info`` little more than its name; ``size`` in bytes."""
    names = path_names(path)
    of_stream: dict[str, Any] = {name: getattr(info, name, None) for name in _OF_STREAM}
    return InputInfo(
        path=names.path,
        path_raw=names.path_raw,
        sha256=sha256,
        bytes=size,
        frames_decoded=decoded,
        frames_analysed=analysed,
        **of_stream,
    )


def with_left_out(judgement: Judgement, left_out: int, followed: int) -> tuple[Judgement, tuple[Note, ...]]:
    """Says that faces were not examined: without them nothing can be said of the clip as a whole.

    ``left_out`` faces were seen beside the ``followed`` ones; 0 changes nothing.
    """
    if not left_out:
        return judgement, ()
    faces = f"{left_out} face{'s' * (left_out != 1)}"
    text = f"{faces} more than the {followed} that are followed at once were left out"
    verdict = judgement.verdict
    if LABEL_SEVERITY[verdict.label] < LABEL_SEVERITY["uncertain"]:
        reason = Reason("faces_left_out", text, None, None, None, 1.0)
        verdict = replace(verdict, label="uncertain", reasons=(reason,))
    return replace(judgement, verdict=verdict), (Note("faces_left_out", text),)


def error_report(
    path: str | os.PathLike[str],
    error: Exception,
    settings: ScanSettings,
    device: str,
    models: tuple[ModelRef, ...],
) -> Report:
    """The report of an input that could not be scanned; coded, with one line for a person."""
    if isinstance(error, InputError):
        info = ErrorInfo(error.code, str(error))  # type: ignore[arg-type]
    elif isinstance(error, MemoryError):
        info = ErrorInfo("out_of_memory", "not enough memory")
    else:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        info = ErrorInfo("internal", f"unexpected failure, please report it ({line})")
    thresholds = Thresholds(UNCERTAIN_SCORE, MANIPULATED_SCORE)
    verdict = Verdict("error", None, None, thresholds, Calibration(0, "", 0.0, None, None), ())
    nothing = Judgement(verdict, (), (), no_signals(), Quality(None, None, None, None))
    return Origin(settings, device, models).report(input_info(path), nothing, error=info)

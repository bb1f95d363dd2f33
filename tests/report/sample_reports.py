"""Reports made by hand, for tests of whatever handles reports."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from vidscan.paths import path_names
from vidscan.types import (
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
    Segment,
    Signal,
    Thresholds,
    Timing,
    ToolInfo,
    TrackReport,
    Verdict,
)
from vidscan.verdict.judge import no_signals

MODELS = (ModelRef("patches", "ab" * 32),)
_SCORES = {"no_manipulation_found": 0.1, "uncertain": 0.6, "manipulated": 0.9}


def sample(
    label: str = "no_manipulation_found",
    path: Any = "clip.mp4",
    *,
    settings: ScanSettings | None = None,
    sha256: str | None = "cd" * 32,
    error: ErrorInfo | None = None,
    models: tuple[ModelRef, ...] = MODELS,
) -> Report:
    """A whole report with the label; tracks, segments and reasons to match."""
    score = _SCORES.get(label)
    names = path_names(path)
    quality = Quality(120.0, 8.0, 110.0, 0.08)
    tracks, segments, reasons = (), (), ()
    if score is not None:
        tracks = (
            TrackReport(1, label, score, 0.01, 0.0, 12.5, 312, 120.0, quality),
            TrackReport(2, "no_manipulation_found", 0.05, 0.8, 1.0, 3.0, 50, 80.0, quality),
        )
    if label == "manipulated":
        segments = (Segment(1, 3.04, 75.26, 5.0, 0.95),)
        reasons = (Reason("patch", "Patches look generated", 1, 3.04, 75.26, 0.8),)
        quality = replace(quality, flags=(Note("small_face", "The face is small"),))
    signals = no_signals() | {"patch": Signal(score, "ok", 1.0, {"mean": 1 / 3, "p99": None})}
    return Report(
        schema_version=SCHEMA_VERSION,
        tool=ToolInfo("vidscan", "0.0.0"),
        models=models,
        device="cpu",
        settings=asdict(settings or ScanSettings()),
        input=InputInfo(
            names.path,
            names.path_raw,
            sha256,
            1000,
            "mp4",
            "h264",
            640,
            480,
            25.0,
            12.5,
            0,
            True,
            312,
            100,
            "pyav",
        ),
        verdict=Verdict(
            label,
            score,
            None if score is None else 0.01,
            Thresholds(0.5, 0.8),
            Calibration(50, "all", 0.01, 0.012, (0.0, 0.05)),
            reasons,
        ),
        tracks=tracks,
        segments=segments,
        signals=signals,
        person=None,
        frames=(),
        quality=quality,
        timing_s=Timing(total=1.5),
        warnings=(Note("truncated", "The file ends early"),) if label == "uncertain" else (),
        error=error,
    )


def with_frames(report: Report) -> Report:
    """The same with one frame."""
    return replace(report, frames=(FrameReport(0, 0.0, 1, (1.0, 2.0, 3.0, 4.5), 0.25, None),))

"""Files with a photo and a video in one: both are scanned, and the worse of the two is reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from vidscan.errors import InputError
from vidscan.media.motion_photo import embedded_video
from vidscan.media.sniff import sniff
from vidscan.sinks import FrameSink
from vidscan.types import LABEL_SEVERITY, Note, Report

Rest = TypeVar("Rest")
Run = Callable[[bool, FrameSink | None], tuple[Report, Rest]]
"""Scans one part, the video where True, with masks or without; the report and what belongs to it."""


def worse_part(path: str | os.PathLike[str], masks: FrameSink | None, run: Run[Rest]) -> tuple[Report, Rest]:
    """What ``run`` returns for the file, or for the worse part of a photo with a video behind it.

    Masks are made of the part that is reported only. The report says which it is in its warnings
    (``motion_photo``).
    """
    if not _has_video(path):
        return run(False, masks)
    photo, video = run(False, None), run(True, None)
    chosen = _rank(video[0]) > _rank(photo[0])
    report, rest = (video if chosen else photo) if masks is None else run(chosen, masks)
    other = (photo if chosen else video)[0]
    names = ("video", "photo") if chosen else ("photo", "video")
    said = other.verdict.label if other.error is None else f"error, {other.error.message}"
    note = Note(
        "motion_photo",
        f"a photo with a video behind it: this is told of the {names[0]}, the worse of the two "
        f"(the {names[1]}: {said})",
    )
    return replace(report, warnings=(*report.warnings, note)), rest


def _has_video(path: str | os.PathLike[str]) -> bool:
    try:
        return embedded_video(path, sniff(path)) is not None
    except (InputError, OSError):  # the scan will say so
        return False


def _rank(report: Report) -> tuple[bool, int, float]:
    return report.error is None, LABEL_SEVERITY[report.verdict.label], report.verdict.score or 0.0

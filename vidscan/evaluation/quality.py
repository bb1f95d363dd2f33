"""The quality gate on clips made poor: how often the verdict holds back, and what it says where it does not.

Genuine clips are cut to their first seconds and spoiled in one way each, at two strengths: a little, which
a verdict should survive, and too far. Face size and blur go by the size of the face in the clip, so
that they mean the same for every clip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.evaluation.scanning import Scanning, Scored, scan_reports
from vidscan.evaluation.statistics import Rate, rate
from vidscan.evaluation.tables import FALSE_ALARMS
from vidscan.evaluation.text import share
from vidscan.training.corpus import Entry, choose
from vidscan.training.derive import derive_all, derived_name, rewrite
from vidscan.types import Report

CLIPS = 30
"""Clips taken of the list, by :func:`vidscan.training.corpus.choose`."""
SUSPICIOUS = "looks suspicious"
"""Stands for the gate's code where a clip is uncertain for what it shows."""
_CRF = 18
_SECONDS = 5.0
"""Enough for behavior to be measured (four seconds), and a table in minutes."""


@dataclass(frozen=True, slots=True)
class Spoiling:
    """One way and strength of spoiling a clip.

    Attributes
    ----------
    face_px
        Size in pixels that the face is shrunk to; 0 leaves it.
    blur
        Sigma of a Gaussian, as a share of the face's size.
    light
        What gray levels are multiplied with.
    seconds
        Of the clip that are kept, from its start.
    crf
        Of the H.264 encode.
    """

    face_px: float = 0.0
    blur: float = 0.0
    light: float = 1.0
    seconds: float = _SECONDS
    crf: float = _CRF


UNSPOILT = "as they are"
SPOILINGS: dict[str, Spoiling] = {
    UNSPOILT: Spoiling(),
    "face 56 px": Spoiling(face_px=56),
    "face 44 px": Spoiling(face_px=44),
    "blur 2 %": Spoiling(blur=0.02),
    "blur 5 %": Spoiling(blur=0.05),
    "light 30 %": Spoiling(light=0.3),
    "light 15 %": Spoiling(light=0.15),
    "length 1 s": Spoiling(seconds=1.0),
    "length .3 s": Spoiling(seconds=0.3),
    "crf 40": Spoiling(crf=40),
    "crf 48": Spoiling(crf=48),
}
"""On either side of the limits that are the same for every model: 48 px, gray level 25 and half a second; and
blur and compression, whose limits are fitted, from strong to extreme."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What became of the clips that were spoiled in one way."""

    name: str
    false_alarms: Rate
    """Labelled ``manipulated``."""
    uncertain: int
    why: dict[str, int]
    """Of the uncertain ones, how many have each of the gate's codes, or :data:`SUSPICIOUS`; a clip may have
    several codes."""
    nothing_found: int
    faceless: int
    failed: int
    """Could not be made or scanned."""


@dataclass(frozen=True, slots=True)
class Spoilt:
    """One clip to be spoiled."""

    source: Path
    target: Path
    name: str
    face_px: float
    """Size of the face in the source, pixels."""


def spoil_frame(image: NDArray[np.uint8], spoiling: Spoiling, face_px: float) -> NDArray[np.uint8]:
    """One frame, (H, W, 3) RGB uint8, spoiled; sides become even, for the encoder, where it is shrunk.

    ``face_px`` is the face's size in it. Nothing is ever enlarged.
    """
    scale = min(1.0, spoiling.face_px / face_px) if spoiling.face_px else 1.0
    if scale < 1:
        height, width = (max(2, 2 * round(side * scale / 2)) for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if spoiling.blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), spoiling.blur * face_px), np.uint8)
    if spoiling.light != 1:
        image = np.rint(image * np.float32(spoiling.light)).astype(np.uint8)
    return image


def spoil(task: Spoilt) -> None:
    """Write the spoiled clip, as H.264 with its frames' times; raises InputError where it cannot be read."""
    how = SPOILINGS[task.name]
    rewrite(
        task.source,
        task.target,
        lambda image, _: spoil_frame(image, how, task.face_px),
        crf=how.crf,
        max_duration_s=how.seconds,
    )


def quality(
    corpus: Path,
    scored: Sequence[Scored],
    listed: Sequence[Entry],
    out: Path,
    how: Scanning,
    stage: Callable[[str, int], Callable[[], None]],
) -> tuple[Gate, ...]:
    """Spoil, scan and count; spoiled clips go to ``out/derived/quality``.

    Parameters
    ----------
    scored
        The split's clips as they are, which tell how large the faces are.
    listed
        Genuine clips to choose from; those in which a face was found.
    stage
        Called with what comes next and of how many files; returns what is called after each.

    Raises
    ------
    SetupError
        Where no face was found in any of the listed clips.
    """
    sizes = {s.entry.file: s.face_px for s in scored if s.face_px}
    chosen = choose([e for e in listed if e.file in sizes], CLIPS)
    if not chosen:
        raise SetupError("the quality gate needs listed genuine clips in which a face is found")
    folder = out / "derived" / "quality"
    tasks = [
        Spoilt(source, folder / derived_name(source, name), name, sizes[entry.file])
        for entry in chosen
        for source in [corpus / entry.file]
        for name in SPOILINGS
    ]
    failures = derive_all(spoil, tasks, jobs=how.jobs, advance=stage("spoiling clips", len(tasks)))
    made = [task.target for task in tasks if task.target not in failures]
    reports = scan_reports(made, out / "quality.jsonl", how, stage("scanning spoiled clips", len(made)))
    return tabulate({n: [reports.get(t.target) for t in tasks if t.name == n] for n in SPOILINGS})


def tabulate(reports: dict[str, list[Report | None]]) -> tuple[Gate, ...]:
    """A row for each way of spoiling; None is a clip that could not be made."""
    return tuple(_row(name, own) for name, own in reports.items())


def _row(name: str, reports: Sequence[Report | None]) -> Gate:
    labels = Counter("error" if r is None else r.verdict.label for r in reports)
    why = Counter(code for r in reports if r and r.verdict.label == "uncertain" for code in _codes(r))
    return Gate(
        name=name,
        false_alarms=rate(
            FALSE_ALARMS, [r is not None and r.verdict.label == "manipulated" for r in reports]
        ),
        uncertain=labels["uncertain"],
        why=dict(why.most_common()),
        nothing_found=labels["no_manipulation_found"],
        faceless=labels["no_face"],
        failed=labels["error"],
    )


def _codes(report: Report) -> Iterable[str]:
    return {flag.code for flag in report.quality.flags} or {SUSPICIOUS}


def table(rows: Sequence[Gate]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a Markdown table."""
    heads = [
        "clips are",
        "clips",
        "manipulated",
        "95 % interval",
        "uncertain",
        "why",
        "nothing found",
        "no face",
    ]
    return heads, [
        [
            row.name + (f" ({row.failed} not scanned)" if row.failed else ""),
            str(row.false_alarms.of),
            *share(row.false_alarms),
            _share(row.uncertain, row),
            ", ".join(f"{code} {count}" for code, count in row.why.items()) or "-",
            _share(row.nothing_found, row),
            _share(row.faceless, row),
        ]
        for row in rows
    ]


def _share(count: int, row: Gate) -> str:
    return f"{count / max(row.false_alarms.of, 1):.1%}"

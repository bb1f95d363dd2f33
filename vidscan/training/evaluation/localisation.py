"""Where in the frame a forgery is seen: clips that we forge, with exact masks, against the pipeline's.

Genuine clips of the split with faces of 80 px or more are forged for three seconds and encoded at
crf 20. Kinds of :data:`vidscan.forge.base.HELD_OUT` are made of every clip, three of the others of each
clip in turn. Kinds that the model's record does not name in its training mix are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.errors import NoFaceError, SetupError
from vidscan.forge.base import HELD_OUT
from vidscan.forge.clip import ClipForger, Plan
from vidscan.forge.kinds import KINDS, Kind
from vidscan.media import VideoWriter
from vidscan.training.corpus import Entry
from vidscan.training.evaluation.derive import FPS, derive_all, derived_name
from vidscan.training.evaluation.mask_scores import MaskScores, load_scores, save_exact_masks, scores_path
from vidscan.training.evaluation.scanning import Scanning, Scored
from vidscan.training.evaluation.statistics import Interval, Sample, mean_interval
from vidscan.training.evaluation.subset import choose, hashed

CLIPS = 40
SECONDS = 3.0
_LEAST_FACE_PX = 80.0
_CRF = 20
_TURNS = 3
"""Kinds that are not held out get their turn in so many forgeries of a clip."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over clips; its interval draws people. None where no clip has a value."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Localisation:
    """One kind of forgery, or several."""

    name: str
    held_out: bool
    """Not in the mix that the model was trained on, as its registry record says."""
    clips: int
    iou: Mean
    """At probability .5, over the whole frame."""
    face_auc: Mean | None
    """Over the pixels of the face's network crop."""
    frame_auc: Mean | None
    """Over the pixels of the whole frame."""
    pointing: Mean
    """How often the hottest pixel is forged."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """One forged clip to be made."""

    source: Path
    target: Path
    kind: str
    donor: Path | None
    person: str


def forge(task: Forgery) -> None:
    """Write the forged clip and its exact masks.

    Raises NoFaceError where the face is not seen in time.
    """
    plan = Plan(Kind(task.kind), seed=hashed(task.target.name) % 2**31, donor=task.donor)
    forger = ClipForger(task.source, plan)
    masks = []
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        for frame in forger.frames():
            if frame.time_s >= SECONDS:
                break
            if writer is None:
                height, width = frame.image.shape[:2]
                fps = forger.info.fps or FPS
                writer = stack.enter_context(VideoWriter(task.target, width, height, fps=fps, crf=_CRF))
            writer.write(frame.image, frame.time_s)
            masks.append(frame.mask)
        if not any(mask.any() for mask in masks):
            raise NoFaceError(f"{task.source}: nothing forged in the first {SECONDS:g} seconds")
        # The clip appears under its name last: where it is, its masks are.
        save_exact_masks(task.target, masks)


def plan_forgeries(corpus: Path, scored: Sequence[Scored], folder: Path) -> list[Forgery]:
    """Which forged clips there are to be.

    Raises SetupError where fewer than two people have a face that is large enough.
    """
    large = [s.entry for s in scored if s.entry.genuine and (s.face_px or 0) >= _LEAST_FACE_PX]
    chosen = choose(large, CLIPS)
    if len({entry.identity for entry in chosen}) < 2:
        raise SetupError(
            f"localisation needs genuine clips of two people whose faces have {_LEAST_FACE_PX:g} px or more"
        )
    kinds = [kind for kind, about in KINDS.items() if not about.whole_frame]
    common = [kind for kind in kinds if kind.value not in HELD_OUT]
    rare = [kind for kind in kinds if kind.value in HELD_OUT]
    tasks = []
    for number, entry in enumerate(chosen):
        turns = dict.fromkeys(common[(_TURNS * number + turn) % len(common)] for turn in range(_TURNS))
        for kind in [*turns, *rare]:
            source = corpus / entry.file
            donor = corpus / _donor(chosen, number).file if KINDS[kind].donor else None
            target = folder / derived_name(source, kind.value)
            tasks.append(Forgery(source, target, kind.value, donor, entry.identity))
    return tasks


def _donor(entries: Sequence[Entry], number: int) -> Entry:
    """Another person's clip, half the list away or soon after."""
    turned = [*entries[number:], *entries[:number]]
    middle = len(turned) // 2
    order = [*turned[middle:], *turned[1:middle]]
    return next(entry for entry in order if entry.identity != entries[number].identity)


def localisation(
    corpus: Path,
    scored: Sequence[Scored],
    out: Path,
    how: Scanning,
    record: dict[str, Any],
    stage: Callable[[str, int], Callable[[], None]],
) -> tuple[Localisation, ...]:
    """Forge, scan with masks, compare; forged clips go to ``out/derived/localisation``.

    ``record`` is the patch model's registry record; ``stage`` is called with what comes next and of how
    many files, and returns what to call after each.
    """
    tasks = plan_forgeries(corpus, scored, out / "derived" / "localisation")
    failures = derive_all(forge, tasks, jobs=how.jobs, advance=stage("forging clips", len(tasks)))
    tasks = [task for task in tasks if task.target not in failures]
    if not tasks:
        raise SetupError("localisation: none of the clips could be forged")
    scores = scan_masks([task.target for task in tasks], how, stage("comparing masks", len(tasks)))
    mix = ((record.get("recipe") or {}).get("pairs") or {}).get("mix") or {}
    return tabulate([(task.kind, task.person, scores[task.target]) for task in tasks], set(mix))


def scan_masks(clips: Sequence[Path], how: Scanning, advance: Callable[[], None]) -> dict[Path, MaskScores]:
    """Scan clips that have exact masks beside them; scores are kept there by models and settings."""
    spec = ScannerSpec(
        settings=how.settings,
        device=how.device,
        factory="vidscan.training.evaluation.mask_scores:MaskScanner",
    )
    with LocalEngine(spec, jobs=how.jobs) as engine:
        identity = engine.start()
        places = {clip: scores_path(clip, identity) for clip in clips}
        missing = [clip for clip, place in places.items() if not place.exists()]
        for _ in range(len(places) - len(missing)):
            advance()
        for _ in engine.scan(map(Job, missing), expected=len(missing)):
            advance()
    return {clip: load_scores(place) for clip, place in places.items()}


def tabulate(
    scores: Sequence[tuple[str, str, MaskScores]], mix: set[str], seed: int = 0
) -> tuple[Localisation, ...]:
    """Rows by kind, those of training first, after each group its sum.

    ``scores`` has kind, person and scores of each clip; ``mix`` names the kinds trained on.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for held_out, title in ((False, "all kinds trained on"), (True, "all kinds held out of training")):
        group = [item for item in scores if (item[0] not in mix) == held_out]
        rows += [
            _row(kind, held_out, [item for item in group if item[0] == kind], rng)
            for kind in sorted({kind for kind, _, _ in group})
        ]
        if group:
            rows.append(_row(title, held_out, group, rng))
    return tuple(rows)


def _row(
    name: str, held_out: bool, scores: Sequence[tuple[str, str, MaskScores]], rng: np.random.Generator
) -> Localisation:
    def mean(pairs: Sequence[tuple[str, float | None]]) -> Mean | None:
        known = [(person, value) for person, value in pairs if value is not None]
        if not known:
            return None
        values = np.array([value for _, value in known])
        return Mean(float(values.mean()), mean_interval(Sample(values, [p for p, _ in known]), rng))

    iou = mean([(person, own.iou) for _, person, own in scores])
    hits = mean([(person, own.pointing) for _, person, own in scores])
    assert iou is not None and hits is not None  # these every clip has
    return Localisation(
        name=name,
        held_out=held_out,
        clips=len(scores),
        iou=iou,
        face_auc=mean([(person, own.face_auc) for _, person, own in scores]),
        frame_auc=mean([(person, own.frame_auc) for _, person, own in scores]),
        pointing=hits,
    )

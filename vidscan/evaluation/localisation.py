"""Where in the frame a forgery is seen: clips that we forge, with exact masks, against the pipeline's.

Genuine clips of the split with faces of 80 px or more are forged for three seconds and encoded at
crf 20. Kinds of :data:`vidscan.forge.base.HELD_OUT` are made of every clip, three of the others of each
clip in turn. Kinds that the model's record does not name in its training mix are told apart, and so are
small regions and large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.batch.engine import Job, ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.digests import hashed
from vidscan.errors import NoFaceError, SetupError
from vidscan.evaluation.mask_scores import (
    MaskScores,
    load_scores,
    region_px,
    save_exact_masks,
    scores_path,
)
from vidscan.evaluation.scanning import Scanning, Scored
from vidscan.evaluation.statistics import Mean, Sample, mean_of
from vidscan.evaluation.text import with_span
from vidscan.forge.base import HELD_OUT
from vidscan.forge.clip import ClipForger, Plan
from vidscan.forge.kinds import KINDS, Kind
from vidscan.markdown import table
from vidscan.training.corpus import Entry, choose
from vidscan.training.derive import derive_all, derived_name, write_clip

CLIPS = 40
SECONDS = 3.0
_LEAST_FACE_PX = 80.0
_CRF = 20
_TURNS = 3
"""Kinds that are not held out get their turn in so many forgeries of a clip."""
SIZES = (
    ("regions under 40 px", 0.0, 40.0),
    ("regions of 40 to 80 px", 40.0, 80.0),
    ("regions of 80 px and more", 80.0, np.inf),
)
"""Name, and sides in pixels of the frame: from, and up to but without."""


@dataclass(frozen=True, slots=True)
class Localisation:
    """One kind of forgery, one size of region, or several."""

    name: str
    held_out: bool
    """Not in the mix that the model was trained on, as its registry record says."""
    clips: int
    region_px: float
    """Side of a square as large as the region that was forged, in pixels of the frame; mean over clips."""
    iou: Mean
    """At probability .5, over the whole frame."""
    face_auc: Mean | None
    """Over the pixels of the face's network crop; None where no clip has a value, as below."""
    frame_auc: Mean | None
    """Over the pixels of the whole frame."""
    pointing: Mean
    """How often the hottest pixel is forged."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One clip whose masks were compared with the exact ones."""

    kind: str
    person: str
    region_px: float
    """As in :class:`Localisation`."""
    scores: MaskScores


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
    forger = ClipForger(task.source, plan, max_duration_s=SECONDS)

    def frames() -> Iterator[tuple[NDArray[np.uint8], float]]:
        masks = []
        for frame in forger.frames():
            yield frame.image, frame.time_s
            masks.append(frame.mask)
        if not any(mask.any() for mask in masks):
            raise NoFaceError(f"{task.source}: nothing forged in the first {SECONDS:g} seconds")
        # The clip appears under its name last: where it is, its masks are.
        save_exact_masks(task.target, masks)

    write_clip(task.target, frames(), fps=forger.info.fps, crf=_CRF)


def plan_forgeries(corpus: Path, scored: Sequence[Scored], folder: Path) -> list[Forgery]:
    """Which forged clips there are to be.

    Raises SetupError where fewer than two people have a face that is large enough.
    """
    large = [s.entry for s in scored if s.entry.genuine and (s.face_px or 0) >= _LEAST_FACE_PX]
    chosen = choose(large, CLIPS)
    if len({entry.identity for entry in chosen}) < 2:
        raise SetupError(
            f"localization needs genuine clips of two people whose faces have {_LEAST_FACE_PX:g} px or more"
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

    ``record`` is the registry record of the model whose masks these are; ``stage`` is called with what comes
    next and of how many files, and returns what to call after each.
    """
    tasks = plan_forgeries(corpus, scored, out / "derived" / "localisation")
    failures = derive_all(forge, tasks, jobs=how.jobs, advance=stage("forging clips", len(tasks)))
    tasks = [task for task in tasks if task.target not in failures]
    if not tasks:
        raise SetupError("localization: none of the clips could be forged")
    scores = scan_masks([task.target for task in tasks], how, stage("comparing masks", len(tasks)))
    mix = ((record.get("recipe") or {}).get("pairs") or {}).get("mix") or {}
    return tabulate(
        [Compared(t.kind, t.person, region_px(t.target), scores[t.target]) for t in tasks], set(mix)
    )


def scan_masks(clips: Sequence[Path], how: Scanning, advance: Callable[[], None]) -> dict[Path, MaskScores]:
    """Scan clips that have exact masks beside them; scores are kept there by models and settings."""
    spec = ScannerSpec(
        settings=how.settings,
        device=how.device,
        factory="vidscan.evaluation.mask_scores:MaskScanner",
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


def tabulate(clips: Sequence[Compared], mix: set[str], seed: int = 0) -> tuple[Localisation, ...]:
    """Rows by kind and by size of region, those of training first, after each group its sum.

    ``mix`` names the kinds trained on.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for held_out, title in ((False, "all kinds trained on"), (True, "all kinds held out of training")):
        group = [clip for clip in clips if (clip.kind not in mix) == held_out]
        parts = [
            (kind, [clip for clip in group if clip.kind == kind])
            for kind in sorted({clip.kind for clip in group})
        ]
        parts += [
            (name, [clip for clip in group if low <= clip.region_px < high]) for name, low, high in SIZES
        ]
        rows += [row(name, held_out, own, rng) for name, own in (*parts, (title, group)) if own]
    return tuple(rows)


def row(name: str, held_out: bool, clips: Sequence[Compared], rng: np.random.Generator) -> Localisation:
    """Means over some clips, at least one."""

    def mean(values: Sequence[float | None]) -> Mean | None:
        known = [(clip.person, v) for clip, v in zip(clips, values, strict=True) if v is not None]
        if not known:
            return None
        return mean_of(Sample(np.array([v for _, v in known]), [person for person, _ in known]), rng)

    iou = mean([clip.scores.iou for clip in clips])
    hits = mean([clip.scores.pointing for clip in clips])
    assert iou is not None and hits is not None  # these every clip has
    return Localisation(
        name=name,
        held_out=held_out,
        clips=len(clips),
        region_px=float(np.mean([clip.region_px for clip in clips])),
        iou=iou,
        face_auc=mean([clip.scores.face_auc for clip in clips]),
        frame_auc=mean([clip.scores.frame_auc for clip in clips]),
        pointing=hits,
    )


def markdown(rows: Sequence[Localisation]) -> list[str]:
    """Lines of a table for kinds trained on, and of one for kinds held out."""
    lines = []
    for held_out, title in ((False, "trained on"), (True, "held out of training")):
        if group := [row for row in rows if row.held_out == held_out]:
            lines += [*masks_table(f"forgery, {title}", group), ""]
    return lines[:-1]


def masks_table(title: str, rows: Sequence[Localisation]) -> list[str]:
    """Lines of one table."""
    heads = ("clips", "region", "IoU at .5", "pixel AUC, face", "pixel AUC, frame", "hottest pixel forged")
    lines = []
    for row in rows:
        means = (row.iou, row.face_auc, row.frame_auc, row.pointing)
        cells = ["-" if mean is None else with_span(mean.value, mean.interval) for mean in means]
        lines.append([row.name, str(row.clips), f"{row.region_px:.0f} px", *cells])
    return table((title, *heads), lines)

"""The whole verdict on train clips whose sources it never saw: what its picture evidence is chosen by.

Each fifth of train (:mod:`vidscan.training.sources`) is read by heads of the encoder that never saw it
(:mod:`vidscan.training.unseen`) and judged by a one-class model of the genuine clips of the other four. The
patch classifier, which is one for all, has seen some of the forgeries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vidscan.evaluation.scanning import BELOW_ALL, Scanning
from vidscan.evaluation.verdict import gather, only
from vidscan.models import load_registry
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.evidence import ClipEvidence
from vidscan.training.figures import Figures, figures
from vidscan.training.unseen import parts_unseen
from vidscan.training.verdict import (
    VerdictRecipe,
    by_person,
    clip_statistic,
    fit_statistic,
    quality_limits,
)

SPAN_S = 2.5
"""So much of every clip is looked at. Forged clips of train are shorter than genuine ones, and whatever is
measured over a clip tells how long it is (docs/experiments.md). Behavior is not measured in so little."""


def read_clips(
    corpus: Path, out: Path, how: Scanning, stage: Callable[[str, int], Callable[[], None]]
) -> tuple[list[Entry], dict[str, ClipEvidence], dict[str, int]]:
    """Train's clips, their evidence, gathered once in ``out``, and the part that each is in, by file.

    Nothing where the weights have no encoder.
    """
    parts = parts_unseen(corpus, load_registry())
    entries = [e for e in read_manifest(corpus) if e.kind == "video" and e.file in parts]
    advance = stage("gathering evidence of sources never seen", len(entries))
    short = replace(how, settings=replace(how.settings, max_duration_s=SPAN_S))
    clips = gather(corpus, entries, out, short, advance, parts)
    return [e for e in entries if e.file in clips], clips, parts


def variants() -> dict[str, VerdictRecipe]:
    """What is compared, by name."""
    return {
        "all groups": VerdictRecipe(),
        "patches alone": only(["patch"]),
        "encoder alone": only(["encoder"]),
        "all, quality not taken off": VerdictRecipe(normalise_quality=False),
    }


def evaluate_unseen(
    entries: Sequence[Entry], clips: Mapping[str, ClipEvidence], parts: Mapping[str, int], seed: int = 0
) -> dict[str, Figures]:
    """Figures of each of :func:`variants`; none where no clip was read."""
    return {
        name: figures(entries, unseen_values(entries, clips, parts, recipe), seed)
        for name, recipe in variants().items()
        if entries
    }


def unseen_values(
    entries: Sequence[Entry],
    clips: Mapping[str, ClipEvidence],
    parts: Mapping[str, int],
    recipe: VerdictRecipe,
) -> dict[str, float]:
    """The statistic of every clip, by file, from a model that the genuine clips of other parts teach."""
    found = {}
    for part in sorted(set(parts.values())):
        people = by_person([e for e in entries if e.genuine and parts[e.file] != part], clips)
        genuine = [clip for own in people.values() for clip in own]
        fitted = fit_statistic(genuine, genuine, recipe)
        limits = quality_limits(people, recipe)
        for entry in entries:
            if parts[entry.file] == part:
                charge = clip_statistic(fitted, clips[entry.file], limits)
                found[entry.file] = BELOW_ALL if charge is None else charge.value
    return found

"""Where in the frame a published generator's fake is seen, judged by the clip that it was made of.

Forged clips of the split whose genuine footage is in the corpus too (``same_footage``) are scanned as they
are; the masks that they are compared with are the difference of the two clips
(:mod:`vidscan.evaluation.difference`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidscan.evaluation.difference import difference_masks
from vidscan.evaluation.localisation import Compared, Localisation, masks_table, row, scan_masks
from vidscan.evaluation.mask_scores import region_px, save_exact_masks
from vidscan.evaluation.scanning import Scanning, Scored
from vidscan.markdown import table
from vidscan.outputs import Replacement
from vidscan.training.corpus import Entry
from vidscan.training.derive import derive_all, derived_name

ALL = "all pairs"


@dataclass(frozen=True, slots=True)
class Footage:
    """Localisation on same-footage pairs."""

    rows: tuple[Localisation, ...]
    """By method, then all; empty where no pair could be used."""
    left_out: dict[str, str]
    """Forged files whose difference to their footage has no place, and why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A forged clip of the corpus, its footage, and where its copy with masks goes."""

    forged: Path
    genuine: Path
    target: Path
    entry: Entry


def copy_with_masks(pair: Pair) -> None:
    """Put a copy of the forged clip beside its exact masks.

    Raises InputError where the two clips cannot be compared.
    """
    save_exact_masks(pair.target, difference_masks(pair.forged, pair.genuine))
    # The clip appears under its name last: where it is, its masks are.
    with Replacement(pair.target) as part:
        shutil.copyfile(pair.forged, part.path)


def plan_pairs(corpus: Path, entries: Sequence[Entry], folder: Path) -> list[Pair]:
    """The videos among ``entries`` that share the footage of another of them."""
    files = {entry.file for entry in entries}
    pairs = []
    for entry in entries:
        if entry.kind == "video" and entry.pairing == "same_footage" and entry.pair in files:
            forged, genuine = corpus / entry.file, corpus / entry.pair
            pairs.append(Pair(forged, genuine, folder / derived_name(forged, genuine.stem), entry))
    return pairs


def footage(
    corpus: Path,
    scored: Sequence[Scored],
    out: Path,
    how: Scanning,
    stage: Callable[[str, int], Callable[[], None]],
) -> Footage | None:
    """Compare the masks of every same-footage fake; copies go to ``out/derived/footage``.

    None where the split has no such pair. ``stage`` is as in :func:`.localisation.localisation`.
    """
    pairs = plan_pairs(corpus, [s.entry for s in scored], out / "derived" / "footage")
    if not pairs:
        return None
    failures = derive_all(
        copy_with_masks, pairs, jobs=how.jobs, advance=stage("comparing footage", len(pairs))
    )
    left_out = {pair.entry.file: failures[pair.target] for pair in pairs if pair.target in failures}
    pairs = [pair for pair in pairs if pair.target not in failures]
    scores = scan_masks([pair.target for pair in pairs], how, stage("comparing masks", len(pairs)))
    clips = [Compared(p.entry.method, p.entry.identity, region_px(p.target), scores[p.target]) for p in pairs]
    rng = np.random.default_rng(0)
    unseen = all(pair.entry.split != "train" for pair in pairs)
    groups = [(m, [c for c in clips if c.kind == m]) for m in sorted({c.kind for c in clips})]
    rows = tuple(row(name, unseen, own, rng) for name, own in (*groups, (ALL, clips)) if own)
    return Footage(rows, left_out)


def markdown(found: Footage) -> list[str]:
    """Lines of the table by method, and of the pairs that were left out."""
    lines = masks_table("forged by", found.rows) if found.rows else []
    if found.left_out:
        heads = ("left out: the change has no place", "why")
        lines += ["", *table(heads, sorted(found.left_out.items()))]
    return lines

"""Full synthesis: generators whose pictures training may have seen, judged where it did not.

The dev split has no fully synthetic faces. The train split has, and a model that was trained without
their methods (``leave_out`` of its recipe) can be judged on them, against pictures of genuine people
that no gradient saw. For any other model the numbers are printed, and marked as no measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidscan.errors import SetupError
from vidscan.evaluation.scanning import Scanning, load_split, scan_corpus
from vidscan.evaluation.tables import ROW_HEADS, Row, row, row_cells
from vidscan.markdown import table
from vidscan.training.corpus import Entry

FULL_SYNTHESIS = ("InterFaceGAN", "StyleGAN2-inversion")
"""Methods of the train split whose pictures a generator made from the first pixel to the last."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Pictures of one method against pictures of genuine people held out of training."""

    row: Row
    measurement: bool
    """False where the model was trained on the method, or its record does not say that it was not."""


def unseen_methods(record: dict[str, Any], methods: Sequence[str]) -> set[str]:
    """Those of ``methods`` that a patch model was trained without, as its registry record says."""
    pairs = (record.get("recipe") or {}).get("pairs")
    if pairs is None:
        return set()
    return set(methods) if pairs.get("third_party") == 0 else set(methods) & set(pairs.get("leave_out", ()))


def left_out(
    corpus: Path,
    out: Path,
    how: Scanning,
    record: dict[str, Any],
    stage: Callable[[str, int], Callable[[], None]],
    seed: int = 0,
) -> tuple[LeftOut, ...]:
    """Scan the pictures and tabulate them by method, and all methods together.

    Raises SetupError where the train split lacks a side.
    """
    entries = load_split(corpus, "train")
    genuine = [e for e in entries if e.genuine and e.held_out and e.kind != "video"]
    forged = [e for e in entries if e.method in FULL_SYNTHESIS and e.kind != "video"]
    if not genuine or not forged:
        raise SetupError(
            f"the train split of {corpus} lacks pictures by {' or '.join(FULL_SYNTHESIS)}, "
            "or of held-out genuine people"
        )
    chosen: list[Entry] = genuine + forged
    scored, _ = scan_corpus(
        corpus, chosen, out / "left_out.jsonl", how, stage("scanning train pictures", len(chosen))
    )
    originals, fakes = scored[: len(genuine)], scored[len(genuine) :]
    groups = {name: [s for s in fakes if s.entry.method == name] for name in FULL_SYNTHESIS}
    groups = {name: clips for name, clips in groups.items() if clips}
    unseen = unseen_methods(record, FULL_SYNTHESIS)
    rng = np.random.default_rng(seed)
    rows = [LeftOut(row(name, originals, clips, rng), name in unseen) for name, clips in groups.items()]
    together = row("full synthesis", originals, fakes, rng)
    return (*rows, LeftOut(together, set(groups) <= unseen))


def markdown(rows: Sequence[LeftOut]) -> list[str]:
    """Lines of the table."""
    heads = ("pictures by", *ROW_HEADS, "measurement")
    lines = table(heads, [[r.row.name, *row_cells(r.row), "yes" if r.measurement else "no"] for r in rows])
    if not all(r.measurement for r in rows):
        lines += ["", "no: the model was trained on these methods: not a measurement of what it does unseen."]
    return lines

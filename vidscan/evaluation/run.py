"""Everything ``vidscan evaluate`` does, part by part; each goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidscan.evaluation.footage import Footage, footage
from vidscan.evaluation.heatmaps import Heatmaps, heatmaps
from vidscan.evaluation.innocent import innocent
from vidscan.evaluation.localisation import Localisation, localisation
from vidscan.evaluation.quality import Gate, quality
from vidscan.evaluation.robustness import Robustness, robustness
from vidscan.evaluation.scanning import Scanning, Scored, load_split, scan_corpus
from vidscan.evaluation.statistics import Rate
from vidscan.evaluation.subset import read_subset
from vidscan.evaluation.tables import Evaluation, evaluate
from vidscan.models import load_registry


@dataclass(frozen=True, slots=True)
class Parts:
    """What is done beside the tables of the split."""

    robustness: bool = False
    subset: Path | None = None
    """List of the genuine clips for robustness and quality; None is the shipped one."""
    quality: bool = False
    innocent: bool = False
    localisation: bool = False
    heatmaps: bool = False


@dataclass(frozen=True, slots=True)
class Results:
    """What was found; parts that were not run are empty."""

    tables: Evaluation
    robustness: tuple[Robustness, ...] = ()
    quality: tuple[Gate, ...] = ()
    innocent: tuple[Rate, ...] = ()
    localisation: tuple[Localisation, ...] = ()
    footage: Footage | None = None
    heatmaps: Heatmaps | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the tables' fields, and a list for each part that was run."""
        parts = asdict(self)
        return {**parts.pop("tables"), **{name: rows for name, rows in parts.items() if rows}}


def run_evaluation(
    corpus: Path,
    split: str,
    out: Path,
    how: Scanning,
    parts: Parts,
    stage: Callable[[str, int], Callable[[], None]],
) -> tuple[Results, list[Scored]]:
    """Scan a split and tabulate it, then do the other parts asked for.

    Parameters
    ----------
    corpus
        Folder with ``manifest.csv``.
    out
        Keeps scans, and derived clips in ``derived``; what is there is not made again.
    stage
        Called with what comes next and of how many files; returns what is called after each.

    Raises
    ------
    SetupError
        Where the corpus lacks what a part needs.
    """
    entries = load_split(corpus, split)
    listed = read_subset(parts.subset, entries) if parts.robustness or parts.quality else []
    files = [e.file for e in listed]
    scored, models = scan_corpus(
        corpus, entries, out / f"{split}.jsonl", how, stage(f"scanning {split}", len(entries))
    )
    tables = evaluate(scored, models, split)
    record = load_registry().get("patches", how.settings.patch_model).settings
    results = Results(
        tables=tables,
        robustness=robustness(corpus, scored, files, out, how, stage) if parts.robustness else (),
        quality=quality(corpus, scored, listed, out, how, stage) if parts.quality else (),
        innocent=innocent(corpus, scored, out, how, stage) if parts.innocent else (),
        localisation=localisation(corpus, scored, out, how, record, stage) if parts.localisation else (),
        footage=footage(corpus, scored, out, how, stage) if parts.localisation else None,
        heatmaps=heatmaps(corpus, scored, out, how, stage) if parts.heatmaps else None,
    )
    return results, scored

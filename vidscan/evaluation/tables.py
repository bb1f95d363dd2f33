"""The tables of a scanned split: per method and family, same footage, and rates at the thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_curve

from vidscan.errors import SetupError
from vidscan.evaluation.scanning import BELOW_ALL, Scored, sample
from vidscan.evaluation.statistics import Interval, Rate, auc_interval, rate, recorded
from vidscan.evaluation.text import rate_table, span
from vidscan.markdown import table
from vidscan.models import load_registry, update_record
from vidscan.training import corpus
from vidscan.training.corpus import by_method
from vidscan.training.figures import Figures, figures
from vidscan.training.figures import markdown as figures_table
from vidscan.training.transfer import auc
from vidscan.types import ModelRef

FALSE_ALARMS = "genuine clips labeled manipulated"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: forged clips of one group against the genuine clips."""

    name: str
    forged: int
    genuine: int
    auc: float
    interval: Interval
    average_precision: float
    tpr_at_1: float
    tpr_at_5: float
    flagged: float
    """Share labeled ``manipulated`` at the shipped threshold."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The tables of one split."""

    corpus_split: str
    models: tuple[ModelRef, ...]
    rows: tuple[Row, ...]
    rates: tuple[Rate, ...]
    errors: dict[str, str]
    figures: Figures
    """Forged clips against genuine ones of their own source, and against all; methods weighed alike."""


def evaluate(scored: Sequence[Scored], models: tuple[ModelRef, ...], split: str, seed: int = 0) -> Evaluation:
    """Tables of AUC, AP and rates for scanned clips.

    Raises SetupError where a side is missing.
    """
    genuine = [s for s in scored if s.entry.genuine]
    forged = [s for s in scored if not s.entry.genuine]
    if not genuine or not forged:
        raise SetupError("an evaluation needs genuine and forged clips")
    groups = forged_groups(forged)
    rng = np.random.default_rng(seed)
    rows = []
    pairs = same_footage(scored)
    if pairs:
        rows.append(row("same footage", *pairs, rng))
    rows.append(_mean_row([name for name in groups if name.startswith("method ")], groups, genuine, rng))
    rows += [row(name, genuine, clips, rng) for name, clips in groups.items()]
    rows.append(row("all", genuine, forged, rng))
    rates = (
        rate("genuine clips with a face found", [s.label != "no_face" and not s.error for s in genuine]),
        rate(FALSE_ALARMS, flags(genuine)),
        rate("genuine clips labeled manipulated or uncertain", doubts(genuine)),
        rate("forged clips labeled manipulated", flags(forged)),
        rate("forged clips labeled manipulated or uncertain", doubts(forged)),
    )
    errors = {s.entry.file: s.error for s in scored if s.error}
    found = figures(
        [s.entry for s in scored], {s.entry.file: max(s.statistic, BELOW_ALL) for s in scored}, seed
    )
    return Evaluation(split, models, tuple(rows), rates, errors, found)


def flags(clips: Sequence[Scored]) -> list[bool]:
    """Which clips are labeled ``manipulated``."""
    return [s.label == "manipulated" for s in clips]


def doubts(clips: Sequence[Scored]) -> list[bool]:
    """Which clips are labeled ``manipulated`` or ``uncertain``."""
    return [s.label in ("manipulated", "uncertain") for s in clips]


def forged_groups(forged: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Forged clips by family, then by method (small methods pooled by family)."""
    by_file = {s.entry.file: s for s in forged}
    families = {
        f"family {name}": [s for s in forged if s.entry.family == name]
        for name in sorted({s.entry.family for s in forged})
    }
    methods = {
        f"method {name}": [by_file[e.file] for e in own]
        for name, own in by_method([s.entry for s in forged]).items()
    }
    return families | dict(sorted(methods.items()))


def same_footage(scored: Sequence[Scored]) -> tuple[list[Scored], list[Scored]] | None:
    """Genuine and forged sides of the pairs that share their footage; None where there are none."""
    by_file = {s.entry.file: s for s in scored}
    originals, forged = (
        [by_file[e.file] for e in side] for side in corpus.same_footage([s.entry for s in scored])
    )
    return (originals, forged) if forged else None


def row(name: str, genuine: Sequence[Scored], forged: Sequence[Scored], rng: np.random.Generator) -> Row:
    """One group of forged clips against the genuine ones."""
    g, f = sample(genuine), sample(forged)
    labels, values = np.r_[np.zeros(len(g)), np.ones(len(f))], np.r_[g.values, f.values]
    fpr, tpr, _ = roc_curve(labels, values)
    return Row(
        name=name,
        forged=len(f),
        genuine=len(g),
        auc=auc(g.values, f.values),
        interval=auc_interval(g, [f], rng),
        average_precision=float(average_precision_score(labels, values)),
        tpr_at_1=float(tpr[fpr <= 0.01].max()),
        tpr_at_5=float(tpr[fpr <= 0.05].max()),
        flagged=float(np.mean(flags(forged))),
    )


def _mean_row(
    names: Sequence[str], groups: dict[str, list[Scored]], genuine: Sequence[Scored], rng: np.random.Generator
) -> Row:
    parts = [row(name, genuine, groups[name], rng) for name in names]

    def mean(field: str) -> float:
        return float(np.mean([getattr(part, field) for part in parts]))

    return Row(
        name="mean over methods",
        forged=sum(part.forged for part in parts),
        genuine=len(genuine),
        auc=mean("auc"),
        interval=auc_interval(sample(genuine), [sample(groups[name]) for name in names], rng),
        average_precision=mean("average_precision"),
        tpr_at_1=mean("tpr_at_1"),
        tpr_at_5=mean("tpr_at_5"),
        flagged=mean("flagged"),
    )


def markdown(result: Evaluation) -> list[str]:
    """Lines of all tables of a split."""
    lines = [f"Models: {', '.join(f'{m.name} ({m.sha256[:12]})' for m in result.models)}", ""]
    lines += [*rate_table(result.rates), "", *figures_table({"clips": result.figures}).splitlines(), ""]
    lines += table(("forged clips of", *ROW_HEADS), [[r.name, *row_cells(r)] for r in result.rows])
    if result.errors:
        lines += ["", *table(("not scanned", "why"), sorted(result.errors.items()))]
    return lines


ROW_HEADS = ("clips", "AUC", "95 % interval", "AP", "TPR at 1 % FPR", "at 5 %", "flagged")


def row_cells(row: Row) -> list[str]:
    """What stands under :data:`ROW_HEADS`."""
    return [
        f"{row.forged} vs {row.genuine}",
        f"{row.auc:.3f}",
        span(row.interval),
        f"{row.average_precision:.3f}",
        f"{row.tpr_at_1:.2f}",
        f"{row.tpr_at_5:.2f}",
        f"{row.flagged:.2f}",
    ]


def record_false_alarms(result: Evaluation) -> None:
    """Write the measured rate of genuine clips labeled manipulated into the verdict model's record.

    Reports show it beside the target; it changes no verdict.
    """
    found = next(r for r in result.rates if r.name == FALSE_ALARMS)
    registry = load_registry()
    for model in result.models:
        record = registry.models[model.name]
        if record.kind == "verdict":
            measured = recorded(found) | {"split": result.corpus_split}
            update_record(registry.folder, model.name, record.settings | {"measured_fpr": measured})

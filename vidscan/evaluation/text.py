"""The results as Markdown, which also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidscan.evaluation.footage import Footage
from vidscan.evaluation.heatmaps import table as heatmap_table
from vidscan.evaluation.left_out import LeftOut
from vidscan.evaluation.localisation import Localisation, Mean
from vidscan.evaluation.quality import table as quality_table
from vidscan.evaluation.robustness import CLEAN, Loss, Robustness
from vidscan.evaluation.statistics import Interval, Rate
from vidscan.evaluation.tables import Evaluation, Row
from vidscan.training.figures import markdown as figures_table

if TYPE_CHECKING:
    from vidscan.evaluation.run import Results

_ROW_HEADS = ("clips", "AUC", "95 % interval", "AP", "TPR at 1 % FPR", "at 5 %", "flagged")


def markdown(results: Results) -> str:
    """All tables; parts that were not run are left out."""
    tables = results.tables
    lines = [f"Models: {', '.join(f'{m.name} ({m.sha256[:12]})' for m in tables.models)}"]
    lines += _rates("rate", tables.rates)
    lines += ["", *figures_table({"clips": tables.figures}).splitlines()]
    lines += _table(("forged clips of", *_ROW_HEADS), [[r.name, *_row(r)] for r in tables.rows])
    if results.robustness:
        lines += ["", "## Robustness", *_robustness(results.robustness)]
    if results.quality:
        lines += ["", "## Quality gate", *_table(*quality_table(results.quality))]
    if results.innocent:
        lines += ["", "## Innocent edits", *_rates("rate", results.innocent)]
    if results.localisation:
        lines += ["", "## Localisation", *_localisation(results.localisation)]
    if results.footage:
        lines += ["", "## Localisation on same footage", *_footage(results.footage)]
    if results.heatmaps:
        lines += ["", "## Where fakes are seen", *_table(*heatmap_table(results.heatmaps))]
    lines += _errors(tables)
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _share(found: Rate) -> str:
    return f"{found.rate:.1%} ({found.interval[0]:.1%} to {found.interval[1]:.1%})"


def _span(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _rates(title: str, rates: Sequence[Rate]) -> list[str]:
    return _table(
        (title, "clips", "share", "95 % interval"),
        [
            [r.name, f"{r.count} of {r.of}", f"{r.rate:.1%}", f"{r.interval[0]:.1%} to {r.interval[1]:.1%}"]
            for r in rates
        ],
    )


def _row(row: Row) -> list[str]:
    return [
        f"{row.forged} vs {row.genuine}",
        f"{row.auc:.3f}",
        _span(row.interval),
        f"{row.average_precision:.3f}",
        f"{row.tpr_at_1:.2f}",
        f"{row.tpr_at_5:.2f}",
        f"{row.flagged:.2f}",
    ]


def _robustness(rows: Sequence[Robustness]) -> list[str]:
    def loss(name: str, own: Loss) -> list[str]:
        lost = "" if name == CLEAN else f"{own.lost:+.3f} ({_span(own.lost_interval)})"
        return [f"{own.auc:.3f} ({_span(own.interval)})", lost]

    return _table(
        ("clips are", "AUC same footage", "lost", "AUC vs listed", "lost", "false alarms", "no face"),
        [
            [r.name, *loss(r.name, r.pairs), *loss(r.name, r.listed), _share(r.false_alarms), str(r.faceless)]
            for r in rows
        ],
    )


def _localisation(rows: Sequence[Localisation]) -> list[str]:
    lines = []
    for held_out, title in ((False, "trained on"), (True, "held out of training")):
        group = [r for r in rows if r.held_out == held_out]
        if group:
            lines += _masks(f"forgery, {title}", group)
    return lines


def _footage(found: Footage) -> list[str]:
    lines = _masks("forged by", found.rows) if found.rows else []
    if found.left_out:
        heads = ("left out: the change has no place", "why")
        lines += _table(heads, [[file, why] for file, why in sorted(found.left_out.items())])
    return lines


def _masks(title: str, rows: Sequence[Localisation]) -> list[str]:
    def mean(own: Mean | None) -> str:
        return "-" if own is None else f"{own.value:.3f} ({_span(own.interval)})"

    heads = ("clips", "region", "IoU at .5", "pixel AUC, face", "pixel AUC, frame", "hottest pixel forged")
    return _table(
        (title, *heads),
        [
            [
                r.name,
                str(r.clips),
                f"{r.region_px:.0f} px",
                *(mean(own) for own in (r.iou, r.face_auc, r.frame_auc, r.pointing)),
            ]
            for r in rows
        ],
    )


def left_out_markdown(rows: Sequence[LeftOut]) -> str:
    """The rows as a Markdown table."""
    lines = _table(
        ("pictures by", *_ROW_HEADS, "measurement"),
        [[r.row.name, *_row(r.row), "yes" if r.measurement else "no"] for r in rows],
    )
    if not all(r.measurement for r in rows):
        lines += ["", "no: the model was trained on these methods: not a measurement of what it does unseen."]
    return "\n".join(lines[1:]) + "\n"


def _errors(tables: Evaluation) -> list[str]:
    if not tables.errors:
        return []
    return _table(("not scanned", "why"), [[file, error] for file, error in sorted(tables.errors.items())])

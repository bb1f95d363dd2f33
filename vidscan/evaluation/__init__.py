"""Scanning a labelled corpus and telling how good the verdicts are, with intervals.

Clips are scanned by the very pipeline that users run: the tables of a split (``tables``), and on
request what degradation costs (``robustness``), false alarms on everyday edits (``innocent``), where
forgeries are seen (``localisation``) and full synthesis that training left out (``left_out``).
``run`` ties them together. What each row means is told in ``docs/evaluation.md``.
"""

from __future__ import annotations

from vidscan.evaluation.plots import plot_all, plot_curves
from vidscan.evaluation.run import Parts, Results, run_evaluation
from vidscan.evaluation.scanning import Scanning, Scored, load_split, scan_corpus
from vidscan.evaluation.tables import (
    FALSE_ALARMS,
    Evaluation,
    Row,
    evaluate,
    record_false_alarms,
)
from vidscan.evaluation.text import markdown

__all__ = [
    "FALSE_ALARMS",
    "Evaluation",
    "Parts",
    "Results",
    "Row",
    "Scanning",
    "Scored",
    "evaluate",
    "load_split",
    "markdown",
    "plot_all",
    "plot_curves",
    "record_false_alarms",
    "run_evaluation",
    "scan_corpus",
]

"""Scanning a labeled corpus and telling how good the verdicts are, with intervals.

Clips are scanned by the very pipeline that users run: the tables of a split (``tables``), and on
request what degradation costs (``robustness``), false alarms on everyday edits (``innocent``), where
forgeries are seen (``localisation``) and full synthesis that training left out (``left_out``).
``run`` ties them together. What each row means is told in ``docs/evaluation.md``.
"""

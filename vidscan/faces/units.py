"""The facial action units that vidscan measures: the seventeen whose intensity OpenFace reports.

Numbers and names are those of the Facial Action Coding System (Ekman & Friesen 1978); the set is that of
Baltrusaitis et al. 2018 (OpenFace 2.0).
"""

from __future__ import annotations

UNIT_NAMES: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    14: "dimpler",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    25: "lips part",
    26: "jaw drop",
    45: "blink",
}
"""Name by unit number, in the order in which arrays hold the units."""

UNITS: tuple[int, ...] = tuple(UNIT_NAMES)
MAX_INTENSITY = 5.0
"""Intensities run from 0 (absent) to 5 (FACS level E)."""
PRESENT = 1.0
"""Intensity from which a unit counts as present (FACS level A)."""

"""How vidscan speaks to people: times, escaped names, and verdicts in words."""

from __future__ import annotations

import math
import unicodedata

from vidscan.types import LABEL_SEVERITY, Label, Report

# Control, format (text direction!), surrogate, private, unassigned, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_SMALLEST_FACE_PX = 40
"""``ScanSettings.min_face`` never asks for less."""

LABEL_NAMES: dict[Label, str] = {
    "manipulated": "Manipulated",
    "uncertain": "Uncertain",
    "error": "Could not be scanned",
    "no_face": "No face found",
    "no_manipulation_found": "No manipulation found",
}
"""Labels as people read them, in the order in which somebody has to look at them."""
assert set(LABEL_NAMES) == set(LABEL_SEVERITY)


def label_words(label: Label) -> str:
    """The label within a line of text."""
    return LABEL_NAMES[label].lower()


_SCOPE = "(sound, scene and edits not examined)"


def escape(text: str) -> str:
    """Text that cannot steer a terminal: what does not print becomes \\xNN or \\uNNNN."""
    return "".join(_escaped(char) if unicodedata.category(char) in _UNPRINTABLE else char for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not valid UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def timecode(seconds: float) -> str:
    """Seconds as h:mm:ss.s, the way a player shows them."""
    tenths = max(0, math.floor(seconds * 10 + 0.5))
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 face``, ``2 faces``; nouns that take no s have a ``plural``."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"


def smallest_face(report: Report) -> int | None:
    """Side in pixels of the smallest face that was looked for, None where it is not known."""
    width, height, share = report.input.width, report.input.height, report.settings.get("min_face")
    if width is None or height is None or not isinstance(share, (int, float)):
        return None
    return max(_SMALLEST_FACE_PX, round(share * min(width, height)))


def headline(report: Report) -> str:
    """The verdict in one sentence."""
    label = report.verdict.label
    faces = count(len(report.tracks), "face")
    if label == "no_manipulation_found":
        return f"No face manipulation found in {faces} {_SCOPE}"
    if label == "uncertain":
        return f"Uncertain: face manipulation neither shown nor ruled out in {faces} {_SCOPE}"
    if label == "manipulated":
        found = sum(track.label == "manipulated" for track in report.tracks)
        return f"Face manipulation found in {found} of {faces}"
    if label == "no_face":
        side = smallest_face(report)
        size = f" of at least {side} pixels" if side else ""
        return f"No face{size} found, so nothing was judged {_SCOPE}"
    if report.error is not None:
        return f"Could not be scanned: {report.error.message} ({report.error.code})"
    return "Could not be scanned"

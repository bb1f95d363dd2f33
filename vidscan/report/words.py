"""How vidscan speaks to people: every sentence about a verdict is made here, and only here.

The text report, the page, the index, the overlay and the CSV take theirs from this module, so that one number
reads alike everywhere.
"""

from __future__ import annotations

import math
import unicodedata

from vidscan.types import LABEL_SEVERITY, Calibration, Label, Report, Verdict

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


def score_digits(score: float) -> str:
    """A score as it is told: rounded down, or it would read as if it had reached a threshold."""
    return f"{math.floor(100 * score + 1e-6) / 100:.2f}"


def label_words(label: Label) -> str:
    """The label within a line of text."""
    return LABEL_NAMES[label].lower()


_LOOSER = 0.1
"""The rate of false alarms that is named to those who want more found."""

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


def percent(share: float) -> str:
    """A share as ``1.2 %``."""
    return f"{100 * share:.1f} %"


def one_in(share: float) -> str:
    """A share above 0 in words: ``about 1 in 140``, ``about 8 in 10``, ``nearly all``."""
    if share <= 0.4:
        return f"about 1 in {round(1 / max(share, 1e-9)):,}"
    return f"about {round(10 * share)} in 10" if share < 0.95 else "nearly all"


def is_picture(report: Report) -> bool:
    """Whether the input was a picture, which has no duration."""
    return report.input.frames_decoded == 1 and not report.input.duration_s


def abstained(report: Report) -> bool:
    """Whether the material was too poor to judge the face that gives the verdict."""
    return report.verdict.label == "uncertain" and bool(report.quality.flags)


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
    if abstained(report):
        why = "; ".join(flag.message for flag in report.quality.flags)
        return f"Uncertain, not judged: {why} {_SCOPE}"
    if label == "uncertain":
        return f"Uncertain: face manipulation neither shown nor ruled out in {faces} {_SCOPE}"
    if label == "manipulated":
        found = sum(track.label == "manipulated" for track in report.tracks)
        return f"Face manipulation found in {faces if len(report.tracks) == 1 else f'{found} of {faces}'}"
    if label == "no_face":
        side = smallest_face(report)
        size = f" of at least {side} pixels" if side else ""
        return f"No face{size} found, so nothing was judged {_SCOPE}"
    if report.error is None:
        return LABEL_NAMES["error"]
    return f"{LABEL_NAMES['error']}: {error_words(report)} ({report.error.code})"


def error_words(report: Report) -> str:
    """Why the input could not be scanned, without its path, which stands beside it; empty where it was."""
    return "" if report.error is None else report.error.message.removeprefix(f"{report.input.path}: ")


def score_words(report: Report) -> str | None:
    """The score and what it is compared with, or why none is told; None where there is none."""
    verdict = report.verdict
    if verdict.score is None:
        return None
    if abstained(report):
        return "No score is given: for such material it would mean nothing (the JSON report keeps it)."
    return (
        f"Score {score_digits(verdict.score)} on a scale from 0 (genuine) to 1 (manipulated): uncertain from "
        f"{verdict.thresholds.uncertain:.3g}, manipulated from {verdict.thresholds.manipulated:.3g}."
    )


LIKENESS = "Genuine people's clips that look at least as suspicious"
"""What a p-value is the share of."""


def likeness(verdict: Verdict) -> str | None:
    """The p-value as an answer to :data:`LIKENESS`; None where there is none."""
    p, n = verdict.p_value, verdict.calibration.n
    if p is None:
        return None
    # The smallest p-value that n people allow.
    return f"none of {n:,}" if n and p * (n + 1) < 1.5 else one_in(p)


def likeness_words(verdict: Verdict) -> str | None:
    """The p-value in a sentence; None where there is none."""
    share, p = likeness(verdict), verdict.p_value
    if share is None or p is None:
        return None
    return f"{LIKENESS}: {share} (p-value {f'{p:.3f}' if p >= 0.001 else 'below 0.001'})."


_LACKS = {
    "no_face": "there is no face to compare",
    "still": "the face does not move, as in a photograph",
    "lost": "within every window of {needed:g} s the face was lost for too long",
    "too_short": "the face was followed for {seconds:.1f} s, {needed:g} s without a gap are needed, "
    "{missing:.1f} s are missing",
    None: "there is too little to compare",
}


def person_words(report: Report) -> tuple[str, ...]:
    """How the clip compares with an enrolled person, in sentences; empty where it was not compared."""
    person = report.person
    if person is None:
        return ()
    face = "" if person.track_id is None else f", face {person.track_id}"
    opening = f"Compared with {person.name}{face}:"
    if person.score is None:
        seconds, needed = person.seconds or 0.0, person.needed_s or 0.0
        lack = _LACKS[person.lack].format(seconds=seconds, needed=needed, missing=max(0.0, needed - seconds))
        return (f"{opening} cannot be told, since {lack}.",)
    said = f"moves {'like' if person.score <= 0.5 else 'unlike'} the enrolled clips"
    if person.beyond is not None:
        way = "inside" if person.beyond <= 0 else "outside"
        said += f", {abs(person.beyond):.1f} spreads {way} the edge of their range"
    told = [
        f"{opening} {said}.",
        f"Score {person.score:.2f} on a scale from 0 (moves like {person.name}) to 1 (moves unlike); 0.5 is "
        "the edge of what was enrolled.",
    ]
    if person.p_value is not None and person.parts:
        unlike = round(person.p_value * (person.parts + 1)) - 1
        of = count(person.parts, "enrolled part")
        told.append(f"At least as unlike: {unlike or 'none'} of {of} (p-value {person.p_value:.3f}).")
    return (*told, "This does not change the verdict.")


LOOKS = (
    "A look is one crop of a face by the patch network alone: 0 looks genuine, 1 looks manipulated. The "
    "verdict's thresholds do not apply to it: the score of a face weighs all measurements over its whole "
    "time, and compares them with those of genuine people."
)
"""What the scores over time are, which are not the score of a face."""


def strongest_words(time_s: float, score: float) -> str:
    """The look at a face that is most suspicious, by the time and the score that ``Report.frames`` tell."""
    return f"strongest look at {timecode(time_s)}: {score:.2f}"


def found_words(calibration: Calibration) -> str | None:
    """How many fakes the thresholds find, and what looser ones would; None where it was not measured."""
    known = {found.target_fpr: found for found in calibration.found}
    own, looser = known.get(calibration.target_fpr), known.get(_LOOSER)
    if own is None:
        return None
    said = f"vidscan finds {100 * own.rate:.0f} % of the {own.clips:,} fakes that it was tested on"
    if looser is not None and looser.target_fpr > own.target_fpr:
        said += (
            f"; with --target-fpr {looser.target_fpr:g} it finds {100 * looser.rate:.0f} %, and accuses "
            f"{one_in(looser.target_fpr)} genuine clips"
        )
    return f"{said}."


def calibration_words(calibration: Calibration) -> tuple[str, ...]:
    """How often the tool is wrong about genuine clips, in sentences; empty where it was not calibrated."""
    if not calibration.n:
        return ()
    said = [
        f"The thresholds were set with {calibration.n:,} genuine people, so that "
        f"{at_most(calibration.target_fpr)} genuine clips should be called manipulated."
    ]
    if calibration.measured_fpr is None:
        said.append("How often that happens to other genuine clips has not been measured.")
    else:
        interval = calibration.interval
        range = f" (95 % interval {percent(interval[0])} to {percent(interval[1])})" if interval else ""
        said.append(
            "Of genuine clips, judged by thresholds that other people set, "
            f"{percent(calibration.measured_fpr)} were called manipulated{range}."
        )
    return tuple(said)


def at_most(rate: float) -> str:
    """A rate of false alarms as a promise: ``at most 1 in 100``, ``no``."""
    return f"at most {one_in(rate).removeprefix('about ')}" if rate > 0 else "no"

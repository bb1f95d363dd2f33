"""What a verdict means to somebody who has to decide something, and what it does not mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vidscan.report.words import abstained, at_most, count, is_picture
from vidscan.types import Report


def status_names(report: Report) -> dict[str, str]:
    """What the state of a signal means for this report."""
    lacking = "too little material"
    if is_picture(report):
        lacking = "cannot be seen in a picture"
    elif any(note.code == "still_face" for note in report.warnings):
        lacking = "nothing to see: the face does not move"
    return {"ok": "measured", "insufficient": lacking, "not_applicable": "not used for this clip"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Three short lists of sentences."""

    does: tuple[str, ...]
    does_not: tuple[str, ...]
    next: tuple[str, ...]


def meaning(report: Report) -> Meaning:
    """What the report's label means, what it does not, and what to do next."""
    found = {
        "no_manipulation_found": _nothing_found,
        "uncertain": _uncertain,
        "manipulated": _manipulated,
        "no_face": _no_face,
        "error": _error,
    }[report.verdict.label](report)
    if not is_picture(report):
        return found
    return Meaning(*(tuple(map(_of_picture, part)) for part in (found.does, found.does_not, found.next)))


def _of_picture(sentence: str) -> str:
    """The same about a picture; calibration speaks of clips still."""
    return re.sub(r"\b(the|this) clip\b", r"\1 picture", sentence).replace(
        "earlier or longer", "earlier or larger"
    )


_NO_PROOF = "It is no proof: the verdict of a tool is a reason to look closer, and nothing more."
_SCOPE = "Sound, voice, scene, captions, cuts and context were not examined."
_ORIGINAL = "Ask the sender for the original file: copies lose the traces that vidscan looks for."
_EARLIER = "Look for an earlier or longer copy of the clip, and for the place it was first shown."
_WATCH = "Watch the marked stretches yourself, frame by frame."
_EXPERT = "Before anything that harms a person, ask a human examiner who uses other methods."


def _manipulated(report: Report) -> Meaning:
    rate = report.verdict.calibration.target_fpr
    alarm = f" vidscan is meant to say so of {at_most(rate)} genuine clips." if rate > 0 else ""
    return Meaning(
        (
            "At least one face looks more like the output of known face generators than like genuine "
            f"footage.{alarm}",
        ),
        (
            _NO_PROOF,
            "It does not say who changed the clip or why: beauty filters, restoration and game or studio "
            "graphics can look alike.",
            f"It says nothing of what was said or done. {_SCOPE}",
        ),
        (*_watch(report), _EARLIER, _ORIGINAL, _EXPERT),
    )


def _watch(report: Report) -> tuple[str, ...]:
    return (_WATCH,) if report.segments and not is_picture(report) else ()


def _uncertain(report: Report) -> Meaning:
    if abstained(report):
        return Meaning(
            ("The material is too poor to be judged: see the notes on quality.",),
            ("It says nothing for or against the clip.", _SCOPE),
            ("Look for a larger, sharper or longer copy, and scan that.", _ORIGINAL, _EARLIER),
        )
    cause = "A face looks odder than most genuine ones, but not odd enough to be called manipulated."
    return Meaning(
        (cause, "Neither a manipulation nor a genuine clip is shown."),
        (
            "It does not mean “probably fake”: genuine clips end here too.",
            _NO_PROOF,
            _SCOPE,
        ),
        (*_watch(report), _ORIGINAL, _EARLIER, _EXPERT),
    )


def _nothing_found(report: Report) -> Meaning:
    faces = count(len(report.tracks), "face")
    return Meaning(
        (f"In {faces}, nothing was found that tells known face manipulations from genuine footage.",),
        (
            "It does not prove that the clip is genuine: new generators, and fakes that were compressed or "
            "made smaller afterwards, can be missed.",
            "It does not say that the person is who they are said to be, nor that the clip shows what its "
            "caption says.",
            _SCOPE,
        ),
        ("If anything else about the clip makes you doubt it, go on doubting.", _EARLIER, _ORIGINAL),
    )


def _no_face(report: Report) -> Meaning:
    return Meaning(
        ("No face large enough to be judged was found, so there is no score.",),
        (
            "It does not mean that the clip is genuine: nothing was judged.",
            "Faces may be there all the same: small, turned away, covered or blurred.",
            _SCOPE,
        ),
        ("Look for a larger or sharper copy in which faces can be seen, and scan that.", _EARLIER),
    )


def _error(report: Report) -> Meaning:
    return Meaning(
        ("The file could not be read or scanned, so there is neither a score nor a verdict.",),
        ("It does not make the clip suspicious: damaged and unusual files are common.",),
        (
            "Check that the file plays, and scan it again.",
            "Ask the sender for the file once more, as a file and not as a screen recording.",
        ),
    )

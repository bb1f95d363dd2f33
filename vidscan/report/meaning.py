"""What a verdict means to somebody who has to decide something, and what it does not mean."""

from __future__ import annotations

from dataclasses import dataclass

from vidscan.report.page import percent
from vidscan.report.words import count
from vidscan.types import Calibration, Report, Verdict

STATUS_NAMES: dict[str, str] = {
    "ok": "measured",
    "insufficient": "too little material",
    "not_applicable": "not used for this clip",
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Three short lists of sentences."""

    does: tuple[str, ...]
    does_not: tuple[str, ...]
    next: tuple[str, ...]


def one_in(share: float) -> str:
    """A share above 0 in words: ``about 1 in 140``, ``about 8 in 10``, ``nearly all``."""
    if share <= 0.4:
        return f"about 1 in {round(1 / max(share, 1e-9)):,}"
    return f"about {round(10 * share)} in 10" if share < 0.95 else "nearly all"


def p_value_words(verdict: Verdict) -> str | None:
    """The p-value in a sentence; None where there is none."""
    p, n = verdict.p_value, verdict.calibration.n
    if p is None:
        return None
    if n and p * (n + 1) < 1.5:  # the smallest p-value that n people allow
        return f"None of the {n:,} genuine people whom vidscan was calibrated with looks as suspicious."
    share = one_in(p)
    verb = "looks" if share.startswith("about 1 in") else "look"
    return f"{share.capitalize()} genuine people's clips {verb} at least as suspicious."


def calibration_words(calibration: Calibration) -> tuple[str, ...]:
    """How often the tool is wrong about genuine clips, in sentences; empty where it was not calibrated."""
    if not calibration.n:
        return ()
    target = _at_most(calibration.target_fpr)
    said = [
        f"The thresholds were set with {calibration.n:,} genuine people, so that {target} genuine "
        "clips should be called manipulated."
    ]
    if calibration.measured_fpr is None:
        said.append("How often that happens to other genuine clips has not been measured.")
    else:
        interval = calibration.interval
        range = f" (95 % interval {percent(interval[0])} to {percent(interval[1])})" if interval else ""
        said.append(
            f"Of other genuine clips, {percent(calibration.measured_fpr)} were called manipulated{range}."
        )
    return tuple(said)


def meaning(report: Report) -> Meaning:
    """What the report's label means, what it does not, and what to do next."""
    return {
        "no_manipulation_found": _nothing_found,
        "uncertain": _uncertain,
        "manipulated": _manipulated,
        "no_face": _no_face,
        "error": _error,
    }[report.verdict.label](report)


def is_picture(report: Report) -> bool:
    """Whether the input was a picture, which has no duration."""
    return report.input.frames_decoded == 1 and not report.input.duration_s


def _at_most(rate: float) -> str:
    return f"at most {one_in(rate).removeprefix('about ')}" if rate > 0 else "no"


_NO_PROOF = "It is no proof: the verdict of a tool is a reason to look closer, and nothing more."
_SCOPE = "Sound, voice, scene, captions, cuts and context were not examined."
_ORIGINAL = "Ask the sender for the original file: copies lose the traces that vidscan looks for."
_EARLIER = "Look for an earlier or longer copy of the clip, and for the place it was first shown."
_WATCH = "Watch the marked stretches yourself, frame by frame."
_EXPERT = "Before anything that harms a person, ask a human examiner who uses other methods."


def _manipulated(report: Report) -> Meaning:
    rate = report.verdict.calibration.target_fpr
    alarm = f" vidscan is meant to say so of {_at_most(rate)} genuine clips." if rate > 0 else ""
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
    cause = (
        "The material is too poor for a clear answer: see the notes on quality."
        if report.quality.flags
        else "A face looks odder than most genuine ones, but not odd enough to be called manipulated."
    )
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

"""What the verdict is worth: groups of evidence, and cross-fitted false alarms.

Everything is computed from gathered evidence (:mod:`vidscan.training.evidence`). The one-class model is
fitted on genuine train clips. The thresholds of each tenth of the dev people come from the other nine, and
from the train people, whom the encoder's heads that judged them never saw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.evaluation.scanning import BELOW_ALL, Scanning
from vidscan.evaluation.statistics import Interval, Rate, Sample, auc_interval, rate, recorded
from vidscan.evaluation.text import share, with_span
from vidscan.markdown import table
from vidscan.models import load_registry, update_record
from vidscan.training.corpus import Entry, by_method, read_manifest, same_footage
from vidscan.training.evidence import ClipEvidence, gather_all
from vidscan.training.figures import Figures, figures
from vidscan.training.figures import markdown as figures_table
from vidscan.training.transfer import auc
from vidscan.training.unseen import parts_unseen
from vidscan.training.verdict import (
    WEIGHTS,
    VerdictRecipe,
    at_level,
    by_person,
    charge,
    clip_statistic,
    fit_statistic,
    folds_of,
    one_a_person,
    patch_level,
    quality_limits,
)
from vidscan.verdict.calibration import conformal_quantile, p_value
from vidscan.verdict.judge import QualityLimits, worth_judging

_BINS = 10
TARGETS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
"""Allowed rates of false alarms that are tabulated."""
NOBODY = np.zeros(0)
"""Statistics of no people."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One way to judge: areas with bootstrap intervals over people, rates at cross-fitted thresholds.

    Attributes
    ----------
    same_footage, mean
        Area on the same-footage pairs, and mean over methods.
    families
        Area by family.
    false_alarms, doubts
        Genuine clips at or above the threshold of ``manipulated``, and of ``uncertain``.
    found, suspected
        Forged clips there.
    """

    name: str
    same_footage: float
    same_interval: Interval
    mean: float
    mean_interval: Interval
    families: dict[str, float]
    false_alarms: Rate
    doubts: Rate
    found: Rate
    suspected: Rate


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What an allowed rate of false alarms (``--target-fpr``) comes to, by cross-fitted thresholds."""

    target_fpr: float
    false_alarms: Rate
    found: Rate
    families: dict[str, float]
    """Share of the forged clips of each family that is found."""


@dataclass(frozen=True, slots=True)
class VerdictEvaluation:
    """All rows, and how well the p-values of the shipped way keep their word."""

    rows: tuple[VerdictRow, ...]
    points: tuple[OperatingPoint, ...]
    """Of the shipped way."""
    calibration_error: float
    """Mean over ten equal bins of |share of genuine clips whose p-value falls in - a tenth|."""
    fitted_clips: int
    people: int
    figures: Figures
    """Of the shipped way: forged clips against genuine ones of their own source, and against all."""


@dataclass(frozen=True, slots=True)
class VerdictCorpus:
    """Evidence of both splits."""

    train: Mapping[str, Sequence[ClipEvidence]]
    """Of genuine people of train."""
    unseen: bool
    """Whether the heads that read these never saw them: only then do they set thresholds."""
    entries: Sequence[Entry]
    """Of dev, those that were read."""
    clips: Mapping[str, ClipEvidence]
    """By file."""


def read_evidence(
    corpus: Path, out: Path, how: Scanning, stage: Callable[[str, int], Callable[[], None]]
) -> VerdictCorpus:
    """Gather the evidence of dev and of the genuine train clips, once, in ``out``."""
    entries = [e for e in read_manifest(corpus) if e.split == "dev" or (e.genuine and e.kind == "video")]
    parts = parts_unseen(corpus, load_registry())
    advance = stage("gathering evidence", len(entries))
    clips = gather(corpus, entries, out, how, advance, parts)
    train, dev = ([e for e in entries if e.split == split and e.file in clips] for split in ("train", "dev"))
    return VerdictCorpus(by_person(train, clips), bool(parts), dev, clips)


def gather(
    corpus: Path,
    entries: Sequence[Entry],
    out: Path,
    how: Scanning,
    advance: Callable[[], None],
    parts: Mapping[str, int],
) -> dict[str, ClipEvidence]:
    """:func:`vidscan.training.evidence.gather_all` of ``entries``, read as ``how`` says."""
    return gather_all(
        corpus,
        [e.file for e in entries],
        out,
        jobs=how.jobs,
        device=how.device,
        settings=how.settings,
        advance=advance,
        parts=parts,
    )


def variants() -> dict[str, VerdictRecipe]:
    """The ways that are compared, by name: groups added one after the other, each alone."""
    found: dict[str, VerdictRecipe] = {}
    groups: list[str] = []
    for group in WEIGHTS:
        groups.append(group)
        name = "patches" if len(groups) == 1 else f"+ {group.replace('_', ' ')}"
        found[name] = only(groups)
    for group in list(WEIGHTS)[1:]:
        found[f"{group.replace('_', ' ')} alone"] = only([group])
    found["all, quality not taken off"] = VerdictRecipe(normalise_quality=False)
    return found


def only(groups: Sequence[str]) -> VerdictRecipe:
    """All that is shipped, but no other groups."""
    return VerdictRecipe(weights={g: w if g in groups else 0.0 for g, w in WEIGHTS.items()})


def evaluate_verdict(corpus: VerdictCorpus, seed: int = 0) -> VerdictEvaluation:
    """Every variant, poolings of the patch scores over time, and the calibration of the shipped way."""
    genuine = [e for e in corpus.entries if e.genuine]
    people = by_person(genuine, corpus.clips)
    reference = [clip for own in people.values() for clip in own]
    limits = quality_limits(people, VerdictRecipe())
    unclear = frozenset(e.file for e in corpus.entries if not _clear(corpus.clips[e.file], limits))
    train = [clip for own in corpus.train.values() for clip in own]
    rows = []
    for name, recipe in variants().items():
        fitted = fit_statistic(train, reference, recipe)
        charges = {e.file: clip_statistic(fitted, corpus.clips[e.file], limits) for e in corpus.entries}
        values = {file: BELOW_ALL if c is None else c.value for file, c in charges.items()}
        lent = corpus.train if corpus.unseen else {}
        charges_of_train = one_a_person(lent, partial(clip_statistic, fitted, limits=limits))
        others = np.array([c.value for c in charges_of_train])
        rows.append(tabulate(name, corpus.entries, values, seed, unclear, others))
        if recipe == only(list(WEIGHTS)):
            error = calibration_error(corpus.entries, values, unclear, others)
            points = operating_points(corpus.entries, values, unclear=unclear, others=others)
            clear = {e.identity for e in genuine if e.file not in unclear}
            calibrating = len(clear) + len(others)
            by_source = figures(corpus.entries, values, seed)
    for name, pooling in POOLINGS.items():
        values = {e.file: _pooled(corpus.clips[e.file], pooling) for e in corpus.entries}
        rows.append(tabulate(f"patch score, {name}", corpus.entries, values, seed, unclear))
    return VerdictEvaluation(tuple(rows), points, error, len(train), calibrating, by_source)


def _clear(clip: ClipEvidence, limits: QualityLimits) -> bool:
    """Whether a clip shows a face fit to be judged: no other is ever accused."""
    found = charge(clip, limits, patch_level)
    return found is not None and found.clear


def _attention(scores: NDArray[np.float64]) -> float:
    """Mean weighted by the softmax of the scores themselves: the crops that look forged are listened to."""
    weights = np.exp(scores - scores.max())
    return float((weights * scores).sum() / weights.sum())


POOLINGS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean over time": lambda scores: float(scores.mean()),
    "attention over time": _attention,
}
"""Ways to make one number of a track's crop scores, without a model."""


def _pooled(clip: ClipEvidence, pooling: Callable[[NDArray[np.float64]], float]) -> float:
    tracks = worth_judging(clip.tracks)
    return max((pooling(np.array([f.score for f in t.faces])) for t in tracks), default=BELOW_ALL)


def cross_fitted(
    entries: Sequence[Entry],
    values: Mapping[str, float],
    alpha: float,
    unclear: Collection[str] = frozenset(),
    others: NDArray[np.float64] = NOBODY,
) -> dict[str, bool]:
    """Which clips reach the conformal threshold at ``alpha`` that people of other folds and ``others`` set.

    Forged clips belong to the fold of the person they show, or to the first. The files ``unclear`` show no
    face fit to be judged: they set no threshold and reach none. ``others`` (n,) are statistics of people of
    no fold, which are brought to the level of the others (:func:`vidscan.training.verdict.at_level`).
    """
    clear = [e for e in entries if e.file not in unclear]
    folds = _folds(entries)
    found = {}
    for k in range(max(folds.values(), default=0) + 1):
        threshold = conformal_quantile(_calibrating(clear, values, folds, k, others), alpha)
        for entry in entries:
            if folds.get(entry.identity, 0) == k:
                found[entry.file] = entry.file not in unclear and values[entry.file] >= threshold
    return found


def operating_points(
    entries: Sequence[Entry],
    values: Mapping[str, float],
    targets: Sequence[float] = TARGETS,
    unclear: Collection[str] = frozenset(),
    others: NDArray[np.float64] = NOBODY,
) -> tuple[OperatingPoint, ...]:
    """What each of ``targets`` comes to, for one statistic: ``values`` by file; see :func:`cross_fitted`.

    Raises ValueError where the genuine people are too few for a rate.
    """
    points = []
    for target in targets:
        reached = cross_fitted(entries, values, target, unclear, others)
        by_family: dict[str, list[bool]] = defaultdict(list)
        for e in entries:
            if not e.genuine:
                by_family[e.family].append(reached[e.file])
        points.append(
            OperatingPoint(
                target,
                rate("false alarms", [reached[e.file] for e in entries if e.genuine]),
                rate("found", [hit for hits in by_family.values() for hit in hits]),
                {family: float(np.mean(hits)) for family, hits in sorted(by_family.items())},
            )
        )
    return tuple(points)


def calibration_error(
    entries: Sequence[Entry],
    values: Mapping[str, float],
    unclear: Collection[str] = frozenset(),
    others: NDArray[np.float64] = NOBODY,
) -> float:
    """How far cross-fitted p-values of genuine clips are from uniform; see :class:`VerdictEvaluation`."""
    folds = _folds(entries)
    entries = [e for e in entries if e.file not in unclear]
    p = np.array(
        [
            p_value(_calibrating(entries, values, folds, folds[e.identity], others), values[e.file])
            for e in entries
            if e.genuine
        ]
    )
    share = np.histogram(p, bins=_BINS, range=(0, 1))[0] / len(p)
    return float(np.abs(share - 1 / _BINS).mean())


def _folds(entries: Sequence[Entry]) -> dict[str, int]:
    """Fold of every genuine person."""
    people = sorted({e.identity for e in entries if e.genuine})
    return {who: k for k, names in enumerate(folds_of(people)) for who in names}


def _calibrating(
    entries: Sequence[Entry],
    values: Mapping[str, float],
    folds: Mapping[str, int],
    without: int,
    others: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The lower median of every person's genuine clips, of all folds but one; ``others`` at their level."""
    own: dict[str, list[float]] = {}
    for e in entries:
        if e.genuine and folds[e.identity] != without and values[e.file] > BELOW_ALL:
            own.setdefault(e.identity, []).append(values[e.file])
    charged = [sorted(v)[(len(v) - 1) // 2] for v in own.values()]
    return np.concatenate([charged, at_level(others.tolist(), charged)])


def tabulate(
    name: str,
    entries: Sequence[Entry],
    values: Mapping[str, float],
    seed: int = 0,
    unclear: Collection[str] = frozenset(),
    others: NDArray[np.float64] = NOBODY,
) -> VerdictRow:
    """The row of one statistic, ``values`` by file; areas also count the files ``unclear``, rates do not."""
    rng = np.random.default_rng(seed)
    genuine = [e for e in entries if e.genuine]
    forged = [e for e in entries if not e.genuine]

    def sample(some: Sequence[Entry]) -> Sample:
        return Sample(np.array([values[e.file] for e in some]), [e.identity for e in some])

    def area(some: Sequence[Entry], against: Sequence[Entry]) -> float:
        return auc(sample(against).values, sample(some).values)

    originals, swapped = same_footage(entries)
    methods = list(by_method(forged).values())
    families = sorted({e.family for e in forged})
    low, high = (cross_fitted(entries, values, alpha, unclear, others) for alpha in (0.05, 0.01))

    def share(title: str, some: Sequence[Entry], passed: Mapping[str, bool]) -> Rate:
        return rate(title, [passed[e.file] for e in some])

    return VerdictRow(
        name=name,
        same_footage=area(swapped, originals),
        same_interval=auc_interval(sample(originals), [sample(swapped)], rng),
        mean=float(np.mean([area(m, genuine) for m in methods])),
        mean_interval=auc_interval(sample(genuine), [sample(m) for m in methods], rng),
        families={f: area([e for e in forged if e.family == f], genuine) for f in families},
        false_alarms=share("false alarms", genuine, high),
        doubts=share("doubts", genuine, low),
        found=share("found", forged, high),
        suspected=share("suspected", forged, low),
    )


def shipped(result: VerdictEvaluation) -> VerdictRow:
    """The row of all groups together, which is what is shipped."""
    names = [name for name, recipe in variants().items() if recipe == only(list(WEIGHTS))]
    return next(row for row in result.rows if row.name == names[0])


def record_cross_fitted(result: VerdictEvaluation) -> None:
    """Write cross-fitted rates into the default verdict model's record; reports quote them.

    The share of genuine clips called manipulated (``measured_fpr``), and by allowed rate that of forged clips
    found (``found``).
    """
    registry = load_registry()
    record = registry.get("verdict", registry.get("patches").settings.get("verdict", ""))
    found = shipped(result).false_alarms
    measured = recorded(found) | {"split": "dev, cross-fitted over people"}
    points = {f"{point.target_fpr:g}": recorded(point.found) for point in result.points}
    update_record(registry.folder, record.name, record.settings | {"measured_fpr": measured, "found": points})


def markdown(result: VerdictEvaluation) -> list[str]:
    """Lines of the tables."""
    families = list(result.rows[0].families)
    heads = ["evidence", "same footage", "mean over methods", *families]
    heads += ["false alarms at 1 %", "at 5 %", "forged found at 1 %", "at 5 %"]
    rows = []
    for row in result.rows:
        cells = [
            row.name,
            with_span(row.same_footage, row.same_interval),
            with_span(row.mean, row.mean_interval),
        ]
        cells += [f"{row.families[f]:.3f}" for f in families]
        cells += [f"{r.count} of {r.of}" for r in (row.false_alarms, row.doubts)]
        rows.append([*cells, *(f"{r.rate:.1%}" for r in (row.found, row.suspected))])
    allowed = ["allowed", "false alarms", "95 % interval", "forged found", "95 % interval", *families]
    points = [
        [
            f"{point.target_fpr:.0%}",
            *share(point.false_alarms),
            *share(point.found),
            *(f"{point.families[f]:.0%}" for f in families),
        ]
        for point in result.points
    ]
    return [
        f"One-class model fitted on {result.fitted_clips} genuine train clips; thresholds cross-fitted over "
        f"{result.people} people of dev and train, of the pooled patch scores over those of dev alone.",
        "",
        *table(heads, rows),
        "",
        *figures_table({"all groups": result.figures}).splitlines(),
        "",
        f"Calibration error of the p-values: {result.calibration_error:.3f}.",
        "",
        *table(allowed, points),
    ]

"""Parts of an evaluation that need no scan of a split: the verdict, how faces are read, people, synthesis."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import InputError, SetupError
from vidscan.evaluation import behavior, left_out, people, verdict
from vidscan.evaluation.scanning import Scanning, load_split
from vidscan.evaluation.unseen_sources import SPAN_S, evaluate_unseen, read_clips
from vidscan.markdown import table
from vidscan.models import load_registry
from vidscan.training.evidence import ClipEvidence
from vidscan.training.figures import Figures, percentiles
from vidscan.training.figures import markdown as figures_table
from vidscan.types import FaceSeries
from vidscan.verdict.features import Evidence, evidence
from vidscan.verdict.groups import GROUPS
from vidscan.verdict.judge import worth_judging

_LIST = "behavior.csv"
_LONG_S, _SHORT_S = 30.0, 4.0
_EVERY = 5
"""Of dev clips every fifth frame is labeled; the long clips are labeled whole, for blinks."""

Stage = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of an evaluation came to."""

    name: str
    """Its key in JSON."""
    title: str
    lines: list[str]
    """Markdown."""
    data: Any
    """Plain JSON."""


@dataclass(frozen=True, slots=True)
class LongClip:
    """A row of ``behavior.csv``."""

    file: str
    identity: str


def long_clips(corpus: Path) -> list[LongClip]:
    """The long genuine clips that came with the corpus.

    Raises SetupError where it has none.
    """
    path = corpus / _LIST
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return [LongClip(row["file"], row["identity"]) for row in csv.DictReader(handle)]
    except (OSError, KeyError) as error:
        raise SetupError(f"cannot read {path}: {error}") from error


def measure_verdict(corpus: Path, out: Path, how: Scanning, stage: Stage, *, record: bool = False) -> Part:
    """The tables of groups and poolings, and what is usual among genuine people.

    ``record`` writes the cross-fitted rates into the registry.
    """
    gathered = verdict.read_evidence(corpus, out / "evidence", how, stage)
    found = verdict.evaluate_verdict(gathered)
    if record:
        verdict.record_cross_fitted(found)
    unseen = evaluate_unseen(*read_clips(corpus, out / "evidence", how, stage))
    genuine = [gathered.clips[e.file] for e in gathered.entries if e.genuine]
    usual = usual_values(genuine)
    lines = [*verdict.markdown(found), *_unseen_table(unseen), "", *_usual_table(usual)]
    values = asdict(found) | {
        "unseen_sources": {name: asdict(own) for name, own in unseen.items()},
        "genuine": usual,
    }
    return Part("verdict", "Verdict", lines, values)


def _unseen_table(found: Mapping[str, Figures]) -> list[str]:
    heading = f"Train clips, {SPAN_S:g} s of each, by models that never saw their sources:"
    return ["", heading, "", *figures_table(found).splitlines()] if found else []


def usual_values(clips: Sequence[ClipEvidence], seed: int = 0) -> dict[str, dict[str, float]]:
    """Of every feature: windows, median with its bootstrap interval over clips, and where 95 % lie."""
    rng = np.random.default_rng(seed)
    names = [name for group in GROUPS.values() for name in group.features]
    rows = [
        _mean(np.array([[_measured(w).get(name, np.nan) for name in names] for w in found]))
        for clip in clips
        if (found := [w for t in worth_judging(list(clip.tracks))[:1] for w in evidence(t)])
    ]
    values = np.stack(rows)
    usual = {}
    for i, feature in enumerate(names):
        own = values[np.isfinite(values[:, i]), i]
        if not len(own):
            continue
        draws = np.median(rng.choice(own, (2000, len(own))), axis=1)
        (low, high), (first, last) = percentiles(draws), percentiles(own)
        usual[feature] = {
            "clips": len(own),
            "median": float(np.median(own)),
            "interval_low": low,
            "interval_high": high,
            "usual_low": first,
            "usual_high": last,
        }
    return usual


def _measured(window: Evidence) -> dict[str, float]:
    return {name: value for own in window.measured.values() for name, value in own.items()}


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,) mean over windows (n, d) of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def _usual_table(usual: dict[str, dict[str, float]]) -> list[str]:
    heads = ("feature", "unit and meaning", "clips", "median", "its 95 % interval", "95 % of genuine clips")
    lines = []
    for group in GROUPS.values():
        for name, meaning in group.features.items():
            if v := usual.get(name):
                spans = (
                    f"{v[f'{side}_low']:.3g} to {v[f'{side}_high']:.3g}" for side in ("interval", "usual")
                )
                lines.append([name, meaning, f"{v['clips']:.0f}", f"{v['median']:.3g}", *spans])
    return table(heads, lines)


def measure_left_out(corpus: Path, out: Path, how: Scanning, stage: Stage) -> Part:
    """Fully synthetic pictures of the train split, for models trained without them."""
    record = load_registry().get("patches", how.settings.patch_model)
    rows = left_out.left_out(corpus, out, how, record.settings, stage)
    return Part("synthesis", "Synthesis", left_out.markdown(rows), {"rows": [asdict(row) for row in rows]})


def measure_behavior(corpus: Path, out: Path, teacher: Path, stage: Stage) -> Part:
    """Landmarks, units, eyes, rotation and blinks against the teacher, on people that gave no gradient."""
    samples = [
        behavior.Sample(corpus / clip.file, clip.identity, _LONG_S, 1)
        for clip in long_clips(corpus)
        if (corpus / clip.file).exists()
    ]
    samples += [
        behavior.Sample(corpus / e.file, e.identity, _SHORT_S, _EVERY)
        for e in load_split(corpus, "dev")
        if e.genuine
    ]
    registry = load_registry()
    readings = behavior.read_clips(
        samples,
        teacher,
        registry.get("landmarks"),
        registry.default("blink"),
        out / "derived" / "behavior",
        stage("reading faces", len(samples)),
    )
    if not readings:
        raise SetupError(f"no face was read in the genuine clips of {corpus}")
    found = behavior.tabulate(readings)
    return Part("behavior", "Behavior", behavior.markdown(found), asdict(found))


def measure_people(corpus: Path, how: Scanning, stage: Stage) -> Part:
    """Whether enrolled people are told from others, on the long clips."""
    from vidscan.scanner import Scanner

    clips = long_clips(corpus)
    scanner = Scanner(how.settings, device=how.device)
    advance = stage("reading long clips", len(clips))
    series: dict[str, FaceSeries] = {}
    for clip in clips:
        try:
            tracks = scanner.series(corpus / clip.file)
        except InputError:
            tracks = []
        if tracks:
            series[clip.file] = max(tracks, key=lambda s: len(s.times))
        advance()
    found = people.evaluate_people(series, {clip.file: clip.identity for clip in clips})
    return Part("people", "People", people.markdown(found), asdict(found))

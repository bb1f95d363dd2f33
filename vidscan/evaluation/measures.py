"""Parts of ``vidscan evaluate`` that need no scan of the split: the verdict, how faces are read, people."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import InputError, SetupError
from vidscan.evaluation import behavior, people, verdict
from vidscan.evaluation.left_out import left_out
from vidscan.evaluation.scanning import Scanning, load_split
from vidscan.evaluation.text import left_out_markdown
from vidscan.models import load_registry
from vidscan.training.evidence import ClipEvidence
from vidscan.types import FaceSeries
from vidscan.verdict.features import Evidence, evidence
from vidscan.verdict.groups import GROUPS
from vidscan.verdict.judge import worth_judging

_LIST = "behavior.csv"
_LONG_S, _SHORT_S = 30.0, 4.0
_EVERY = 5
"""Of dev clips every fifth frame is labelled; the long clips are labelled whole, for blinks."""

Stage = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Measure:
    """One part: its name, its text, its numbers."""

    name: str
    markdown: str
    data: dict[str, Any]


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


def measure_verdict(
    corpus: Path, out: Path, how: Scanning, stage: Stage, *, record: bool = False, rivals: bool = False
) -> Measure:
    """The tables of groups, models and poolings, and what is usual among genuine people.

    ``record`` writes the cross-fitted rates into the registry; ``rivals`` adds the published head-pose SVM.
    """
    gathered = verdict.read_evidence(corpus, out / "evidence", how, stage, rivals=rivals)
    found = verdict.evaluate_verdict(gathered)
    if record:
        verdict.record_cross_fitted(found)
    genuine = [gathered.clips[e.file] for e in gathered.entries if e.genuine]
    usual = usual_values(genuine)
    text = verdict.markdown(found) + "\n" + _usual_table(usual)
    return Measure("verdict", text, asdict(found) | {"genuine": usual})


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
        low, high = np.percentile(draws, [2.5, 97.5])
        first, last = np.percentile(own, [2.5, 97.5])
        usual[feature] = {
            "clips": len(own),
            "median": float(np.median(own)),
            "interval_low": float(low),
            "interval_high": float(high),
            "usual_low": float(first),
            "usual_high": float(last),
        }
    return usual


def _measured(window: Evidence) -> dict[str, float]:
    return {name: value for own in window.measured.values() for name, value in own.items()}


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,) mean over windows (n, d) of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def _usual_table(usual: dict[str, dict[str, float]]) -> str:
    lines = [
        "| feature | unit and meaning | clips | median | its 95 % interval | 95 % of genuine clips |",
        "|---|---|---|---|---|---|",
    ]
    for group in GROUPS.values():
        for name, meaning in group.features.items():
            if name in usual:
                v = usual[name]
                lines.append(
                    f"| {name} | {meaning} | {v['clips']:.0f} | {v['median']:.3g} | "
                    f"{v['interval_low']:.3g} to {v['interval_high']:.3g} | "
                    f"{v['usual_low']:.3g} to {v['usual_high']:.3g} |"
                )
    return "\n".join(lines) + "\n"


def measure_left_out(corpus: Path, out: Path, how: Scanning, stage: Stage) -> Measure:
    """Fully synthetic pictures of the train split, for models trained without them."""
    record = load_registry().get("patches", how.settings.patch_model)
    rows = left_out(corpus, out, how, record.settings, stage)
    return Measure("synthesis", left_out_markdown(rows), {"rows": [asdict(row) for row in rows]})


def measure_behavior(corpus: Path, out: Path, teacher: Path, stage: Stage) -> Measure:
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
    eyes = registry.get("blink") if "blink" in registry.defaults else None
    readings = behavior.read_clips(
        samples,
        teacher,
        registry.get("landmarks"),
        eyes,
        out / "derived" / "behavior",
        stage("reading faces", len(samples)),
    )
    if not readings:
        raise SetupError(f"no face was read in the genuine clips of {corpus}")
    found = behavior.tabulate(readings)
    return Measure("behavior", behavior.markdown(found), asdict(found))


def measure_people(corpus: Path, how: Scanning, stage: Stage) -> Measure:
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
    return Measure("people", people.markdown(found), asdict(found))

"""Everything ``vidscan evaluate`` does, part by part; each goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidscan.evaluation import footage, heatmaps, localisation, quality, robustness, tables
from vidscan.evaluation.forensics import measure_forensics
from vidscan.evaluation.innocent import innocent
from vidscan.evaluation.measures import (
    Part,
    Stage,
    measure_behavior,
    measure_left_out,
    measure_people,
    measure_verdict,
)
from vidscan.evaluation.plots import plot_curves, plot_localisation, plot_robustness
from vidscan.evaluation.scanning import Scanning, load_split, scan_corpus
from vidscan.evaluation.subset import read_subset
from vidscan.evaluation.text import rate_table
from vidscan.markdown import table
from vidscan.model_choice import chosen_models
from vidscan.models import load_registry
from vidscan.outputs import write_text


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is done.

    Attributes
    ----------
    split
        Of the manifest: it is scanned and tabulated; None leaves it out.
    subset
        List of the genuine clips for robustness and quality; None is the shipped one.
    robustness, quality, innocent, localisation, heatmaps
        Parts that need the split.
    verdict, people, forensics, left_out
        Parts that do not.
    behavior
        MediaPipe's file, for how faces are read.
    record
        Write the rate of false alarms into the registry, with ``verdict`` the cross-fitted one.
    plots
        Draw curves and charts.
    """

    split: str | None = "dev"
    subset: Path | None = None
    robustness: bool = False
    quality: bool = False
    innocent: bool = False
    localisation: bool = False
    heatmaps: bool = False
    verdict: bool = False
    people: bool = False
    forensics: bool = False
    left_out: bool = False
    behavior: Path | None = None
    record: bool = False
    plots: bool = False


def run_evaluation(
    corpus: Path, out: Path, how: Scanning, wanted: Wanted, stage: Stage
) -> tuple[dict[str, Any], str]:
    """Everything wanted, as plain JSON and as Markdown; both are also kept in ``out``.

    Parameters
    ----------
    corpus
        Folder with ``manifest.csv``.
    out
        Keeps scans, and derived clips in ``derived``; what is there is not made again.
    stage
        Called with what comes next and of how many files; returns what is called after each.

    Raises
    ------
    SetupError
        Where the corpus lacks what a part needs.
    """
    alone = _without_split(corpus, out, how, wanted, stage)
    for part in alone:
        write_text(out / f"{part.name}.json", to_json(part.data))
        write_text(out / f"{part.name}.md", "\n".join(part.lines) + "\n")
    data: dict[str, Any] = {}
    text = ""
    if wanted.split is not None:
        parts = _of_split(wanted.split, corpus, out, how, wanted, stage)
        data, text = parts[0].data | {part.name: part.data for part in parts[1:]}, markdown(parts)
        write_text(out / f"{wanted.split}.json", to_json(data))
        write_text(out / f"{wanted.split}.md", text)
    return data | {part.name: part.data for part in alone}, text + markdown(alone)


def to_json(data: dict[str, Any]) -> str:
    """As it is printed and kept."""
    return json.dumps(data, indent=1, default=str) + "\n"


def markdown(parts: Sequence[Part]) -> str:
    """All tables under their titles."""
    lines = [line for part in parts for line in ([f"\n## {part.title}\n"] if part.title else []) + part.lines]
    return "\n".join(lines) + "\n" if lines else ""


def _without_split(corpus: Path, out: Path, how: Scanning, wanted: Wanted, stage: Stage) -> list[Part]:
    parts = []
    if wanted.verdict:
        parts.append(measure_verdict(corpus, out, how, stage, record=wanted.record))
    if wanted.behavior is not None:
        parts.append(measure_behavior(corpus, out, wanted.behavior, stage))
    if wanted.people:
        parts.append(measure_people(corpus, how, stage))
    if wanted.forensics:
        parts.append(measure_forensics(corpus, stage))
    if wanted.left_out:
        parts.append(measure_left_out(corpus, out, how, stage))
    return parts


def _of_split(split: str, corpus: Path, out: Path, how: Scanning, wanted: Wanted, stage: Stage) -> list[Part]:
    """The split's own tables, then the parts that need its scan."""
    entries = load_split(corpus, split)
    listed = read_subset(wanted.subset, entries) if wanted.robustness or wanted.quality else []
    scored, models = scan_corpus(
        corpus, entries, out / f"{split}.jsonl", how, stage(f"scanning {split}", len(entries))
    )
    result = tables.evaluate(scored, models, split)
    parts = [Part("", "", tables.markdown(result), asdict(result))]
    if wanted.record and not wanted.verdict:
        tables.record_false_alarms(result)
    if wanted.plots:
        plot_curves(scored, out)
    if wanted.robustness:
        treated = robustness.robustness(corpus, scored, [e.file for e in listed], out, how, stage)
        lines = robustness.markdown(treated)
        parts.append(Part("robustness", "Robustness", lines, [asdict(row) for row in treated]))
        if wanted.plots:
            plot_robustness(treated, out / "robustness.png")
    if wanted.quality:
        gate = quality.quality(corpus, scored, listed, out, how, stage)
        lines = table(*quality.table(gate))
        parts.append(Part("quality", "Quality gate", lines, [asdict(row) for row in gate]))
    if wanted.innocent:
        rates = innocent(corpus, scored, out, how, stage)
        parts.append(Part("innocent", "Innocent edits", rate_table(rates), [asdict(row) for row in rates]))
    if wanted.localisation:
        used = chosen_models(load_registry(), how.settings)
        record = (used.get("encoder") or used["patches"]).settings  # whichever draws the masks
        kinds = localisation.localisation(corpus, scored, out, how, record, stage)
        lines = localisation.markdown(kinds)
        parts.append(Part("localisation", "Localisation", lines, [asdict(row) for row in kinds]))
        pairs = footage.footage(corpus, scored, out, how, stage)
        if pairs is not None:
            lines = footage.markdown(pairs)
            parts.append(Part("footage", "Localisation on same footage", lines, asdict(pairs)))
        if wanted.plots:
            plot_localisation(kinds, out / "localisation.png")
            if pairs is not None and pairs.rows:
                plot_localisation(pairs.rows, out / "footage.png")
    if wanted.heatmaps:
        maps = heatmaps.heatmaps(corpus, scored, out, how, stage)
        lines = table(*heatmaps.table(maps))
        parts.append(Part("heatmaps", "Where fakes are seen", lines, asdict(maps)))
    return parts

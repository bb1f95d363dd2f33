"""``vidscan train forensics``: the classifiers of the evidence shelf, from a corpus to the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidscan.errors import SetupError
from vidscan.forensics.learned import FEATURES, KIND, NEURONS, WindowClassifiers
from vidscan.forensics.networks import NETWORKS
from vidscan.forensics.resampling import KIND as RESAMPLING
from vidscan.models import ModelRecord, register
from vidscan.training.corpus import choose, read_manifest
from vidscan.training.figures import Figures, figures
from vidscan.training.forensics.heads import HeadsRecipe, by_file, genuine_levels, learn
from vidscan.training.forensics.resampling import ResamplingRecipe, learn_resampling, pristine
from vidscan.training.forensics.windows import Window, dev_entries, read_windows, train_entries

if TYPE_CHECKING:
    from torch import Tensor

Stage = Callable[[str, int], Callable[[], None]]
NAMES = (*FEATURES, *NETWORKS, NEURONS)
"""The classifiers of windows."""


@dataclass(frozen=True, slots=True)
class ForensicsRecipe:
    """Everything that decides the classifiers."""

    per_method: int = 2
    """Files of every generator, as many genuine ones."""
    heads: HeadsRecipe = field(default_factory=HeadsRecipe)
    resampling: ResamplingRecipe = field(default_factory=ResamplingRecipe)


@dataclass(frozen=True, slots=True)
class ForensicsRun:
    """What training came to.

    Attributes
    ----------
    records
        The registered models.
    left_out
        Figures by classifier on train clips, each judged by a classifier that never saw its source.
    dev
        Figures by classifier on a small fixed sample of dev; empty where the corpus has no dev clips.
    resampling
        Areas by characteristic and network, on patches of pictures left out.
    """

    records: tuple[ModelRecord, ...]
    left_out: dict[str, Figures]
    dev: dict[str, Figures]
    resampling: dict[str, dict[str, float]]


def train_forensics(
    corpus: Path,
    work: Path,
    weights: Path,
    recipe: ForensicsRecipe,
    *,
    beside: Mapping[str, float] | None = None,
    stage: Stage = lambda name, files: lambda: None,
) -> ForensicsRun:
    """Learn from the train split, judge with sources left out and on dev, and register.

    Parameters
    ----------
    corpus
        Its folder.
    work
        Keeps the windows.
    weights
        Where the models are registered.
    recipe
        What is learned, and how.
    beside
        Scores by file of another detector, for a row of the table ("beside").
    stage
        Told what comes next.

    Raises
    ------
    SetupError
        Where the corpus lacks a side, or pictures of genuine people.
    """
    entries, parts = train_entries(corpus, recipe.per_method)
    windows = read_windows(corpus, entries, parts, work / "windows", stage("cutting windows", len(entries)))
    if not windows:
        raise SetupError(f"no face was found in the train split of {corpus}")
    heads, left_out = _learn_heads(windows, weights, recipe, beside, stage)
    resampling, judged = _learn_resampling(corpus, weights, recipe, stage)
    return ForensicsRun(
        (heads, resampling), left_out, _on_dev(corpus, work, WindowClassifiers(heads), stage), judged
    )


def _learn_heads(
    windows: list[Window],
    weights: Path,
    recipe: ForensicsRecipe,
    beside: Mapping[str, float] | None,
    stage: Stage,
) -> tuple[ModelRecord, dict[str, Figures]]:
    entries = list({w.entry.file: w.entry for w in windows}.values())
    advance = stage("learning classifiers", len(NAMES))
    tensors: dict[str, Tensor] = {}
    judged: dict[str, Any] = {}
    found: dict[str, Figures] = {}
    for name in NAMES:
        learnt = learn(name, windows, recipe.heads)
        found[name] = figures(entries, learnt.left_out)
        tensors |= {f"{name}.{key}": value for key, value in learnt.tensors.items()}
        judged[name] = {
            "auc": found[name].all.value,
            "interval": list(found[name].all.interval),
            "genuine": genuine_levels(learnt, windows),
        }
        advance()
    if beside is not None:
        found["beside"] = figures([e for e in entries if e.file in beside], beside)
    genuine = {w.entry.identity for w in windows if w.entry.genuine}
    record = register(
        weights,
        "forensic-windows",
        tensors,
        {
            "kind": KIND,
            "colour": "RGB",
            "range": [0, 255],
            "windows": len(windows),
            "generators": len({e.method for e in entries if not e.genuine}),
            "people": len(genuine),
            "judged": judged,
            "recipe": asdict(recipe.heads) | {"per_method": recipe.per_method},
        },
    )
    return record, found


def _learn_resampling(
    corpus: Path, weights: Path, recipe: ForensicsRecipe, stage: Stage
) -> tuple[ModelRecord, dict[str, dict[str, float]]]:
    stills = [e for e in read_manifest(corpus) if e.split == "train" and e.genuine and e.kind != "video"]
    chosen = choose(stills, recipe.resampling.pictures)
    advance = stage("reading pictures", len(chosen))
    pictures = []
    for entry in chosen:
        if (picture := pristine(corpus / entry.file)) is not None:
            pictures.append(picture)
        advance()
    learnt = learn_resampling(pictures, recipe.resampling, stage("learning resampling", 3))
    record = register(
        weights,
        "forensic-resampling",
        learnt.tensors,
        {
            "kind": RESAMPLING,
            "pictures": len(pictures),
            "patches": learnt.patches,
            "judged": learnt.judged,
            "recipe": asdict(recipe.resampling),
        },
    )
    return record, learnt.judged


def _on_dev(corpus: Path, work: Path, judge: WindowClassifiers, stage: Stage) -> dict[str, Figures]:
    entries = dev_entries(corpus)
    advance = stage("judging on dev", len(entries))
    windows = read_windows(corpus, entries, [-1] * len(entries), work / "windows", advance)
    if not windows:
        return {}
    faces, aligned = (np.stack([getattr(w, name) for w in windows]) for name in ("face", "aligned"))
    return {
        name: figures(entries, by_file(windows, judge.log_odds(name, aligned if name == NEURONS else faces)))
        for name in NAMES
    }

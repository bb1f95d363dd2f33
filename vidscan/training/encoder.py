"""Training the encoder's head, and judging it with sources left out.

The encoder stays frozen, so its descriptions are read once (:mod:`vidscan.training.descriptions`); a head
takes seconds, and every choice can be made by leaving sources out (:mod:`vidscan.training.sources`).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.models import ModelRecord, register
from vidscan.patches.encoder import REGIONS
from vidscan.report.files import write_text
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.descriptions import Described, described, start_tensors
from vidscan.training.figures import Figures, figures
from vidscan.training.linear_head import LinearHead, Space, crop_weights, fit_logistic
from vidscan.training.sources import FOLDS, source_folds

NAME = "encoder-dinov2-vits14"
LEFT_OUT = "left_out.json"
"""In the work folder: for every train clip the log-odds of heads that never saw its source."""


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Everything that decides a head.

    Attributes
    ----------
    taps
        Depths of the encoder that are read.
    frames
        Spread frames of every clip.
    regions
        Of :data:`vidscan.patches.encoder.REGIONS`; the others get no weight.
    strength
        Inverse of the penalty (scikit-learn's C).
    power
        A source and method counts like the number of its crops to the power 1 - ``power``.
    stills
        Whether pictures are learnt from beside film.
    generators, people
        At most so many methods and genuine people (0: all), chosen at random: for learning curves.
    seed
        Of that choice and of the parts.
    """

    taps: tuple[int, ...] = (2, 4, 6, 8)
    frames: int = 2
    regions: tuple[str, ...] = REGIONS
    strength: float = 0.003
    power: float = 0.5
    stills: bool = False
    generators: int = 0
    people: int = 0
    seed: int = 0

    def key(self) -> str:
        """Short hash, for the ledger."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Material:
    """Described crops of the train split, with the part that each belongs to.

    Attributes
    ----------
    crops
        In file order.
    features
        (n, d) float16.
    parts
        (n,) 0 to 4: see :func:`vidscan.training.sources.source_folds`.
    """

    crops: Sequence[Described]
    features: NDArray[np.float16]
    parts: NDArray[np.int64]


def read_material(
    corpus: Path,
    start: Path,
    work: Path,
    recipe: HeadRecipe,
    *,
    jobs: int = 0,
    stage: Callable[[str, int], Callable[[], None]] = lambda name, files: lambda: None,
) -> Material:
    """Describe the train split, as far as ``work`` has not got it.

    Raises SetupError where no face is found, or the sources are too few.
    """
    entries = [e for e in read_manifest(corpus) if e.split == "train"]
    advance = stage("describing crops", len(entries))
    crops = described(
        corpus, entries, start, recipe.taps, work / "descriptions", frames=recipe.frames, jobs=jobs, advance=advance
    )
    if not crops:
        raise SetupError(f"no face was found in the train split of {corpus}")
    try:
        part_of = dict(zip([e.file for e in entries], source_folds(entries, seed=recipe.seed), strict=True))
    except ValueError as error:
        raise SetupError(f"the corpus cannot be parted by source: {error}") from error
    parts = np.array([part_of[c.entry.file] for c in crops])
    return Material(crops, np.stack([c.features for c in crops]), parts)


def fit_heads(material: Material, recipe: HeadRecipe, leave_out: Sequence[int | None]) -> list[LinearHead]:
    """A head for each of ``leave_out``: learnt without that part, or with all where None.

    Raises SetupError where a side has no crops.
    """
    chosen = _chosen(material, recipe)
    crops = [material.crops[i] for i in chosen]
    used = _feature_mask(material.features.shape[1], recipe)
    space = Space.of(material.features[chosen][:, used])
    forged = np.array([not c.entry.genuine for c in crops])
    groups = [(c.entry.repo, c.entry.method if not c.entry.genuine else "") for c in crops]
    heads = []
    for part in leave_out:
        rows = np.flatnonzero(material.parts[chosen] != part)
        try:
            weights = crop_weights([groups[i] for i in rows], forged[rows], recipe.power)
        except ValueError as error:
            raise SetupError(f"the corpus cannot train a head: {error}") from error
        fitted = fit_logistic(space.points[rows], forged[rows], weights, recipe.strength)
        narrow = space.head(*fitted)
        wide = np.zeros(material.features.shape[1], np.float32)
        wide[used] = narrow.weight
        heads.append(LinearHead(wide, narrow.bias))
    return heads


def _chosen(material: Material, recipe: HeadRecipe) -> NDArray[np.int64]:
    """Rows of the crops that the recipe learns from."""
    rng = np.random.default_rng(recipe.seed)
    methods = sorted({c.entry.method for c in material.crops if not c.entry.genuine})
    people = sorted({c.entry.identity for c in material.crops if c.entry.genuine})
    if recipe.generators:
        methods = list(rng.permutation(methods)[: recipe.generators])
    if recipe.people:
        people = list(rng.permutation(people)[: recipe.people])
    allowed = set(methods), set(people)
    return np.array(
        [
            i
            for i, c in enumerate(material.crops)
            if (recipe.stills or c.entry.kind == "video")
            and (c.entry.identity in allowed[1] if c.entry.genuine else c.entry.method in allowed[0])
        ],
        np.int64,
    )


def _feature_mask(width: int, recipe: HeadRecipe) -> NDArray[np.bool_]:
    """(d,) which features belong to the recipe's regions."""
    named = np.array([region in recipe.regions for region in REGIONS])
    return np.broadcast_to(
        named[None, :, None], (2 * len(recipe.taps), len(REGIONS), width // (2 * len(recipe.taps) * len(REGIONS)))
    ).ravel()


def left_out_scores(material: Material, recipe: HeadRecipe) -> dict[str, float]:
    """Log-odds of every file, the mean over its crops, by the head that never saw its source."""
    heads = fit_heads(material, recipe, range(FOLDS))
    found: dict[str, list[float]] = defaultdict(list)
    for part, head in enumerate(heads):
        rows = np.flatnonzero(material.parts == part)
        for i, value in zip(rows, head.log_odds(material.features[rows]), strict=True):
            found[material.crops[i].entry.file].append(float(value))
    return {file: float(np.mean(own)) for file, own in found.items()}


def cross_validate(material: Material, recipe: HeadRecipe) -> Figures:
    """Figures of :func:`left_out_scores`."""
    entries = {c.entry.file: c.entry for c in material.crops}
    return figures(list(entries.values()), left_out_scores(material, recipe))


def train_encoder(
    corpus: Path,
    start: Path,
    work: Path,
    weights: Path,
    recipe: HeadRecipe,
    *,
    jobs: int = 0,
    stage: Callable[[str, int], Callable[[], None]] = lambda name, files: lambda: None,
) -> ModelRecord:
    """Fit the head on all of train, and register it with the encoder; left-out scores stay in ``work``.

    Raises SetupError where the start or the corpus is not usable.
    """
    material = read_material(corpus, start, work, recipe, jobs=jobs, stage=stage)
    write_text(work / LEFT_OUT, json.dumps(left_out_scores(material, recipe), indent=0))
    (head,) = fit_heads(material, recipe, [None])
    tensors = start_tensors(start, recipe.taps)
    tensors["pos_embed"] = tensors["pos_embed"].half()
    tensors |= {"head.weight": torch.from_numpy(head.weight), "head.bias": torch.tensor([head.bias])}
    learnt = [material.crops[i].entry for i in _chosen(material, recipe)]
    return register(
        weights,
        NAME,
        tensors,
        {
            "kind": "encoder",
            "architecture": "vit_small_patch14_dinov2",
            "taps": list(recipe.taps),
            "regions": list(recipe.regions),
            "colour": "RGB",
            "range": [0, 255],
            "learnt_from": {
                "crops": len(learnt),
                "generators": len({e.method for e in learnt if not e.genuine}),
                "people": len({e.identity for e in learnt if e.genuine}),
            },
            "recipe": asdict(recipe),
        },
    )

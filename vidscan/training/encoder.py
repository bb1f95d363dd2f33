"""Training the encoder's heads, and judging them with sources left out.

The encoder stays frozen, so its descriptions are read once (:mod:`vidscan.training.descriptions`); a head
takes seconds, and every choice can be made by leaving sources out (:mod:`vidscan.training.sources`).

A forgery is either a whole picture or a region of real footage, and one linear head cannot serve both: what
own pairs teach it of regions takes from what it knows of whole pictures. So each has a head, a crop is as
suspicious as either finds it, and both speak in the same unit: deviations of genuine people never seen.

Each is learned twice, on aligned crops and on native ones (:mod:`vidscan.patches.encoder`). A clip's looks
are of both in turn, so that its score is the mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.digests import digest
from vidscan.errors import SetupError
from vidscan.models import ModelRecord, load_registry, register
from vidscan.patches.encoder import MEAN, REGIONS, SPEC, STD
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.descriptions import (
    TUNED,
    Described,
    Describer,
    is_tuned,
    pair_looks,
    start_tensors,
)
from vidscan.training.figures import Figures, figures
from vidscan.training.linear_head import LinearHeads, Standardised, crop_weights
from vidscan.training.own_pairs import PairRecipe
from vidscan.training.sources import FOLDS, parts_of
from vidscan.training.token_map import TokenMap, fit_token_map
from vidscan.training.unseen import register_left_out

NAME = "encoder-dinov2-vits14"


@dataclass(frozen=True, slots=True)
class Shares:
    """How much clips, pictures and pairs of our own forgeries count for a head.

    Genuine and forged crops of each weigh alike, so that neither film nor photograph is a sign of forgery.
    """

    film: float
    stills: float
    own: float


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Everything that decides the heads.

    Attributes
    ----------
    taps
        Depths of the encoder that are read.
    moments
        Where every clip is looked at, as shares of its duration.
    regions
        Of :data:`vidscan.patches.encoder.REGIONS`; the others get no weight.
    strength
        Inverse of the penalty (scikit-learn's C).
    power
        A source and method counts like the number of its crops to the power 1 - ``power``.
    heads
        What each learns from, by name.
    pairs
        How the own pairs are made.
    native
        Heads for native crops, too.
    native_pairs
        At most so many own pairs teach these.
    map_pairs
        At most so many teach the head of masks.
    generators, people
        At most so many methods and genuine people (0: all), chosen at random: for learning curves.
    seed
        Of that choice and of the parts.
    """

    taps: tuple[int, ...] = (2, 4, 6, 8)
    moments: tuple[float, ...] = (0.1, 0.37, 0.63, 0.9)
    regions: tuple[str, ...] = REGIONS
    strength: float = 0.006
    power: float = 0.5
    heads: dict[str, Shares] = field(
        default_factory=lambda: {"picture": Shares(0.75, 0.25, 0.0), "region": Shares(0.3, 0.2, 0.5)}
    )
    pairs: PairRecipe = field(default_factory=PairRecipe)
    native: bool = True
    native_pairs: int = 1500
    map_pairs: int = 1200
    generators: int = 0
    people: int = 0
    seed: int = 0

    def key(self) -> str:
        """Short hash of all that decides the heads that judge, for the ledger."""
        idle = {"map_pairs"} if self.native else {"map_pairs", "native", "native_pairs"}
        return digest({name: value for name, value in asdict(self).items() if name not in idle})


@dataclass(frozen=True, slots=True)
class Material:
    """Described crops of the train split, with the part that each belongs to.

    Attributes
    ----------
    crops
        Those of the corpus in file order, then own pairs.
    parts
        (n,) 0 to 4: see :func:`vidscan.training.sources.source_folds`.
    """

    crops: Sequence[Described]
    parts: NDArray[np.int64]

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(m, d) features of some of the crops."""
        return np.stack([self.crops[int(i)].features for i in rows]).astype(np.float32)


def read_material(
    corpus: Path,
    start: Path,
    work: Path,
    recipe: HeadRecipe,
    *,
    native: bool = False,
    jobs: int = 0,
    stage: Callable[[str, int], Callable[[], None]] = lambda name, files: lambda: None,
) -> Material:
    """Describe the train split, as far as ``work`` has not got it, by aligned crops or by ``native`` ones.

    Raises SetupError where no face is found, or the sources are too few.
    """
    entries = _train_entries(corpus)
    genuine = [e for e in entries if e.genuine]
    describer = Describer(corpus, start, recipe.taps, work / "descriptions", jobs=jobs)
    kind = "native" if native else "aligned"
    crops = describer.corpus_crops(
        entries, recipe.moments, stage(f"describing {kind} crops", len(entries)), native=native
    )
    most = recipe.native_pairs if native else None
    looks = len(pair_looks(genuine, recipe.pairs)[:most])
    crops += describer.own_pairs(
        genuine, recipe.pairs, stage(f"forging {kind} pairs", looks), most=most, native=native
    )
    if not crops:
        raise SetupError(f"no face was found in the train split of {corpus}")
    return Material(crops, parts_of([c.entry for c in crops], entries, recipe.seed))


def _train_entries(corpus: Path) -> list[Entry]:
    return [e for e in read_manifest(corpus) if e.split == "train"]


def _token_map(
    corpus: Path,
    start: Path,
    work: Path,
    recipe: HeadRecipe,
    *,
    jobs: int,
    stage: Callable[[str, int], Callable[[], None]],
) -> TokenMap:
    """The head of masks; raises SetupError where no own pair can be made."""
    entries = _train_entries(corpus)
    genuine = [e for e in entries if e.genuine]
    pairs = replace(recipe.pairs, per_clip=1)
    most = min(recipe.map_pairs, len(genuine))
    describer = Describer(corpus, start, recipe.taps, work / "descriptions", jobs=jobs)
    tokens = describer.pair_tokens(genuine, pairs, most, stage("reading patches", most))
    return fit_token_map(tokens, parts_of(tokens.entries, entries, recipe.seed), len(recipe.taps))


def fit_heads(material: Material, recipe: HeadRecipe, leave_out: Sequence[int | None]) -> list[LinearHeads]:
    """Heads for each of ``leave_out``: learned without that part, or with all where None.

    Raises SetupError where a side has no crops.
    """
    chosen = _chosen(material, recipe)
    if not len(chosen):
        raise SetupError("the recipe leaves nothing to learn from")
    width = len(material.crops[0].features)
    used = _feature_mask(width, recipe)
    standardised = Standardised.of(np.ascontiguousarray(material.features(chosen)[:, used]))
    found = []
    for part in leave_out:
        rows = np.flatnonzero(material.parts[chosen] != part)
        crops = [material.crops[int(i)] for i in chosen[rows]]
        forged = np.array([c.forged for c in crops])
        heads = LinearHeads(
            np.zeros((len(recipe.heads), width), np.float32), np.zeros(len(recipe.heads), np.float64)
        )
        for k, shares in enumerate(recipe.heads.values()):
            weights = _weights(crops, shares, recipe.power)
            taught = np.flatnonzero(weights)
            heads.weight[k, used], heads.bias[k] = standardised.fit(
                rows[taught], forged[taught], weights[taught], recipe.strength
            )
        found.append(heads)
    return found


def kind_of(entry: Entry) -> str:
    """``film`` or ``stills``: what the fields of :class:`Shares` are called."""
    return "film" if entry.kind == "video" else "stills"


def _kind(crop: Described) -> str:
    return "own" if crop.own else kind_of(crop.entry)


def _weights(crops: Sequence[Described], shares: Shares, power: float) -> NDArray[np.float64]:
    """(n,) weights of crops; they sum to the number of clips, however often each is looked at.

    Pictures or own pairs of which only one side is there do not count; SetupError where it is film.
    """
    kinds = np.array([_kind(c) for c in crops])
    weights = np.zeros(len(crops))
    for kind, share in asdict(shares).items():
        rows = np.flatnonzero(kinds == kind)
        if share <= 0:
            continue
        these = [crops[int(i)] for i in rows]
        # Of own pairs both sides are the same people.
        groups = [("", "") if c.own else (c.entry.repo, c.entry.method) for c in these]
        forged = np.array([c.forged for c in these], np.bool_)
        if kind != "film" and (forged.all() or not forged.any()):
            continue
        try:
            own = crop_weights(groups, forged, power)
        except ValueError as error:
            raise SetupError(f"the corpus cannot train a head on film: {error}") from error
        weights[rows] = own / own.sum() * share
    clips = {c.entry.file for c, kind in zip(crops, kinds, strict=True) if kind == "film"}
    return weights / weights.sum() * len(clips)


def _chosen(material: Material, recipe: HeadRecipe) -> NDArray[np.int64]:
    """Rows of the crops that the recipe learns from."""
    rng = np.random.default_rng(recipe.seed)
    methods = sorted({c.entry.method for c in material.crops if not c.entry.genuine})
    people = sorted({c.entry.identity for c in material.crops if c.entry.genuine})
    if recipe.generators:
        methods = list(rng.permutation(methods)[: recipe.generators])
    if recipe.people:
        people = list(rng.permutation(people)[: recipe.people])
    allowed = {*methods}, {*people}
    taught = {kind for shares in recipe.heads.values() for kind, share in asdict(shares).items() if share > 0}
    return np.array(
        [
            i
            for i, c in enumerate(material.crops)
            if _kind(c) in taught
            and (c.entry.identity in allowed[1] if c.entry.genuine else c.entry.method in allowed[0])
        ],
        np.int64,
    )


def _feature_mask(width: int, recipe: HeadRecipe) -> NDArray[np.bool_]:
    """(d,) which features belong to the recipe's regions."""
    named = np.array([region in recipe.regions for region in REGIONS])
    blocks = 2 * len(recipe.taps)
    channels = width // (blocks * len(REGIONS))
    return np.broadcast_to(named[None, :, None], (blocks, len(REGIONS), channels)).ravel()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What heads say of crops whose source they never saw.

    Attributes
    ----------
    scores
        Of every file of the corpus, the mean over its crops: deviations from genuine clips.
    centre, deviation
        (k,) of each head's log-odds of genuine clips.
    """

    scores: dict[str, float]
    centre: NDArray[np.float64]
    deviation: NDArray[np.float64]


def left_out(material: Material, fitted: Sequence[LinearHeads]) -> LeftOut:
    """Every crop of the corpus judged by the heads that never saw its source.

    ``fitted`` (5,) are learned without a part each (:func:`fit_heads`).
    """
    found = np.full((len(material.crops), len(fitted[0].bias)), np.nan)
    corpus = np.array([not c.own for c in material.crops])
    for part, heads in enumerate(fitted):
        rows = np.flatnonzero((material.parts == part) & corpus)
        found[rows] = heads.log_odds(material.features(rows))
    genuine = found[[i for i, c in enumerate(material.crops) if _kind(c) == "film" and not c.forged]]
    centre, deviation = np.median(genuine, 0), genuine.std(0)
    scores: dict[str, list[float]] = defaultdict(list)
    for i in np.flatnonzero(corpus):
        scores[material.crops[int(i)].entry.file].append(float(((found[i] - centre) / deviation).max()))
    return LeftOut({file: float(np.mean(own)) for file, own in scores.items()}, centre, deviation)


def cross_validate(materials: Sequence[Material], recipe: HeadRecipe) -> Figures:
    """Figures of :func:`left_out`, the mean over ``materials``: the same corpus by each kind of crop.

    Raises SetupError where a part has nothing to learn from.
    """
    found = [left_out(own, fit_heads(own, recipe, range(FOLDS))) for own in materials]
    return figures(entries_of(materials), mean_scores(found))


def mean_scores(found: Sequence[LeftOut]) -> dict[str, float]:
    """Of every file the mean over those that have it: its looks are of each kind in turn."""
    files = {file for one in found for file in one.scores}
    return {file: float(np.mean([one.scores[file] for one in found if file in one.scores])) for file in files}


def entries_of(materials: Sequence[Material]) -> list[Entry]:
    """Every file of the corpus that a crop is of, once."""
    return list({c.entry.file: c.entry for own in materials for c in own.crops if not c.own}.values())


def shipped_start() -> Path:
    """The shipped encoder, to which training gives other heads; raises WeightsError where there is none."""
    record = load_registry().get("encoder")
    record.verify()
    return record.path


def variants(*, curves: bool = False) -> dict[str, HeadRecipe]:
    """What ``vidscan train cross`` compares, by name: the shipped recipe, its control, and parts of it.

    ``curves`` adds the shipped recipe on fewer generators and on fewer genuine people.
    """
    shipped = HeadRecipe()
    aligned, heads = replace(shipped, native=False), shipped.heads
    found = {
        "shipped": shipped,
        "control: outside the face alone": replace(shipped, regions=("outside",)),
        "aligned crops alone": aligned,
        "of these, picture head alone": replace(aligned, heads={"picture": heads["picture"]}),
        "region head alone": replace(aligned, heads={"region": heads["region"]}),
        "one head for both": replace(aligned, heads={"both": Shares(0.6, 0.2, 0.2)}),
        "film alone": replace(aligned, heads={"picture": Shares(1.0, 0.0, 0.0)}),
        "inner face alone": replace(aligned, regions=("inner",)),
        "without what lies outside": replace(aligned, regions=tuple(r for r in REGIONS if r != "outside")),
        "control": replace(aligned, regions=("outside",)),
    }
    if curves:
        found |= {f"{n} generators": replace(shipped, generators=n) for n in (10, 20, 40, 80, 160)}
        found |= {f"{n} genuine people": replace(shipped, people=n) for n in (30, 75, 150)}
    return found


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
    """Fit the heads on all of train, and register them with the encoder.

    Heads that never saw a part of the sources are registered beside it: the verdict is calibrated by them
    (:mod:`vidscan.training.unseen`). Not so where the start was tuned (:mod:`vidscan.training.tuning`): it
    has seen all of them itself. The record holds what such heads say of genuine clips (``left_out``), which
    :mod:`vidscan.training.adapt_clips` keeps to.

    Raises SetupError where the start or the corpus is not usable.
    """
    tensors, tuned = start_tensors(start, recipe.taps), is_tuned(start)
    tensors["pos_embed"] = tensors["pos_embed"].half()
    token_map = _token_map(corpus, start, work, recipe, jobs=jobs, stage=stage)
    tensors |= {"map.weight": token_map.weight, "map.bias": token_map.bias}
    materials, found, learnt, apart = [], [], [], {}
    for native, name in ((False, "head"), (True, "native"))[: 1 + recipe.native]:
        material = read_material(corpus, start, work, recipe, native=native, jobs=jobs, stage=stage)
        *fitted, heads = fit_heads(material, recipe, [*range(FOLDS), None])
        unseen = left_out(material, fitted)
        apart[name] = [own.rescaled(unseen.centre, unseen.deviation) for own in fitted]
        heads = heads.rescaled(unseen.centre, unseen.deviation)
        tensors |= {
            f"{name}.weight": torch.from_numpy(heads.weight),
            f"{name}.bias": torch.from_numpy(heads.bias).float(),
        }
        materials.append(material)
        found.append(unseen)
        learnt += [material.crops[int(i)].entry for i in _chosen(material, recipe)]
    scores = mean_scores(found)
    genuine = [scores[e.file] for e in entries_of(materials) if e.genuine and e.kind == "video"]
    record = register(
        weights,
        NAME,
        tensors,
        {
            "kind": "encoder",
            "architecture": "vit_small_patch14_dinov2",
            "taps": list(recipe.taps),
            "regions": list(recipe.regions),
            "heads": list(recipe.heads),
            "crop": asdict(SPEC),
            "mask": asdict(token_map.scale),
            "colour": "RGB",
            "range": [0, 255],
            "mean": list(MEAN),
            "std": list(STD),
            "learnt_from": {
                "crops": len(learnt),
                "generators": sorted({e.method for e in learnt if not e.genuine}),
                "people": len({e.identity for e in learnt if e.genuine}),
            },
            "left_out": {
                "median": float(np.median(genuine)),
                "deviation": float(np.std(genuine)),
                "clips": len(genuine),
            },
            "recipe": asdict(recipe),
            "tuned": tuned,
        },
        TUNED if tuned else None,
    )
    if not tuned:
        register_left_out(weights, record, apart, _train_entries(corpus), recipe.seed)
    return record

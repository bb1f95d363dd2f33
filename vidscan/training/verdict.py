"""Fitting the verdict: a one-class model on genuine train people, calibrated on genuine people never seen.

Forged clips have no part in it. Windows are compared with those of dev people. Thresholds are set by these
and by the train people, each of them judged by encoder heads that never saw their source
(:mod:`vidscan.training.unseen`). How many false alarms that makes is measured by cross-fitting: each fold of
dev people is judged by thresholds that all others set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.models import ModelRecord, load_registry, register, update_record
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.evidence import ClipEvidence, gather_all
from vidscan.training.unseen import parts_unseen
from vidscan.types import Track
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.calibration import ScoreScale
from vidscan.verdict.combine import Survival, among_tracks
from vidscan.verdict.features import evidence
from vidscan.verdict.groups import COLUMNS, GROUPS
from vidscan.verdict.judge import Judge, QualityLimits, is_picture, worth_judging
from vidscan.verdict.one_class import LinearOneClassSVM
from vidscan.verdict.standardiser import Column, Standardiser
from vidscan.verdict.statistic import EvidenceStatistic, QualityEffect

NAME = "verdict-evidence"
FOLDS = 10
WEIGHTS: dict[str, float] = {group.name: group.weight for group in GROUPS.values()}
"""How much each group counts."""
CORNER = 6.0
"""Standard deviations from the median at which every feature is as suspicious as can be."""


@dataclass(frozen=True, slots=True)
class VerdictRecipe:
    """How the verdict is fitted."""

    weights: Mapping[str, float] | None = None
    """By group; :data:`WEIGHTS` where None. A group without weight is no part of the verdict."""
    normalise_quality: bool = True
    """Take off what face size, sharpness and compression do to genuine clips."""
    manipulated_fpr: float = 0.01
    uncertain_fpr: float = 0.05
    min_face_px: float = 48.0
    min_brightness: float = 25.0
    sharpness_percentile: float = 0.5
    min_seconds: float = 0.5
    """In less, genuine clips are called uncertain more often than is promised."""
    min_crops: int = 3
    """So many are analyzed in two thirds of a second; one bad one among them is outvoted."""
    bits_percentile: float = 0.5
    bits_share: float = 0.5
    """The least bits per pixel: this share of that percentile of the genuine clips, since newer codecs need
    half of H.264's for the same picture."""
    min_detail_px: float = 36.0
    """99 of 100 genuine train clips show as much. Blurred ones that show less are accused too often."""


def windows(
    clips: Sequence[ClipEvidence], columns: Sequence[Column] = COLUMNS
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n, d) ``columns`` of all windows of all tracks worth judging, and (n, d) their validity."""
    tracks = [track for clip in clips for track in worth_judging(clip.tracks)]
    found = [window for track in tracks for window in evidence(track, columns)]
    if not found:
        raise SetupError("no face was found in the genuine clips")
    return np.stack([w.values for w in found]), np.stack([w.valid for w in found])


def fit_statistic(
    clips: Sequence[ClipEvidence], reference: Sequence[ClipEvidence], recipe: VerdictRecipe
) -> EvidenceStatistic:
    """The one-class model of genuine ``clips``; its windows are compared with those of ``reference``.

    Raises SetupError where clips are too few, or no face was found in them.
    """
    weights = _weights(recipe)
    columns = tuple(column for column in COLUMNS if column.group in weights)
    values, valid = windows(clips, columns)
    limits = {group.name: group.limit for group in GROUPS.values()}
    try:
        standardiser = Standardiser.fit(values, valid, columns, weights, limits, signed=True)
    except ValueError as error:
        raise SetupError(f"the genuine clips cannot train a verdict: {error}") from error
    points = standardiser.transform(values, valid)
    model = LinearOneClassSVM.fit(points, corner=standardiser.weight * CORNER)
    fitted = EvidenceStatistic(standardiser, model, np.zeros(0), QualityEffect.none())
    fitted = replace(fitted, margins_of_genuine=_margins(fitted, reference))
    return with_quality(fitted, reference) if recipe.normalise_quality else fitted


def _weights(recipe: VerdictRecipe) -> dict[str, float]:
    """By group, of those that count."""
    given = WEIGHTS if recipe.weights is None else recipe.weights
    return {group: weight for group, weight in given.items() if weight}


def with_quality(fitted: EvidenceStatistic, clips: Sequence[ClipEvidence]) -> EvidenceStatistic:
    """The same, with the effect of quality learned from the longest track of each of ``clips``."""
    plain = replace(fitted, quality=QualityEffect.none())
    tracks = [(_longest(clip), clip.bits_per_pixel) for clip in clips]
    found = [(t, bits) for t, bits in tracks if t is not None]
    statistics = np.array([plain.assess(t, bits).statistic for t, bits in found])
    measures = np.stack([QualityEffect.measures(t, bits) for t, bits in found])
    return replace(fitted, quality=QualityEffect.fit(measures, statistics))


def _longest(clip: ClipEvidence) -> Track | None:
    tracks = worth_judging(clip.tracks)
    return max(tracks, key=lambda t: (len(t.faces), -t.track_id), default=None)


def _margins(fitted: EvidenceStatistic, clips: Sequence[ClipEvidence]) -> NDArray[np.float64]:
    values, valid = windows(clips, fitted.standardiser.columns)
    return fitted.model.score_samples(fitted.standardiser.transform(values, valid))


@dataclass(frozen=True, slots=True)
class Charge:
    """What a clip is charged with.

    Attributes
    ----------
    value
        The highest statistic of its tracks.
    tracks
        How many it was looked for in.
    clear
        Whether the value is that of a face fit to be judged. If so, poorer faces have no part in it: they can
        make a clip uncertain, but never accuse it.
    """

    value: float
    tracks: int
    clear: bool


def charge(clip: ClipEvidence, limits: QualityLimits, measure: Callable[[Track], float]) -> Charge | None:
    """The highest ``measure`` of a clip's tracks, as the judge with these ``limits`` reads it.

    None without a face.
    """
    tracks = worth_judging(clip.tracks)
    if not tracks:
        return None
    picture = is_picture(clip.tracks)
    clear = [t for t in tracks if not limits.quality(t, clip.bits_per_pixel, picture).flags]
    return Charge(max(map(measure, clear or tracks)), len(tracks), bool(clear))


def clip_statistic(fitted: EvidenceStatistic, clip: ClipEvidence, limits: QualityLimits) -> Charge | None:
    """:func:`charge` by all the evidence."""
    return charge(clip, limits, lambda track: fitted.assess(track, clip.bits_per_pixel).statistic)


def patch_level(track: Track) -> float:
    """The patch statistic of a track."""
    return statistic(np.array([f.time_s for f in track.faces]), np.array([f.score for f in track.faces]))


def _face_px(track: Track) -> float:
    return float(np.median([f.face_px for f in track.faces]))


def calibrated(
    fitted: EvidenceStatistic,
    people: Mapping[str, Sequence[ClipEvidence]],
    recipe: VerdictRecipe,
    bin_name: str,
    unseen: Mapping[str, Sequence[ClipEvidence]] | None = None,
) -> Judge:
    """A judge whose thresholds ``people`` set: one statistic each, the median of a person's clips.

    People ``unseen`` by the encoder's heads set them, too (:func:`at_level`), but not what a face needs to be
    judged, nor the thresholds of the patch classifier, which may have learned from them.

    Raises SetupError where they are too few for the rates asked for.
    """
    limits = quality_limits(people, recipe)
    charges, lent = (
        one_a_person(some, lambda clip: clip_statistic(fitted, clip, limits))
        for some in (people, unseen or {})
    )
    brought = at_level([c.value for c in lent], [c.value for c in charges])
    charges += [replace(c, value=float(value)) for c, value in zip(lent, brought, strict=True)]
    levels = np.array([c.value for c in one_a_person(people, lambda clip: charge(clip, limits, patch_level))])
    try:
        # Clips of several faces are judged by a lowered statistic; so is this one.
        plain = Survival.fit([c.value for c in charges])
        found = np.array(
            [among_tracks(c.value, c.tracks, plain) if c.tracks > 1 else c.value for c in charges]
        )
        scale, patch_scale = (
            ScoreScale.fit(
                v,
                manipulated_fpr=recipe.manipulated_fpr,
                uncertain_fpr=recipe.uncertain_fpr,
                bin_name=bin_name,
            )
            for v in (found, levels)
        )
    except ValueError as error:
        raise SetupError(f"the corpus has too few people to calibrate on: {error}") from error
    return Judge(scale, limits, statistic=fitted, patch_scale=patch_scale)


def at_level(statistics: Sequence[float], people: Sequence[float]) -> NDArray[np.float64]:
    """(n,) ``statistics`` of people never seen, moved so that their median is that of ``people``.

    Clips of train are cut to the face and hardly compressed, and lie a little lower than clips as they are
    met. They lend how genuine people spread about their middle; where that lies they do not tell.
    """
    lent = np.asarray(statistics, np.float64)
    return lent + (np.median(people) - np.median(lent)) if len(lent) and len(people) else lent


def quality_limits(people: Mapping[str, Sequence[ClipEvidence]], recipe: VerdictRecipe) -> QualityLimits:
    """What a face needs to be judged, by genuine people's clips; pictures are of another kind."""
    clips = [clip for own in people.values() for clip in own if not is_picture(clip.tracks)]
    # Of the largest face over its whole track: frames of sharp clips are blurred by movement, and whoever
    # stands behind by the lens.
    sharpness = [
        float(np.median([f.sharpness for f in max(seen, key=_face_px).faces]))
        for clip in clips
        if (seen := worth_judging(clip.tracks))
    ]
    bits = [clip.bits_per_pixel for clip in clips if clip.bits_per_pixel is not None]
    return QualityLimits(
        recipe.min_face_px,
        float(np.percentile(sharpness, recipe.sharpness_percentile)) if sharpness else 0.0,
        # Not a percentile of the people: a dark complexion is not a dark picture.
        recipe.min_brightness,
        recipe.min_seconds,
        recipe.min_crops,
        recipe.bits_share * float(np.percentile(bits, recipe.bits_percentile)) if bits else 0.0,
        recipe.min_detail_px,
    )


def one_a_person(
    people: Mapping[str, Sequence[ClipEvidence]], charged: Callable[[ClipEvidence], Charge | None]
) -> list[Charge]:
    """Of every person the clip with the median value, so that many clips count no more than one.

    Clips without a face fit to be judged do not count: the judge would not accuse them.
    """
    found = []
    for clips in people.values():
        charges = sorted(
            (c for c in map(charged, clips) if c is not None and c.clear), key=lambda c: (c.value, c.tracks)
        )
        if charges:
            found.append(charges[(len(charges) - 1) // 2])
    return found


def by_person(entries: Sequence[Entry], clips: Mapping[str, ClipEvidence]) -> dict[str, list[ClipEvidence]]:
    """Evidence of the entries that were read, by identity."""
    found: dict[str, list[ClipEvidence]] = defaultdict(list)
    for entry in entries:
        if entry.file in clips:
            found[entry.identity].append(clips[entry.file])
    return dict(sorted(found.items()))


def folds_of(people: Sequence[str], seed: int = 0) -> list[list[str]]:
    """The people in :data:`FOLDS` fixed parts of like size."""
    order = np.random.default_rng(seed).permutation(len(people))
    return [[people[i] for i in order[k::FOLDS]] for k in range(FOLDS)]


def train_verdict(
    corpus: Path,
    work: Path,
    weights: Path,
    recipe: VerdictRecipe | None = None,
    *,
    jobs: int = 0,
    device: str = "cpu",
    stage: Callable[[str, int], Callable[[], None]] = lambda name, files: lambda: None,
) -> ModelRecord:
    """Gather the evidence of genuine clips, fit, calibrate and register; the evidence stays in ``work``.

    Parameters
    ----------
    stage
        Called with what comes next and of how many files; returns what is called after each.

    Raises
    ------
    SetupError
        Where the corpus has too few genuine people.
    """
    recipe = recipe or VerdictRecipe()
    entries = [e for e in read_manifest(corpus) if e.genuine and (e.kind == "video" or e.split == "dev")]
    registry = load_registry()
    parts = parts_unseen(corpus, registry)
    clips = gather_all(
        corpus,
        [e.file for e in entries],
        work,
        jobs=jobs,
        device=device,
        advance=stage("reading", len(entries)),
        parts=parts,
    )
    used = [e for e in entries if e.split == "train" and e.file in clips]
    people, unseen = by_person([e for e in entries if e.split == "dev"], clips), by_person(used, clips)
    fitted = fit_statistic(
        [clip for own in unseen.values() for clip in own],
        [clip for own in people.values() for clip in own],
        recipe,
    )
    lent = unseen if parts else None
    judge = calibrated(fitted, people, recipe, "genuine people never seen", lent)
    encoder, patches = registry.default("encoder"), registry.get("patches")
    tensors, record = fitted.to_record()
    tensors |= {
        "statistics": torch.from_numpy(judge.scale.statistics),
        "thresholds": torch.tensor([judge.scale.uncertain, judge.scale.manipulated], dtype=torch.float64),
        "patch_statistics": torch.from_numpy(judge.patch_scale.statistics),
        "patch_thresholds": torch.tensor(
            [judge.patch_scale.uncertain, judge.patch_scale.manipulated], dtype=torch.float64
        ),
        "limits": torch.tensor(astuple(judge.limits), dtype=torch.float64),
    }
    settings_of: dict[str, Any] = {
        "kind": "verdict",
        "patches": patches.name,
        **({} if encoder is None else {"encoder": encoder.name}),
        "landmarks": registry.get("landmarks").name,
        "blink": registry.get("blink").name,
        "target_fpr": recipe.manipulated_fpr,
        "uncertain_fpr": recipe.uncertain_fpr,
        "bin": judge.scale.bin,
        "people": len(judge.scale.statistics),
        "limits": asdict(judge.limits),
        "fitted_on": {
            "clips": len(used),
            "people": len({e.identity for e in used}),
            "people_unseen_by_patches": len({e.identity for e in used if e.held_out}),
            "windows": len(windows([clips[e.file] for e in used])[0]),
        },
        "groups": {
            group: {"weight": weight, "limit": GROUPS[group].limit}
            for group, weight in _weights(recipe).items()
        },
        **record,
    }
    name = NAME
    found = register(weights, name, tensors, settings_of)
    if weights.resolve() == registry.folder.resolve():
        update_record(weights, patches.name, patches.settings | {"verdict": name})
    return found

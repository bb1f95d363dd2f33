"""From a pack to a tuned encoder, and what tuning is worth to sources that took no part in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.patches.encoder import SPEC, Encoder
from vidscan.training.checkpoint import write_tensors
from vidscan.training.descriptions import TUNED, Described, start_tensors
from vidscan.training.encoder import Material, fit_heads, kind_of, left_out
from vidscan.training.figures import Figures, figures
from vidscan.training.own_pairs import FORGED_SPEC
from vidscan.training.pack import Pack
from vidscan.training.tuning import FORGED_TOGETHER, Batches, Tuner, TuneRecipe, tune

ENCODER = "encoder.safetensors"
"""Name of the tuned encoder in a run's folder."""
_TOGETHER = 128
"""Crops that a GPU describes at once."""


def tune_encoder(
    pack: Pack,
    start: Path,
    work: Path,
    recipe: TuneRecipe,
    *,
    minutes: float,
    steps: int = 0,
    leave_out: Sequence[int] = (),
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Tune the encoder ``start`` on ``pack`` without the parts ``leave_out``.

    Returns the file it is written to, in ``work``. Raises SetupError where the pack, the start or the
    checkpoint is not usable.
    """
    batches = Batches(pack, recipe, device, leave_out)
    tuner = Tuner(start_tensors(start, recipe.heads.taps), batches, recipe, device)
    for line in tune(tuner, work, minutes=minutes, steps=steps):
        say(" ".join(f"{key} {value}" for key, value in line.items()))
    write_tensors(work / ENCODER, tuner.tensors(), TUNED | {"steps": str(tuner.steps)})
    return work / ENCODER


def judge(
    pack: Pack, starts: Mapping[str, Path], recipe: TuneRecipe, parts: Sequence[int], device: str = "cpu"
) -> dict[str, Figures]:
    """What heads on each of the encoders ``starts`` find in ``parts`` of the pack, learned on the others."""
    batches = Batches(pack, recipe, device)
    return {
        name: _figures(pack, batches, start_tensors(start, recipe.heads.taps), recipe, parts, device)
        for name, start in starts.items()
    }


def _figures(
    pack: Pack,
    batches: Batches,
    tensors: dict[str, Tensor],
    recipe: TuneRecipe,
    parts: Sequence[int],
    device: str,
) -> Figures:
    encoder = Encoder(tensors, recipe.heads.taps, device, batch=8 if device == "cpu" else _TOGETHER)
    features = np.concatenate([_described(encoder, crops) for crops in _looked_at(pack.crops)])
    crops = [
        Described(entry, of, not entry.genuine) for entry, of in zip(pack.entries, features, strict=True)
    ]
    owners = list(pack.parts)
    for rows, pairs in _pairs(pack, batches, recipe, parts):
        features = _described(encoder, pairs)
        for i, row in enumerate(rows.tolist()):
            entry = pack.entries[row]
            crops += [
                Described(entry, features[i], False, "genuine"),
                Described(entry, features[i + len(rows)], True, "own"),
            ]
            owners += [pack.parts[row]] * 2
    judged = np.isin(owners, list(parts))
    # Part 0 is judged, part 1 teaches.
    material = Material(crops, (~judged).astype(np.int64))
    (heads,) = fit_heads(material, recipe.heads, [0])
    own = [crop for crop, chosen in zip(crops, judged, strict=True) if chosen and not crop.own]
    scores = left_out(Material(own, np.zeros(len(own), np.int64)), [heads]).scores
    return figures([crop.entry for crop in own], scores)


def _described(encoder: Encoder, crops: Tensor) -> NDArray[np.float16]:
    return encoder.describe(crops).numpy().astype(np.float16)


def _looked_at(crops: NDArray[np.uint8]) -> Iterator[Tensor]:
    edge = (FORGED_SPEC.size - SPEC.size) // 2
    for start in range(0, len(crops), _TOGETHER):
        middle = crops[start : start + _TOGETHER, edge:-edge, edge:-edge]
        yield torch.from_numpy(middle).permute(0, 3, 1, 2).float()


def _pairs(
    pack: Pack, batches: Batches, recipe: TuneRecipe, judged: Sequence[int]
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Rows of genuine crops that teach, and their own pairs, genuine first; film beside film, by parts."""
    rng = np.random.default_rng((recipe.seed, 2))
    film = np.array([kind_of(entry) == "film" for entry in pack.entries])
    taught = np.array([entry.genuine for entry in pack.entries]) & ~np.isin(pack.parts, list(judged))
    for part in np.unique(pack.parts[taught]).tolist():
        for kind in (film, ~film):
            rows = rng.permutation(np.flatnonzero(taught & kind & (pack.parts == part)))
            rows = rows[: round(recipe.judged_pairs * len(rows) / taught.sum())]
            for start in range(0, len(rows) - 1, FORGED_TOGETHER):
                together = rows[start : start + FORGED_TOGETHER]
                yield together, batches.forged(together, rng)

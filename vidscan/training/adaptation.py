"""How much adapting helps, on generators whose sources the head never saw, and the memory that it needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.markdown import table
from vidscan.models import ModelRecord, register
from vidscan.training.adapt import HEAD, KIND, AdaptRecipe, LinearHead, Memory, adapt, memory_rows
from vidscan.training.corpus import Entry
from vidscan.training.encoder import Material, entries_of, left_out
from vidscan.training.linear_head import LinearHeads, crop_weights
from vidscan.training.transfer import auc

COUNTS = (5, 10, 50)
_SPARE = 3
"""Files of a generator that are left to judge by, at least."""
CROPS, DIRECTIONS = 1000, 96
"""Of a memory."""
ALARMS = 0.05
"""Share of genuine files above the threshold, before anything is adapted."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """One generator, before and after a head was adapted to some of its fakes.

    Attributes
    ----------
    method, film, count
        The generator, whether its fakes are clips, and how many of them were learned from.
    area
        Of the generator's other fakes against genuine files of the same kind from unseen sources.
    others
        Of the other generators left out.
    own
        As ``area``, against genuine files of the fakes' own source; None where there are too few.
    alarms
        Share of genuine files from unseen sources above the threshold that :data:`ALARMS` exceeded before.

    All but the first three are (before, after).
    """

    method: str
    film: bool
    count: int
    area: tuple[float, float]
    others: tuple[float, float]
    own: tuple[float, float] | None
    alarms: tuple[float, float]


Adapter = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""From the crops that are learned from, by number, to scores of all crops."""


def memory_of(
    material: Material,
    head: LinearHead,
    leave_out: int | None,
    *,
    crops: int = CROPS,
    directions: int = DIRECTIONS,
    seed: int = 0,
) -> Memory:
    """The memory of ``head``, without crops of the part that it was learned without."""
    known = (
        np.flatnonzero(material.parts != leave_out)
        if leave_out is not None
        else np.arange(len(material.crops))
    )
    own = [material.crops[int(i)] for i in known]
    groups = [(c.entry.repo, c.own or c.entry.method) for c in own]
    rows = memory_rows(groups, np.array([c.forged for c in own]), crops, seed)
    forged = np.array([own[int(i)].forged for i in rows])
    weights = crop_weights([groups[int(i)] for i in rows], forged, 0.5)
    parts = material.parts[known[rows]]
    return Memory.of(material.features(known[rows]), forged, weights, parts, head, directions, seed)


def judge(
    material: Material,
    fitted: Sequence[LinearHeads],
    recipe: AdaptRecipe,
    *,
    counts: Sequence[int] = COUNTS,
    crops: int = CROPS,
    directions: int = DIRECTIONS,
    seed: int = 0,
) -> list[Adaptation]:
    """Adapt the heads of every part, in turn, to each generator of the part that has fakes enough.

    ``fitted`` (5,) are learned without a part each (:func:`vidscan.training.encoder.fit_heads`). As in
    scanning the head that finds more counts, in deviations from genuine clips; one of them is corrected.
    """
    rows = [_rows(material, part) for part in range(len(fitted))]
    odds = [heads.log_odds(material.features(own)) for heads, own in zip(fitted, rows, strict=True)]
    genuine = np.concatenate(
        [
            found[[material.crops[int(i)].entry.genuine for i in own]]
            for found, own in zip(odds, rows, strict=True)
            if len(own)
        ]
    )
    centre, deviation = np.median(genuine, 0), genuine.std(0)
    found: list[Adaptation] = []
    for part, heads in enumerate(fitted):
        head = LinearHead.of(heads.rescaled(centre, deviation))
        memory = memory_of(material, head, part, crops=crops, directions=directions, seed=seed)
        deviations = (odds[part] - centre) / deviation
        points = memory.coordinates(material.features(rows[part]))

        def adapted(
            chosen: NDArray[np.int64],
            memory: Memory = memory,
            before: NDArray[np.float64] = deviations,
            points: NDArray[np.float32] = points,
        ) -> NDArray[np.float64]:
            after = before.copy()
            if len(chosen):
                fakes = before[chosen, HEAD], points[chosen]
                after[:, HEAD] = adapt(memory, fakes, recipe).log_odds(before[:, HEAD], points)
            return after.max(1)

        entries = [material.crops[int(i)].entry for i in rows[part]]
        found += judge_part(entries, adapted, counts=counts, seed=seed)
    return found


def _rows(material: Material, part: int) -> NDArray[np.int64]:
    """Crops of the corpus in a part."""
    return np.array(
        [i for i in np.flatnonzero(material.parts == part) if not material.crops[int(i)].own], np.int64
    )


def judge_part(
    entries: Sequence[Entry], adapter: Adapter, *, counts: Sequence[int] = COUNTS, seed: int = 0
) -> Iterator[Adaptation]:
    """Adapt to each generator that the crops of ``entries`` (n,), one per crop, have enough files of.

    ``adapter`` given no rows is the detector before.
    """
    before = _file_scores(entries, adapter(np.zeros(0, np.int64)))
    entry = {e.file: e for e in entries}
    for film in (True, False):
        kind = [e for e in entry.values() if (e.kind == "video") is film]
        genuine = [e.file for e in kind if e.genuine]
        methods: dict[str, list[str]] = defaultdict(list)
        for e in kind:
            if not e.genuine:
                methods[e.method].append(e.file)
        if len(genuine) < _SPARE:
            continue
        threshold = float(np.quantile([before[f] for f in genuine], 1 - ALARMS, method="higher"))
        for method, files in sorted(methods.items()):
            order = np.random.default_rng(seed).permutation(sorted(files)).tolist()
            for count in counts:
                if len(files) < count + _SPARE:
                    continue
                learnt = set(order[:count])
                chosen = np.array([i for i, e in enumerate(entries) if e.file in learnt], np.int64)
                after = _file_scores(entries, adapter(chosen))
                rest = [f for f in files if f not in learnt]
                others = [f for m, own in methods.items() if m != method for f in own]
                repos = {entry[f].repo for f in rest}
                same = [f for f in genuine if entry[f].repo in repos]
                both = (before, after)
                yield Adaptation(
                    method,
                    film,
                    count,
                    _pair(both, genuine, rest),
                    _pair(both, genuine, others) if others else (float("nan"), float("nan")),
                    _pair(both, same, rest) if len(same) >= _SPARE else None,
                    _alarms(both, genuine, threshold),
                )


def _pair(
    both: tuple[Mapping[str, float], ...], genuine: list[str], forged: list[str]
) -> tuple[float, float]:
    areas = [auc(np.array([s[f] for f in genuine]), [s[f] for f in forged]) for s in both]
    return areas[0], areas[1]


def _alarms(
    both: tuple[Mapping[str, float], ...], genuine: list[str], threshold: float
) -> tuple[float, float]:
    shares = [float(np.mean([s[f] > threshold for f in genuine])) for s in both]
    return shares[0], shares[1]


def _file_scores(entries: Sequence[Entry], values: NDArray[np.float64]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for entry, value in zip(entries, values, strict=True):
        found[entry.file].append(float(value))
    return {file: float(np.mean(own)) for file, own in found.items()}


def markdown(rows: Sequence[Adaptation]) -> str:
    """A Markdown table: means over generators, before and after, by kind and number of fakes."""
    head = ["fakes learned from", "generators", "AUC", "own source", "other generators", "false alarms"]
    lines = []
    for count in sorted({row.count for row in rows}):
        for film in (True, False):
            own = [r for r in rows if r.count == count and r.film is film]
            if not own:
                continue
            cells = [f"{count} {'clips' if film else 'stills'}", str(len(own))]
            cells += [_mean([r.area for r in own]), _mean([r.own for r in own if r.own is not None])]
            cells += [_mean([r.others for r in own]), _mean([r.alarms for r in own])]
            lines.append(cells)
    return "\n".join(table(head, lines)) + "\n"


def _mean(pairs: Sequence[tuple[float, float]]) -> str:
    if not pairs:
        return ""
    before, after = np.nanmean(np.array(pairs), axis=0)
    return f"{before:.2f} to {after:.2f}"


def train_memory(
    material: Material,
    fitted: Sequence[LinearHeads],
    weights: Path,
    encoder: ModelRecord,
    seed: int = 0,
) -> ModelRecord:
    """Register the memory of the corrected head of ``encoder``, of aligned crops of ``material``.

    Its record holds what genuine clips get by these crops alone, from the heads ``fitted`` (5,) that never
    saw their source: an adapted encoder looks at nothing else, and keeps to the scale of the shipped one.
    """
    unseen = left_out(material, fitted).scores
    genuine = [unseen[e.file] for e in entries_of([material]) if e.genuine and e.kind == "video"]
    tensors = encoder.load()
    heads = LinearHeads(tensors["head.weight"].numpy(), tensors["head.bias"].double().numpy())
    head = LinearHead.of(heads)
    memory = memory_of(material, head, None, seed=seed)
    return register(
        weights,
        "encoder-memory",
        memory.tensors(),
        {
            "kind": KIND,
            "encoder": encoder.name,
            "encoder_sha256": encoder.sha256,
            "left_out": {"median": float(np.median(genuine)), "deviation": float(np.std(genuine))},
            "crops": len(memory.points),
            "directions": memory.points.shape[1],
            "recipe": asdict(AdaptRecipe()),
        },
    )

"""The figures that detectors are chosen by: forged clips against genuine ones of their own source.

Sources (repositories) differ more than genuine and forged clips do: in cameras, crops and encodes. A
detector that has learned the look of a source ranks forged clips well against genuine clips from elsewhere,
and accuses everything from a source of that look. So each forged clip is also held against the genuine
clips of its own source, and against the very footage it was made from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.markdown import table
from vidscan.training.corpus import Entry, same_footage
from vidscan.training.transfer import auc

Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""
DRAWS = 1000
"""Bootstrap samples."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An area or a rate, its 95 % bootstrap interval, and of how many methods or clips it is the mean."""

    value: float
    interval: Interval
    of: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How well scores tell forged clips from genuine ones; every mean is over methods.

    Attributes
    ----------
    own
        Area of a forged clip against the genuine clips of its own repository.
    all
        Area against all genuine clips.
    same_footage
        Area of the forged clips that share their footage with a genuine one against those.
    families
        As ``all``, by family.
    found
        Share of a method's clips above the score that 1, 5 and 10 % of all genuine clips reach.
    source_share
        Share of the variance of genuine scores that the repository explains, beyond what chance gives (0..1).
    stills
        Area of genuine clips against genuine stills, .5 where film and photograph get equal scores; None
        where there are no stills.
    """

    own: Figure
    all: Figure
    same_footage: Figure
    families: dict[str, Figure]
    found: dict[str, Figure]
    source_share: float
    stills: float | None


_NONE = Figure(float("nan"), (float("nan"), float("nan")), 0)
RATES = {"0.01": 0.01, "0.05": 0.05, "0.1": 0.1}


def figures(entries: Sequence[Entry], scores: Mapping[str, float], seed: int = 0) -> Figures:
    """Figures of the clips among ``entries`` that have a score (by file), higher being more forged.

    Areas of which there is no pair are NaN. Intervals are bootstraps over methods and over genuine people.
    """
    scored = [e for e in entries if e.file in scores]
    clips = [e for e in scored if e.kind == "video"]
    genuine = [e for e in clips if e.genuine]
    methods: dict[str, list[Entry]] = defaultdict(list)
    for entry in clips:
        if not entry.genuine:
            methods[entry.method].append(entry)
    values = np.array([scores[e.file] for e in genuine])
    people = [e.identity for e in genuine]
    rng = np.random.default_rng(seed)
    order = {name: _order(values, [scores[e.file] for e in own]) for name, own in methods.items()}
    by_source: dict[str, list[float]] = defaultdict(list)
    for entry in genuine:
        by_source[entry.repo].append(scores[entry.file])
    families: dict[str, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    for name, own in methods.items():
        for family in sorted({e.family for e in own}):
            rows = [i for i, e in enumerate(own) if e.family == family]
            families[family][name] = order[name][rows]
    return Figures(
        own=_mean_figure(
            {
                name: np.array(
                    [auc(np.array(by_source[e.repo]), [scores[e.file]]) for e in own if e.repo in by_source]
                )
                for name, own in methods.items()
            },
            rng,
        ),
        all=_area_figure(order, people, rng),
        same_footage=_same_footage(clips, scores, rng),
        families={name: _area_figure(own, people, rng) for name, own in sorted(families.items())},
        found={
            name: _mean_figure(
                {
                    method: np.array([scores[e.file] > _reached(values, rate) for e in own], float)
                    for method, own in methods.items()
                },
                rng,
            )
            for name, rate in RATES.items()
        },
        source_share=source_share([e.repo for e in genuine], values),
        stills=_stills(scored, scores, values),
    )


def _order(genuine: NDArray[np.float64], forged: Sequence[float]) -> NDArray[np.float64]:
    """(forged, genuine) 1 where the forged clip has the higher score, .5 where they tie."""
    f = np.asarray(forged, float)[:, None]
    return (f > genuine) + 0.5 * (f == genuine)


def _reached(genuine: NDArray[np.float64], rate: float) -> float:
    """The score that at most ``rate`` of the genuine clips exceed."""
    return float(np.quantile(genuine, 1 - rate, method="higher")) if len(genuine) else np.inf


def _mean_figure(methods: Mapping[str, NDArray[np.float64]], rng: np.random.Generator) -> Figure:
    """Mean over methods of their mean; interval over methods."""
    means = np.array([own.mean() for own in methods.values() if len(own)])
    if not len(means):
        return _NONE
    draws = rng.choice(means, (DRAWS, len(means))).mean(1)
    return Figure(float(means.mean()), percentiles(draws), len(means))


def _area_figure(
    order: Mapping[str, NDArray[np.float64]], people: Sequence[str], rng: np.random.Generator
) -> Figure:
    """Mean area over methods; interval over methods and genuine people."""
    rows = np.stack([own.mean(0) for own in order.values()]) if order and people else np.zeros((0, 0))
    if not rows.size:
        return _NONE
    names = sorted(set(people))
    owner = np.array([names.index(name) for name in people])
    drawn = resampled(len(names), DRAWS, rng)[:, owner]
    chosen = resampled(len(rows), DRAWS, rng)
    areas = np.einsum("dm,mg,dg->d", chosen, rows, drawn, optimize=True) / (chosen.sum(1) * drawn.sum(1))
    return Figure(float(rows.mean()), percentiles(areas), len(rows))


def _same_footage(clips: Sequence[Entry], scores: Mapping[str, float], rng: np.random.Generator) -> Figure:
    genuine, forged = same_footage(clips)
    if not forged:
        return _NONE
    pairs = [e.file for e in genuine]
    order = _order(np.array([scores[p] for p in pairs]), [scores[e.file] for e in forged])
    # A pair and its forged clips are drawn together.
    own = np.array([pairs.index(e.pair) for e in forged])
    drawn = resampled(len(pairs), DRAWS, rng)
    areas = np.einsum("df,fg,dg->d", drawn[:, own], order, drawn, optimize=True)
    areas /= drawn[:, own].sum(1) * drawn.sum(1)
    return Figure(float(order.mean()), percentiles(areas), len(forged))


def _stills(scored: Sequence[Entry], scores: Mapping[str, float], clips: NDArray[np.float64]) -> float | None:
    stills = [scores[e.file] for e in scored if e.genuine and e.kind != "video"]
    return float(auc(np.array(stills), clips)) if stills and len(clips) else None


def source_share(sources: Sequence[str], values: NDArray[np.float64]) -> float:
    """Adjusted share of the variance of ``values`` (n,) that ``sources`` explain (epsilon squared), 0..1.

    Kelley, An unbiased correlation ratio measure, PNAS 1935.
    """
    values = np.asarray(values, float)
    groups: dict[str, list[float]] = defaultdict(list)
    for source, value in zip(sources, values, strict=True):
        groups[source].append(value)
    total = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    freedom = len(values) - len(groups)
    if total <= 0 or freedom <= 0:
        return 0.0
    within = float(sum(((np.array(own) - np.mean(own)) ** 2).sum() for own in groups.values()))
    return max(0.0, 1 - (within / freedom) / (total / (len(values) - 1)))


def resampled(count: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(draws, count) how often each of ``count`` is in each bootstrap sample."""
    return rng.multinomial(count, np.full(count, 1 / count), draws).astype(float)


def percentiles(values: NDArray[np.float64]) -> Interval:
    """The middle 95 % of bootstrap ``values`` (n,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


TABLE: tuple[tuple[str, Callable[[Figures], Figure]], ...] = (
    ("own source", lambda f: f.own),
    ("all", lambda f: f.all),
    ("same footage", lambda f: f.same_footage),
    ("found at 1 %", lambda f: f.found["0.01"]),
    ("at 5 %", lambda f: f.found["0.05"]),
)


def markdown(rows: Mapping[str, Figures]) -> str:
    """A Markdown table of figures by name, with intervals; families behind."""
    families = sorted({family for found in rows.values() for family in found.families})
    head = ["", *(title for title, _ in TABLE), *families, "explained by source", "clips over stills"]
    lines = []
    for name, found in rows.items():
        cells = [name, *(_cell(of(found)) for _, of in TABLE)]
        cells += [_cell(found.families[f]) if f in found.families else "" for f in families]
        cells += [f"{found.source_share:.2f}", "" if found.stills is None else f"{found.stills:.2f}"]
        lines.append(cells)
    return "\n".join(table(head, lines)) + "\n"


def _cell(figure: Figure) -> str:
    low, high = figure.interval
    return f"{figure.value:.2f} ({low:.2f}-{high:.2f})" if figure.of else ""

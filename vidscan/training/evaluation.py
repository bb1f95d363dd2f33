"""Scanning a labelled corpus and telling how good the verdicts are, with intervals.

Clips are scanned by the very pipeline that users run. Intervals are percentile bootstraps over people
(a person's clips are drawn together); rates have exact binomial (Clopper-Pearson) intervals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vidscan.batch.engine import ScannerSpec
from vidscan.batch.local import LocalEngine
from vidscan.batch.results import ResultFile
from vidscan.batch.run import scan_all
from vidscan.errors import SetupError
from vidscan.models import load_registry, update_record
from vidscan.training.corpus import Entry, read_manifest
from vidscan.types import ModelRef, Report, ScanSettings

FALSE_ALARMS = "genuine clips labelled manipulated"
_LEAST_CLIPS = 3
"""Methods with fewer clips are pooled by family."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One clip of the corpus with what the scanner said of it."""

    entry: Entry
    statistic: float
    """Log-odds of the worst track; -inf where no face was found or the clip could not be scanned."""
    label: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: forged clips of one group against the genuine clips."""

    name: str
    forged: int
    genuine: int
    auc: float
    interval: tuple[float, float]
    average_precision: float
    tpr_at_1: float
    tpr_at_5: float
    flagged: float
    """Share labelled ``manipulated`` at the shipped threshold."""


@dataclass(frozen=True, slots=True)
class Rate:
    name: str
    count: int
    of: int
    rate: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything ``vidscan evaluate`` prints."""

    corpus_split: str
    models: tuple[ModelRef, ...]
    rows: tuple[Row, ...]
    rates: tuple[Rate, ...]
    errors: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def scan_corpus(
    corpus: Path,
    entries: Sequence[Entry],
    cache: Path,
    *,
    settings: ScanSettings | None = None,
    device: str = "auto",
    jobs: int = 0,
    advance: Callable[[], None] | None = None,
) -> tuple[list[Scored], tuple[ModelRef, ...]]:
    """Scan the entries' files; reports are kept in ``cache`` by content, model hashes and settings.

    Raises SetupError where a file of the manifest is missing.
    """
    by_path = {str(corpus / e.file): e for e in entries}
    missing = [path for path in by_path if not Path(path).is_file()]
    if missing:
        raise SetupError(f"{len(missing)} files of the manifest are missing, the first is {missing[0]}")
    cache.parent.mkdir(parents=True, exist_ok=True)
    scored: dict[str, Scored] = {}
    models: tuple[ModelRef, ...] = ()

    def take(report: Report) -> None:
        nonlocal models
        entry = by_path.get(report.input.path)
        if entry is not None:
            models = models or report.models
            value = report.signals.patch.values.get("log_odds")
            error = f"{report.error.code}: {report.error.message}" if report.error else None
            statistic = -np.inf if value is None else value
            scored[entry.file] = Scored(entry, statistic, report.verdict.label, error)
        if advance is not None:
            advance()

    spec = ScannerSpec(settings=settings or ScanSettings(), device=device)
    with ResultFile(cache, resume=True) as results, LocalEngine(spec, jobs=jobs) as engine:
        for report in scan_all([Path(p) for p in by_path], engine, results, skipped=take):
            take(report)
    return [scored[e.file] for e in entries if e.file in scored], models


def evaluate(scored: Sequence[Scored], models: tuple[ModelRef, ...], split: str, seed: int = 0) -> Evaluation:
    """Tables of AUC, AP and rates for scanned clips."""
    genuine = [s for s in scored if s.entry.genuine]
    forged = [s for s in scored if not s.entry.genuine]
    if not genuine or not forged:
        raise SetupError("an evaluation needs genuine and forged clips")
    groups = _groups(forged)
    rng = np.random.default_rng(seed)
    rows = []
    pairs = _same_footage(scored)
    if pairs:
        rows.append(_row("same footage", *pairs, rng))
    rows.append(_mean_row([name for name in groups if name.startswith("method ")], groups, genuine, rng))
    rows += [_row(name, genuine, clips, rng) for name, clips in groups.items()]
    rows.append(_row("all", genuine, forged, rng))
    flagged = [s.label == "manipulated" for s in genuine]
    doubtful = [s.label in ("manipulated", "uncertain") for s in genuine]
    rates = (
        _rate("genuine clips with a face found", [s.label != "no_face" and not s.error for s in genuine]),
        _rate(FALSE_ALARMS, flagged),
        _rate("genuine clips labelled manipulated or uncertain", doubtful),
        _rate("forged clips labelled manipulated", [s.label == "manipulated" for s in forged]),
        _rate(
            "forged clips labelled manipulated or uncertain",
            [s.label in ("manipulated", "uncertain") for s in forged],
        ),
    )
    errors = {s.entry.file: s.error for s in scored if s.error}
    return Evaluation(split, models, tuple(rows), rates, errors)


def _groups(forged: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Forged clips by family, then by method (small methods pooled by family)."""
    families: dict[str, list[Scored]] = defaultdict(list)
    methods: dict[str, list[Scored]] = defaultdict(list)
    for s in forged:
        families[f"family {s.entry.family}"].append(s)
        methods[s.entry.method].append(s)
    pooled: dict[str, list[Scored]] = defaultdict(list)
    for method, clips in methods.items():
        for s in clips:
            few = len(clips) < _LEAST_CLIPS
            pooled[f"method other {s.entry.family}" if few else f"method {method}"].append(s)
    return dict(sorted(families.items())) | dict(sorted(pooled.items()))


def _same_footage(scored: Sequence[Scored]) -> tuple[list[Scored], list[Scored]] | None:
    """Genuine and forged sides of the pairs that share their footage."""
    by_file = {s.entry.file: s for s in scored}
    forged = [s for s in scored if s.entry.pairing == "same_footage" and s.entry.pair in by_file]
    originals = [by_file[file] for file in sorted({s.entry.pair for s in forged})]
    return (originals, forged) if forged else None


def _values(clips: Sequence[Scored]) -> NDArray[np.float64]:
    # scikit-learn takes no infinities; clips without a face rank below all others.
    return np.maximum([s.statistic for s in clips], -1e9)


def _auc(genuine: NDArray[np.float64], forged: NDArray[np.float64]) -> float:
    labels = np.r_[np.zeros(len(genuine)), np.ones(len(forged))]
    return float(roc_auc_score(labels, np.r_[genuine, forged]))


def _draws(clips: Sequence[Scored], rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """(draws, clips) how often each clip is in each bootstrap sample; people are drawn, not clips."""
    people: dict[str, int] = {}
    owner = np.array([people.setdefault(s.entry.identity, len(people)) for s in clips])
    return rng.multinomial(len(people), np.full(len(people), 1 / len(people)), draws)[:, owner].astype(float)


def _bootstrap(
    genuine: Sequence[Scored], groups: Sequence[Sequence[Scored]], rng: np.random.Generator, draws: int = 2000
) -> tuple[float, float]:
    """95 % interval of the mean AUC over groups, genuine people drawn once a sample."""
    g = _values(genuine)
    genuine_draws = _draws(genuine, rng, draws)
    total = np.zeros(draws)
    for clips in groups:
        f = _values(clips)
        forged_draws = _draws(clips, rng, draws)
        # The AUC is the share of genuine-forged pairs in the right order, ties counting half.
        order = (g[:, None] < f) + 0.5 * (g[:, None] == f)
        right = ((genuine_draws @ order) * forged_draws).sum(1)
        total += right / (genuine_draws.sum(1) * forged_draws.sum(1))
    low, high = np.percentile(total / len(groups), [2.5, 97.5])
    return float(low), float(high)


def _row(name: str, genuine: Sequence[Scored], forged: Sequence[Scored], rng: np.random.Generator) -> Row:
    g, f = _values(genuine), _values(forged)
    labels, values = np.r_[np.zeros(len(g)), np.ones(len(f))], np.r_[g, f]
    fpr, tpr, _ = roc_curve(labels, values)
    return Row(
        name=name,
        forged=len(f),
        genuine=len(g),
        auc=_auc(g, f),
        interval=_bootstrap(genuine, [forged], rng),
        average_precision=float(average_precision_score(labels, values)),
        tpr_at_1=float(tpr[fpr <= 0.01].max()),
        tpr_at_5=float(tpr[fpr <= 0.05].max()),
        flagged=float(np.mean([s.label == "manipulated" for s in forged])),
    )


def _mean_row(
    names: Sequence[str], groups: dict[str, list[Scored]], genuine: Sequence[Scored], rng: np.random.Generator
) -> Row:
    parts = [_row(name, genuine, groups[name], rng) for name in names]

    def mean(field: str) -> float:
        return float(np.mean([getattr(part, field) for part in parts]))

    return Row(
        name="mean over methods",
        forged=sum(part.forged for part in parts),
        genuine=len(genuine),
        auc=mean("auc"),
        interval=_bootstrap(genuine, [groups[name] for name in names], rng),
        average_precision=mean("average_precision"),
        tpr_at_1=mean("tpr_at_1"),
        tpr_at_5=mean("tpr_at_5"),
        flagged=mean("flagged"),
    )


def _rate(name: str, hits: Sequence[bool]) -> Rate:
    """A share with its exact binomial 95 % interval."""
    k, n = int(sum(hits)), len(hits)
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return Rate(name, k, n, k / n, (low, high))


def record_false_alarms(result: Evaluation) -> None:
    """Write the measured rate of genuine clips labelled manipulated into the verdict model's record.

    Reports show it beside the target; it changes no verdict.
    """
    rate = next(r for r in result.rates if r.name == FALSE_ALARMS)
    registry = load_registry()
    for model in result.models:
        record = registry.models[model.name]
        if record.kind == "verdict":
            measured = {
                "rate": round(rate.rate, 6),
                "interval": [round(v, 6) for v in rate.interval],
                "clips": rate.of,
                "split": result.corpus_split,
            }
            update_record(registry.folder, model.name, record.settings | {"measured_fpr": measured})


def markdown(result: Evaluation) -> str:
    """The tables as Markdown, which also reads well on a terminal."""
    lines = [f"Models: {', '.join(f'{m.name} ({m.sha256[:12]})' for m in result.models)}", ""]
    lines += ["| rate | clips | share | 95 % interval |", "|---|---|---|---|"]
    lines += [
        f"| {r.name} | {r.count} of {r.of} | {r.rate:.1%} | {r.interval[0]:.1%} to {r.interval[1]:.1%} |"
        for r in result.rates
    ]
    lines += [
        "",
        "| forged clips of | clips | AUC | 95 % interval | AP | TPR at 1 % FPR | at 5 % | flagged |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {r.name} | {r.forged} vs {r.genuine} | {r.auc:.3f} | {r.interval[0]:.3f} to {r.interval[1]:.3f} "
        f"| {r.average_precision:.3f} | {r.tpr_at_1:.2f} | {r.tpr_at_5:.2f} | {r.flagged:.2f} |"
        for r in result.rows
    ]
    if result.errors:
        lines += ["", "| not scanned | why |", "|---|---|"]
        lines += [f"| {file} | {error} |" for file, error in sorted(result.errors.items())]
    return "\n".join(lines) + "\n"


def plot_curves(scored: Sequence[Scored], folder: Path) -> list[Path]:
    """ROC and DET curves per family, as PNG files in ``folder``; needs matplotlib (extra ``train``).

    DET axes are normal deviates, as in Martin et al. 1997.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
        from sklearn.metrics import DetCurveDisplay, RocCurveDisplay
    except ImportError as error:
        raise SetupError("plots need the training extra: pip install 'vidscan[train]'") from error
    genuine = [s for s in scored if s.entry.genuine]
    groups = _groups([s for s in scored if not s.entry.genuine])
    families = {k: v for k, v in groups.items() if k.startswith("family ")}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for display, name, side in ((RocCurveDisplay, "roc", "found"), (DetCurveDisplay, "det", "missed")):
        figure, axes = plt.subplots(figsize=(6, 6))
        for family, clips in families.items():
            g, f = _values(genuine), _values(clips)
            labels = np.r_[np.zeros(len(g)), np.ones(len(f))]
            display.from_predictions(labels, np.r_[g, f], name=family.removeprefix("family "), ax=axes)
        axes.grid(alpha=0.3)
        axes.set(xlabel="share of genuine clips flagged", ylabel=f"share of forged clips {side}")
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120, bbox_inches="tight")
        plt.close(figure)
    return paths


def load_split(corpus: Path, split: str) -> list[Entry]:
    """The manifest's entries of one split.

    Raises SetupError where there are none.
    """
    entries = [e for e in read_manifest(corpus) if e.split == split]
    if not entries:
        raise SetupError(f"the manifest of {corpus} has no clips in split {split!r}")
    return entries

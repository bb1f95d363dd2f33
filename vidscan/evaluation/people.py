"""How well enrolled people are told from others: verification trials on genuine clips.

The first half of a person's material is enrolled; the second half is the genuine trial, other people's
second halves are the impostors. Where a person has one clip, both halves share camera, light and session,
which flatters the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.series import cut
from vidscan.evaluation.statistics import DRAWS, Interval
from vidscan.evaluation.text import with_span
from vidscan.markdown import table
from vidscan.people.model import PersonModel, TooLittleMaterialError
from vidscan.people.windows import WINDOWS_S, cut_windows
from vidscan.training.figures import resampled
from vidscan.types import FaceSeries

_FEATURES = {True: "190 correlations and 20 means", False: "190 correlations"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One track against one enrolled person."""

    enrolled: str
    person: str
    """Who the track shows."""
    score: float

    @property
    def genuine(self) -> bool:
        return self.enrolled == self.person


@dataclass(frozen=True, slots=True)
class PeopleRow:
    """One window length with one set of features."""

    window_s: float
    features: str
    qualifying: int
    """People with material enough in the first half and a whole window in the second."""
    seconds: float
    """Median material enrolled."""
    calibration: float
    """Median number of left-out parts that set a p-value."""
    genuine: int
    impostors: int
    """Trials."""
    auc: float | None
    """Chance that an impostor scores above the person; None where there are no two people."""
    auc_interval: Interval | None
    equal_error: float | None
    """Rate at which as many impostors pass as people are refused, at one threshold for everybody."""
    equal_error_interval: Interval | None


@dataclass(frozen=True, slots=True)
class PeopleEvaluation:
    people: int
    clips: int
    min_seconds: float
    rows: tuple[PeopleRow, ...]


def evaluate_people(
    series_by_clip: Mapping[str, FaceSeries],
    identity_by_clip: Mapping[str, str],
    *,
    min_seconds: float = 10.0,
    seed: int = 0,
) -> PeopleEvaluation:
    """Enrol everybody from the first half of their material and try the second halves on all of them.

    Parameters
    ----------
    series_by_clip
        The person's track of every clip, by the clip's name.
    identity_by_clip
        Whom each of those clips shows.
    min_seconds
        Least material of an enrolment.
    seed
        Of the bootstrap.
    """
    material: dict[str, list[FaceSeries]] = {}
    for clip in sorted(series_by_clip):
        material.setdefault(identity_by_clip[clip], []).append(series_by_clip[clip])
    halves = {person: halve(clips) for person, clips in material.items()}
    rows = tuple(
        _row(halves, window_s, means, min_seconds, np.random.default_rng(seed))
        for window_s in WINDOWS_S
        for means in (True, False)
    )
    return PeopleEvaluation(len(material), len(series_by_clip), min_seconds, rows)


def halve(clips: Sequence[FaceSeries]) -> tuple[list[FaceSeries], list[FaceSeries]]:
    """A person's material, clip after clip, cut where half of its seconds are over."""
    spans = [float(clip.times[-1] - clip.times[0]) if len(clip.times) else 0.0 for clip in clips]
    left = sum(spans) / 2
    first, second = [], []
    for clip, span in zip(clips, spans, strict=True):
        if span <= left:
            first.append(clip)
        elif left <= 0:
            second.append(clip)
        else:
            at = float(clip.times[0]) + left
            first.append(cut(clip, -np.inf, at))
            second.append(cut(clip, at, np.inf))
        left -= span
    return first, second


def _row(
    halves: Mapping[str, tuple[list[FaceSeries], list[FaceSeries]]],
    window_s: float,
    means: bool,
    min_seconds: float,
    rng: np.random.Generator,
) -> PeopleRow:
    models: list[PersonModel] = []
    trials: list[Trial] = []
    tested = {
        person: [windows for clip in second if len(windows := cut_windows(clip, window_s))]
        for person, (_, second) in halves.items()
    }
    for enrolled, (material, _) in halves.items():
        if not tested[enrolled]:
            continue
        try:
            model = PersonModel.fit(
                enrolled, material, window_s=window_s, min_seconds=min_seconds, means=means
            )
        except TooLittleMaterialError:
            continue
        models.append(model)
        trials += [
            Trial(enrolled, person, model.score(model.statistic(windows)))
            for person, clips in tested.items()
            for windows in clips
        ]
    genuine = sum(trial.genuine for trial in trials)
    row = PeopleRow(
        window_s=window_s,
        features=_FEATURES[means],
        qualifying=len(models),
        seconds=float(np.median([model.seconds for model in models])) if models else 0.0,
        calibration=float(np.median([len(model.statistics) for model in models])) if models else 0.0,
        genuine=genuine,
        impostors=len(trials) - genuine,
        auc=None,
        auc_interval=None,
        equal_error=None,
        equal_error_interval=None,
    )
    return _measured(row, trials, rng) if 0 < genuine < len(trials) else row


def _measured(row: PeopleRow, trials: Sequence[Trial], rng: np.random.Generator) -> PeopleRow:
    """The row with its rates. In a bootstrap sample people are drawn, not trials: a trial counts as often
    as its enrolled person was drawn, times, of an impostor, as often as that one was."""
    names = sorted({name for trial in trials for name in (trial.enrolled, trial.person)})
    number = {name: i for i, name in enumerate(names)}
    enrolled = np.array([number[trial.enrolled] for trial in trials])
    person = np.array([number[trial.person] for trial in trials])
    genuine = enrolled == person
    scores = np.array([trial.score for trial in trials])
    drawn = resampled(len(names), DRAWS, rng)
    weights = np.where(genuine, drawn[:, enrolled], drawn[:, enrolled] * drawn[:, person])
    # With few people a draw may leave one side empty.
    whole = weights[:, genuine].any(1) & weights[:, ~genuine].any(1)
    rates = np.array([_auc_and_equal_error(scores, genuine, own) for own in weights[whole]])
    auc, equal_error = _auc_and_equal_error(scores, genuine, np.ones(len(trials)))
    low, high = np.percentile(rates, [2.5, 97.5], axis=0) if len(rates) else (np.zeros(2), np.ones(2))
    return replace(
        row,
        auc=auc,
        auc_interval=(float(low[0]), float(high[0])),
        equal_error=equal_error,
        equal_error_interval=(float(low[1]), float(high[1])),
    )


def _auc_and_equal_error(
    scores: NDArray[np.float64], genuine: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Area under the curve (impostors above people), and the rate where its two errors are equal.

    ``scores``, ``genuine``, ``weights`` (n,). Ties count half; between two thresholds the curve is a line.
    """
    values, which = np.unique(scores, return_inverse=True)
    people = np.bincount(which, weights * genuine, len(values))
    others = np.bincount(which, weights * ~genuine, len(values))
    people, others = people / people.sum(), others / others.sum()
    # Refused is who scores above the threshold, which rises through the values.
    passed = np.concatenate([[0.0], np.cumsum(others)])
    refused = np.concatenate([[1.0], 1 - np.cumsum(people)])
    auc = float((people * (1 - passed[1:] + others / 2)).sum())
    over = int(np.argmax(passed >= refused))
    before, after = (refused - passed)[over - 1], (passed - refused)[over]
    share = before / (before + after) if before + after > 0 else 0.0
    return auc, float(passed[over - 1] + share * (passed[over] - passed[over - 1]))


def markdown(found: PeopleEvaluation) -> list[str]:
    """Lines of the table, with what it does not show."""
    heads = (
        "window",
        "features",
        "people",
        "enrolled (median)",
        "left out (median)",
        "trials",
        "AUC",
        "equal error rate",
    )
    lines = []
    for row in found.rows:
        cells = (
            f"{row.window_s:g} s",
            row.features,
            f"{row.qualifying} of {found.people}",
            f"{row.seconds:.1f} s",
            f"{row.calibration:g}",
            f"{row.genuine} genuine, {row.impostors} impostor",
            with_span(row.auc, row.auc_interval),
            with_span(row.equal_error, row.equal_error_interval),
        )
        lines.append(cells)
    return [
        *table(heads, lines),
        "",
        f"{found.clips} clips of {found.people} people, enrolled from {found.min_seconds:g} s or more: "
        "little material, no comparison with papers that had hours. The two halves of one clip share camera, "
        "light and session, which flatters the figures.",
    ]

"""Does this person move like themselves: a one-class SVM on the correlations between facial movements.

After Agarwal et al. 2019 (Protecting World Leaders Against Deep Fakes). The machine is learned from genuine
clips of one person alone and calibrated on clips it did not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior.material import still
from vidscan.behavior.series import seen_seconds
from vidscan.errors import InputError
from vidscan.people.windows import (
    COEFFICIENTS,
    DOMINANT,
    WINDOWS_S,
    Windows,
    cut_windows,
    folds,
)
from vidscan.spread import evenly
from vidscan.types import FaceSeries, PersonLack, PersonReport
from vidscan.verdict.calibration import p_value
from vidscan.verdict.one_class import OneClassSVM

MIN_SECONDS = 60.0
"""Least followed material that a person is enrolled from."""

_NU = 0.1
"""Share of the person's own windows that may lie outside."""
_REACH = 4.0
"""Standard deviations at which a feature stops counting for more: no single one decides."""
_LEAST_DEVIATION = 0.1
"""Of a coefficient, and, in units of how much the signal itself moves, of a mean."""
_KNOWN = 0.1
"""Share of windows that must know a feature for it to be used."""
_MOST_WINDOWS = 2000
"""More windows than these, which overlap nearly whole, are thinned evenly."""
_LEAST_SPREAD = 0.05
_TOLERANCE_S = 0.05
"""Less than any window is moved by."""
_HALF = float(np.finfo(np.float16).max)

LeftOut = Literal["clips", "blocks", "nothing"]


class TooLittleMaterialError(InputError):
    """There is less followed material than an enrolment needs."""

    code = "too_little_material"


@dataclass(frozen=True, slots=True)
class MovementSvm:
    """A one-class SVM over standardized windows."""

    centre: NDArray[np.float64]
    """(210,) mean of every feature."""
    weight: NDArray[np.float64]
    """(210,) one over its standard deviation; 0 where the feature is not used."""
    machine: OneClassSVM
    """Learnt from standardized windows (W, 210)."""

    @classmethod
    def fit(
        cls, features: NDArray[np.float64], spreads: NDArray[np.float64], *, means: bool = True
    ) -> MovementSvm:
        """Learn from windows.

        Parameters
        ----------
        features
            (W, 210) as in :class:`~vidscan.people.windows.Windows`, W >= 1.
        spreads
            (W, 20) likewise.
        means
            Use the signal means besides the coefficients.
        """
        rows = evenly(len(features), _MOST_WINDOWS)
        features, spreads = features[rows], spreads[rows]
        centre, deviation, share = _moments(features)
        movement = _moments(spreads)[0]
        least = np.concatenate([np.full(COEFFICIENTS, _LEAST_DEVIATION), _LEAST_DEVIATION * movement])
        # A signal that never moved has no scale on which its mean could be unusual.
        used = (share >= _KNOWN) & (least > 0)
        used[COEFFICIENTS:] &= means
        weight = np.where(used, 1 / np.where(used, np.maximum(deviation, least), 1.0), 0.0)
        gamma = 1 / max(1, int(used.sum()))
        points = standardise(features, centre, weight)
        return cls(centre, weight, OneClassSVM.fit(points, nu=_NU, gamma=gamma))

    def anomaly(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(W,) how far out windows (W, 210) lie: 0 on the boundary, positive outside.

        -log(1 + margin / rho), which falls strictly with scikit-learn's margin but, unlike it, does not
        level off far from everything known, and does not depend on how many windows were learned.
        """
        return self.machine.score_samples(standardise(features, self.centre, self.weight))


@dataclass(frozen=True, slots=True)
class PersonModel:
    """One enrolled person. Only numbers about movement, no picture."""

    name: str
    window_s: float
    svm: MovementSvm
    statistics: NDArray[np.float64]
    """(n,) ascending; one for each part that was left out and judged by the rest."""
    middle: float
    """Statistic whose score is one half."""
    spread: float
    """Statistic's step from there to a score of three quarters."""
    left_out: LeftOut
    """What the statistics are of: whole clips, or (some) blocks of one long clip."""
    clips: int
    windows: int
    seconds: float
    """Material that was learned: clips, windows, seconds."""
    vectors: NDArray[np.float16]
    """(V, 210) features of the (thinned) windows, for the picture of all people."""

    @classmethod
    def fit(
        cls,
        name: str,
        clips: Sequence[FaceSeries],
        *,
        window_s: float = WINDOWS_S[0],
        min_seconds: float = MIN_SECONDS,
        means: bool = True,
    ) -> PersonModel:
        """Enrol a person from tracks of genuine clips, one per clip.

        Every clip is left out in turn and judged by a machine that was learned from the others; see
        :func:`vidscan.people.windows.folds` for a clip that makes up most of the material.

        Raises
        ------
        TooLittleMaterialError
            Where fewer than ``min_seconds`` were followed, or not one whole window.
        """
        cut = [windows for windows in (cut_windows(clip, window_s) for clip in clips) if len(windows)]
        seconds = sum(windows.seconds for windows in cut)
        least = max(min_seconds, window_s if not cut else 0.0)
        # A clip of 60 s may measure 59.96.
        if seconds < least - _TOLERANCE_S:
            raise TooLittleMaterialError(_too_little(name, clips, seconds, least, window_s))

        features, spreads = _pool([windows.take(np.ones(len(windows), bool)) for windows in cut])
        svm = MovementSvm.fit(features, spreads, means=means)
        statistics, distances = [], []
        parts = folds(cut, window_s)
        for fold in parts:
            learnt = _pool([windows.take(rows) for windows, rows in zip(cut, fold.learnt, strict=True)])
            tested = cut[fold.clip].take(fold.tested)[0]
            distances.append(MovementSvm.fit(*learnt, means=means).anomaly(tested))
            statistics.append(float(np.median(distances[-1])))
        # With nothing left out there are only the windows themselves to set a scale by.
        around = np.concatenate(distances or [svm.anomaly(features)])
        largest = max(map(len, cut)) / sum(map(len, cut))
        return cls(
            name=name,
            window_s=window_s,
            svm=svm,
            statistics=np.sort(np.array(statistics, np.float64)),
            middle=max(statistics, default=0.0),
            spread=max(_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(around - np.median(around))))),
            left_out="nothing" if not parts else "blocks" if largest > DOMINANT else "clips",
            clips=len(cut),
            windows=len(features),
            seconds=seconds,
            vectors=np.clip(features[evenly(len(features), _MOST_WINDOWS)], -_HALF, _HALF).astype(np.float16),
        )

    def statistic(self, windows: Windows) -> float:
        """Median anomaly of a track's windows, of which there must be one or more."""
        return float(np.median(self.svm.anomaly(windows.features)))

    def score(self, statistic: float) -> float:
        """0..1, continuous and strictly increasing; above .5 is less like the person than all that was
        left out when they were enrolled."""
        x = (statistic - self.middle) / self.spread
        return 0.5 + 0.5 * x / (1 + abs(x))

    def p_value(self, statistic: float) -> float:
        """(1 + k) / (n + 1): share of the person's own left-out parts at least as unlike them."""
        return p_value(self.statistics, statistic)

    def judge(self, series: FaceSeries) -> PersonReport:
        """Compare a track with the person; ``insufficient`` where it holds no whole usable window."""
        windows, seconds = cut_windows(series, self.window_s), seen_seconds(series)
        known = PersonReport(
            self.name,
            series.track_id,
            "insufficient",
            None,
            None,
            parts=len(self.statistics),
            seconds=seconds,
            needed_s=self.window_s,
        )
        if not len(windows):
            return replace(known, lack=_lack(series, seconds, self.window_s))
        value = self.statistic(windows)
        return replace(
            known,
            status="ok",
            score=self.score(value),
            p_value=self.p_value(value),
            beyond=(value - self.middle) / self.spread,
        )


def _lack(series: FaceSeries, seconds: float, window_s: float) -> PersonLack:
    if seconds < window_s - _TOLERANCE_S:
        return "too_short"
    return "still" if still(series) else "lost"


def standardise(
    features: NDArray[np.floating], centre: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(W, 210) in standard deviations, bounded; what is unknown is 0, as is what is ordinary."""
    scaled = np.clip((features - centre) * weight, -_REACH, _REACH)
    return np.where(np.isfinite(scaled), scaled, 0.0)


def _moments(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, standard deviation and share known of every column; 0 where nothing is known."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    variance = np.where(known, (values - mean) ** 2, 0.0).sum(0) / count
    return mean, np.sqrt(variance), known.mean(0)


def _pool(
    parts: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    features, spreads = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(spreads)


def _too_little(name: str, clips: Sequence[FaceSeries], seconds: float, least: float, window_s: float) -> str:
    """What was found, what of it can be used, and what is missing."""
    found = sum(map(seen_seconds, clips))
    where = f"{len(clips)} clip{'s' * (len(clips) != 1)}"
    if clips and all(map(still, clips)):
        where += " (it does not move, as in a photograph)"
    return (
        f"too little to enroll {name}: a face was followed for {found:.1f} s in {where}, {seconds:.1f} s of "
        f"it in whole windows of {window_s:g} s; {least:g} s in such windows are needed, "
        f"{least - seconds:.1f} s are missing"
    )

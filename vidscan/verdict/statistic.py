"""The one number a track is judged by: from its patch scores alone, or from all its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import WeightsError
from vidscan.types import Track
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.combine import Survival, combine_windows
from vidscan.verdict.features import COLUMNS, FEATURES, Evidence, evidence
from vidscan.verdict.one_class import AnomalyModel, pack, unpack
from vidscan.verdict.reasons import occlusion
from vidscan.verdict.standardiser import Standardiser

if TYPE_CHECKING:
    from torch import Tensor

_SHORTEST_S = 0.5
"""Weight in seconds that a glimpse or a picture gets."""


@dataclass(frozen=True, slots=True)
class Telling:
    """The feature of a group that is least like genuine people's.

    Attributes
    ----------
    name
        Of the feature.
    value
        In its own unit.
    low, high
        Between these lie about 95 % of genuine windows.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What a track's evidence says.

    Attributes
    ----------
    statistic
        Higher is more suspicious; compared between tracks and with the calibration.
    shares
        Share of it that each group of evidence carries, 0..1; sums to 1 or, where nothing is anomalous, 0.
    alone
        The statistic that each group would give if it were all the evidence; None where it is missing.
    values
        Measured features by group; of the window that is most anomalous.
    telling
        By group, of the same window.
    """

    statistic: float
    shares: dict[str, float]
    alone: dict[str, float | None]
    values: dict[str, dict[str, float]]
    telling: dict[str, Telling]


class TrackStatistic(Protocol):
    """A way to judge a track."""

    def judge(self, track: Track) -> Judged:
        """What the evidence of a track with at least one analysed face says."""


class PatchStatistic:
    """The level that the crops hold (:func:`vidscan.verdict.aggregate.statistic`), and nothing else."""

    def judge(self, track: Track) -> Judged:
        """See :class:`TrackStatistic`."""
        scores = np.array([f.score for f in track.faces])
        value = statistic(np.array([f.time_s for f in track.faces]), scores)
        values = {"patch_statistic": value, "patch_spread": float(scores.std())}
        return Judged(value, {"patch": 1.0}, {"patch": value}, {"patch": values}, {})


@dataclass(frozen=True, slots=True)
class EvidenceStatistic:
    """A one-class model over the windows of a track, combined so that long tracks raise no more alarms.

    Attributes
    ----------
    standardiser, model
        Fitted on genuine windows.
    margins_of_genuine
        (n,) margins of genuine windows: what the windows of a track are compared with.
    """

    standardiser: Standardiser
    model: AnomalyModel
    margins_of_genuine: NDArray[np.float64]

    @property
    def reference(self) -> Survival:
        """Survival of the margins of genuine windows."""
        return Survival.fit(self.margins_of_genuine)

    def judge(self, track: Track) -> Judged:
        """See :class:`TrackStatistic`."""
        windows = evidence(track)
        margins = self.margins(windows)
        value = self.combine(windows, margins)
        worst = windows[int(margins.argmax())]
        return Judged(
            statistic=value,
            shares=occlusion(self.model, self.standardiser, worst.values, worst.valid),
            alone={group: self._alone(windows, group) for group in FEATURES},
            values=_by_group(worst),
            telling=self._telling(worst),
        )

    def margins(self, windows: Sequence[Evidence]) -> NDArray[np.float64]:
        """(w,) anomaly of each window."""
        values = np.stack([w.values for w in windows])
        valid = np.stack([w.valid for w in windows])
        return self.model.score_samples(self.standardiser.transform(values, valid))

    def combine(self, windows: Sequence[Evidence], margins: NDArray[np.float64]) -> float:
        """The track's statistic from its windows' margins (w,)."""
        seconds = np.array([max(w.end_s - w.start_s, _SHORTEST_S) for w in windows])
        return float(combine_windows(margins, seconds, self.reference))

    def _alone(self, windows: Sequence[Evidence], group: str) -> float | None:
        own = np.array([column.group == group for column in COLUMNS])
        if not any((w.valid & own).any() for w in windows):
            return None
        only = [Evidence(w.track_id, w.start_s, w.end_s, w.values, w.valid & own) for w in windows]
        return self.combine(only, self.margins(only))

    def _telling(self, window: Evidence) -> dict[str, Telling]:
        z = self.standardiser.transform(window.values[None], window.valid[None])[0]
        found = {}
        for group in FEATURES:
            own = [i for i, column in enumerate(COLUMNS) if column.group == group and window.valid[i]]
            if own:
                i = max(own, key=lambda k: abs(z[k]))
                centre, scale = self.standardiser.centre[i], self.standardiser.scale[i]
                found[group] = Telling(
                    COLUMNS[i].name, float(window.values[i]), centre - 2 * scale, centre + 2 * scale
                )
        return found

    def to_record(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON settings for the registry."""
        import torch

        tensors, settings = pack(self.standardiser, self.model)
        tensors["reference"] = torch.from_numpy(self.margins_of_genuine.copy())
        return tensors, settings

    @classmethod
    def from_record(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> EvidenceStatistic:
        """:meth:`to_record` backwards.

        Raises
        ------
        WeightsError
            Where something is missing, damaged, or of other features than this version measures.
        """
        standardiser, model = unpack(tensors, settings)
        if standardiser.columns != COLUMNS:
            raise WeightsError("the verdict model is for other features than this version measures")
        try:
            margins = tensors["reference"].double().numpy()
            Survival.fit(margins)
        except (KeyError, ValueError) as error:
            raise WeightsError(f"the verdict model's reference is not usable: {error}") from error
        return cls(standardiser, model, margins)


def _by_group(window: Evidence) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for column, value, valid in zip(COLUMNS, window.values, window.valid, strict=True):
        if valid:
            found.setdefault(column.group, {})[column.name] = float(value)
    return found

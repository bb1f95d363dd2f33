"""The one number a track is judged by: from its patch scores alone, or from all its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import WeightsError
from vidscan.types import Track
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.attribution import occlusion
from vidscan.verdict.combine import Survival, combine_windows
from vidscan.verdict.features import Evidence, evidence
from vidscan.verdict.groups import GROUP_OF
from vidscan.verdict.one_class import LinearOneClassSVM, pack, unpack
from vidscan.verdict.standardiser import Standardiser

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 1e-6
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
class Assessment:
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

    def assess(self, track: Track, bits_per_pixel: float | None) -> Assessment:
        """What the evidence of a track with at least one analyzed face says."""


class PatchStatistic:
    """The level that the crops hold (:func:`vidscan.verdict.aggregate.statistic`), and nothing else."""

    def assess(self, track: Track, bits_per_pixel: float | None) -> Assessment:
        """See :class:`TrackStatistic`."""
        scores = np.array([f.score for f in track.faces])
        value = statistic(np.array([f.time_s for f in track.faces]), scores)
        values = {"patch_statistic": value, "patch_spread": float(scores.std())}
        return Assessment(value, {"patch": 1.0}, {"patch": value}, {"patch": values}, {})


@dataclass(frozen=True, slots=True)
class QualityEffect:
    """What face size, sharpness and compression do to a genuine track's statistic, by linear regression.

    Without this, thresholds pooled over all qualities would accuse soft and compressed clips more often than
    sharp ones. Qualities beyond what 95 % of the genuine clips have count as the nearest of those.

    Attributes
    ----------
    slope
        (3,) change of the statistic for each unit of log face px, log sharpness and log bits per pixel.
    centre, low, high
        (3,) medians of genuine clips, and the range that counts.
    """

    slope: NDArray[np.float64]
    centre: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def none(cls) -> QualityEffect:
        """No effect at all."""
        return cls(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3))

    @classmethod
    def fit(cls, measures: NDArray[np.floating], statistics: NDArray[np.floating]) -> QualityEffect:
        """From :meth:`measures` (n, 3) and statistics (n,) of genuine tracks, by least squares."""
        q = np.asarray(measures, np.float64)
        centre = np.nanmedian(q, axis=0)
        q = np.where(np.isfinite(q), q, centre)
        low, high = np.percentile(q, [2.5, 97.5], axis=0)
        design = np.column_stack([np.ones(len(q)), np.clip(q, low, high) - centre])
        slope = np.linalg.lstsq(design, np.asarray(statistics, np.float64), rcond=None)[0][1:]
        return cls(slope, centre, low, high)

    @staticmethod
    def measures(track: Track, bits_per_pixel: float | None) -> NDArray[np.float64]:
        """(3,) log of face px, sharpness and bits per pixel; NaN where not known."""
        face_px, sharpness = (
            float(np.median([getattr(f, name) for f in track.faces])) for name in ("face_px", "sharpness")
        )
        values = np.array([face_px, sharpness, bits_per_pixel or np.nan])
        return np.log(np.maximum(values, _LEAST))

    def usual(self, track: Track, bits_per_pixel: float | None) -> float:
        """How much the statistic of a genuine track of this quality lies above one of median quality."""
        q = self.measures(track, bits_per_pixel)
        q = np.clip(np.where(np.isfinite(q), q, self.centre), self.low, self.high)
        return float((q - self.centre) @ self.slope)

    def array(self) -> NDArray[np.float64]:
        """(4, 3) for the registry."""
        return np.stack([self.slope, self.centre, self.low, self.high])

    @classmethod
    def of(cls, array: NDArray[np.float64]) -> QualityEffect:
        """:meth:`array` backwards; raises ValueError where it is not usable."""
        if array.shape != (4, 3) or not np.isfinite(array).all():
            raise ValueError(f"quality must be (4, 3) and finite, got {array.shape}")
        return cls(*array)


@dataclass(frozen=True, slots=True)
class EvidenceStatistic:
    """A one-class model over the windows of a track, combined so that long tracks raise no more alarms.

    Attributes
    ----------
    standardiser, model
        Fitted on genuine windows.
    margins_of_genuine
        (n,) margins of genuine windows: what the windows of a track are compared with.
    quality
        What of the statistic the picture's quality explains; it is taken off.
    """

    standardiser: Standardiser
    model: LinearOneClassSVM
    margins_of_genuine: NDArray[np.float64]
    quality: QualityEffect

    @property
    def reference(self) -> Survival:
        """Survival of the margins of genuine windows."""
        return Survival.fit(self.margins_of_genuine)

    @property
    def _groups(self) -> tuple[str, ...]:
        """Those that are judged, each once."""
        return tuple(dict.fromkeys(self.standardiser.groups))

    def assess(self, track: Track, bits_per_pixel: float | None) -> Assessment:
        """See :class:`TrackStatistic`."""
        windows = evidence(track, self.standardiser.columns)
        margins = self.margins(windows)
        usual = self.quality.usual(track, bits_per_pixel)
        value = self.combine(windows, margins) - usual
        worst = windows[int(margins.argmax())]
        return Assessment(
            statistic=value,
            shares=occlusion(self.model, self.standardiser, worst.values, worst.valid),
            alone={group: self._alone(windows, group, usual) for group in self._groups},
            values=worst.measured,
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

    def _alone(self, windows: Sequence[Evidence], group: str, usual: float) -> float | None:
        own = np.array([column.group == group for column in self.standardiser.columns])
        if not any((w.valid & own).any() for w in windows):
            return None
        only = [replace(w, valid=w.valid & own) for w in windows]
        return self.combine(only, self.margins(only)) - usual

    def _telling(self, window: Evidence) -> dict[str, Telling]:
        z = self.standardiser.transform(window.values[None], window.valid[None])[0]
        found = {}
        columns = self.standardiser.columns
        for group in self._groups:
            own = [i for i, column in enumerate(columns) if column.group == group and window.valid[i]]
            if own:
                i = max(own, key=lambda k: abs(z[k]))
                centre, scale = self.standardiser.centre[i], self.standardiser.scale[i]
                found[group] = Telling(
                    columns[i].name, float(window.values[i]), centre - 2 * scale, centre + 2 * scale
                )
        return found

    def to_record(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON settings for the registry."""
        import torch

        tensors, settings = pack(self.standardiser, self.model)
        tensors["reference"] = torch.from_numpy(self.margins_of_genuine.copy())
        tensors["quality"] = torch.from_numpy(self.quality.array())
        return tensors, settings

    @classmethod
    def from_record(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> EvidenceStatistic:
        """:meth:`to_record` backwards; any columns will do that this version measures.

        Raises
        ------
        WeightsError
            Where something is missing or damaged, or a feature is unknown.
        """
        standardiser, model = unpack(tensors, settings)
        if unknown := [c.name for c in standardiser.columns if c.name not in GROUP_OF]:
            names = ", ".join(unknown)
            raise WeightsError(f"the verdict model judges what this version does not measure: {names}")
        # Groups may have been called otherwise when the record was written.
        columns = tuple(replace(c, group=GROUP_OF[c.name]) for c in standardiser.columns)
        standardiser = replace(standardiser, columns=columns)
        try:
            margins = tensors["reference"].double().numpy()
            Survival.fit(margins)
            quality = QualityEffect.of(tensors["quality"].double().numpy())
        except (KeyError, ValueError) as error:
            raise WeightsError(f"the verdict model's reference is not usable: {error}") from error
        return cls(standardiser, model, margins, quality)

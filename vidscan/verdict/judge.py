"""Labels for tracks and for the clip, with computed reasons and a quality gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vidscan.errors import SetupError, WeightsError
from vidscan.models import ModelRecord
from vidscan.types import (
    LABEL_SEVERITY,
    Calibration,
    Found,
    Label,
    Note,
    Quality,
    Reason,
    Segment,
    Signal,
    Thresholds,
    Track,
    TrackReport,
    Verdict,
)
from vidscan.verdict.aggregate import suspicious_stretches
from vidscan.verdict.calibration import ScoreScale
from vidscan.verdict.combine import Survival, among_tracks
from vidscan.verdict.groups import GROUPS
from vidscan.verdict.reasons import evidence_reasons, quality_reasons
from vidscan.verdict.statistic import Assessment, EvidenceStatistic, PatchStatistic, TrackStatistic

if TYPE_CHECKING:
    from torch import Tensor

_MIN_TRACK_S = 0.5
_MIN_INSIDE = 0.7
"""Share of the face box in the frame, below which what is left of the face is no base for a verdict."""
_FINE_QUANTISER = 33.0
"""Of H.264: what is coded finer keeps its traces (x264's usual quality, CRF 23, gives 20 to 28)."""
_MIN_TRACK_SHARE = 0.2
_BESIDE = 0.5
"""A face that is too poor to judge, and smaller than this share of one that is not, stands in the background:
it must not cloud the verdict on the one in front."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What the patch model was trained for; worse material gets no clear verdict."""

    min_face_px: float
    min_sharpness: float
    min_brightness: float
    min_seconds: float = 0.0
    """From the first to the last frame of a track; not asked of a picture."""
    min_crops: float = 0.0
    """Analysed faces of a track; not asked of a picture."""
    min_bits_per_pixel: float = 0.0
    min_detail_px: float = 0.0
    """Of what the face really shows (:attr:`vidscan.types.FaceEvidence.detail_px`)."""

    def flags(
        self,
        face_px: float,
        sharpness: float,
        brightness: float,
        bits_per_pixel: float | None = None,
        seen: tuple[float, int] | None = None,
        *,
        detail_px: float = math.inf,
        inside: float = 1.0,
        quantiser: float | None = None,
    ) -> tuple[Note, ...]:
        """What is wrong with a face of this size (px), sharpness and brightness (gray levels).

        Parameters
        ----------
        bits_per_pixel
            Of the clip; None where it is not known.
        seen
            For how many seconds, and in how many analyzed frames; None for a picture, which is short by
            nature.
        detail_px
            Real detail of the face (px), however far it was enlarged.
        inside
            Share of the face that is inside the frame.
        quantiser
            Where the face is, 0 to 51; None where it is not known. A fine one clears a small file: the rest
            of its frames may be still.
        """
        found = []
        if face_px < self.min_face_px:
            found.append(
                Note("face_too_small", f"face is {face_px:.0f} px wide, {self.min_face_px:.0f} px are needed")
            )
        elif detail_px < self.min_detail_px:
            message = (
                f"face is blurred or was enlarged: it shows no more than one {detail_px:.0f} px wide, "
                f"{self.min_detail_px:.0f} px are needed"
            )
            found.append(Note("face_without_detail", message))
        if sharpness < self.min_sharpness:
            found.append(Note("face_too_blurred", "face is too blurred, or too low in contrast, to judge"))
        if brightness < self.min_brightness:
            found.append(Note("face_too_dark", "face is too dark to judge"))
        if seen is not None and seen[0] < self.min_seconds:
            # Rounded down, or it would read as if it were enough.
            shown = math.floor(100 * seen[0]) / 100
            found.append(
                Note("too_short", f"face is seen for {shown:g} s, {self.min_seconds:g} s are needed")
            )
        elif seen is not None and seen[1] < self.min_crops:
            found.append(
                Note(
                    "too_short",
                    f"face was examined in {seen[1]} frame{'s' * (seen[1] != 1)}, "
                    f"{self.min_crops:.0f} are needed",
                )
            )
        if inside < _MIN_INSIDE:
            found.append(Note("face_cut_off", f"only {100 * inside:.0f} % of the face is in the picture"))
        fine = quantiser is not None and quantiser <= _FINE_QUANTISER
        if bits_per_pixel is not None and bits_per_pixel < self.min_bits_per_pixel and not fine:
            found.append(Note("too_compressed", "clip is too compressed to judge"))
        return tuple(found)

    def quality(self, track: Track, bits_per_pixel: float | None, picture: bool) -> Quality:
        """Medians over a track's analyzed faces, and what is wrong with them; ``picture``: of a still."""
        faces = track.faces
        face_px, sharpness, brightness, detail = (
            float(np.median([getattr(f, name) for f in faces]))
            for name in ("face_px", "sharpness", "brightness", "detail_px")
        )
        known = [face.quantiser for face in faces if face.quantiser is not None]
        flags = self.flags(
            face_px,
            sharpness,
            brightness,
            bits_per_pixel,
            None if picture else (track.end_s - track.start_s, len(faces)),
            detail_px=detail,
            inside=float(np.median([face.inside for face in faces])),
            quantiser=float(np.median(known)) if known else None,
        )
        told = detail if math.isfinite(detail) else None
        return Quality(face_px, sharpness, brightness, bits_per_pixel, flags, told)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything the report says of the tracks of one clip."""

    verdict: Verdict
    tracks: tuple[TrackReport, ...]
    segments: tuple[Segment, ...]
    signals: dict[str, Signal]
    quality: Quality
    notes: tuple[Note, ...] = ()
    """What should be known about the evidence."""


def _label(score: float, flags: tuple[Note, ...], thresholds: Thresholds) -> Label:
    if flags:
        return "uncertain"
    if score >= thresholds.manipulated:
        return "manipulated"
    return "uncertain" if score >= thresholds.uncertain else "no_manipulation_found"


class Judge:
    """Turns tracks into a verdict with one verdict model's calibration.

    Parameters
    ----------
    scale, limits
        From the model's registry record.
    measured_fpr
        Share of genuine validation clips called manipulated, with its 95 % interval; None if unmeasured.
    statistic
        What a track is judged by; its patch scores alone by default.
    patch_scale
        The scale of patch scores, for frames and segments; ``scale`` by default.
    found
        What rates find, by the registry record; reports quote it.
    target_fpr, uncertain_fpr
        Shares of genuine clips that may be called manipulated, and manipulated or uncertain; 0 for those
        that the scale was fitted for. Raises ValueError where its people are too few for a rate.
    """

    def __init__(
        self,
        scale: ScoreScale,
        limits: QualityLimits,
        measured_fpr: tuple[float, tuple[float, float]] | None = None,
        *,
        statistic: TrackStatistic | None = None,
        patch_scale: ScoreScale | None = None,
        found: tuple[Found, ...] = (),
        target_fpr: float = 0.0,
        uncertain_fpr: float = 0.0,
    ) -> None:
        self.scale, self.limits = scale, limits
        self.statistic = statistic or PatchStatistic()
        self.patch_scale = patch_scale or scale
        self.thresholds = scale.thresholds(target_fpr, uncertain_fpr)
        # What was measured is how the rate that was fitted for is kept.
        told = measured_fpr if target_fpr in (0.0, scale.target_fpr) else None
        self.calibration = Calibration(
            n=len(scale.statistics),
            bin=scale.bin,
            target_fpr=target_fpr or scale.target_fpr,
            measured_fpr=told[0] if told else None,
            interval=told[1] if told else None,
            found=found,
        )
        # The patch scale knows fewer people; what it marks is never what accuses.
        least = self.patch_scale.least_fpr
        rates = (max(rate, least) if rate else 0.0 for rate in (target_fpr, uncertain_fpr))
        self._suspicious = self.patch_scale.levels(*rates)[0]
        whole = isinstance(self.statistic, EvidenceStatistic)
        self._survival = Survival.fit(scale.statistics) if whole else None

    def judge(
        self, tracks: list[Track], bits_per_pixel: float | None, picture: bool | None = None
    ) -> Judgement:
        """Judge every track; the clip carries the label and score of the worst.

        ``picture`` says whether the file is a still, which is short by nature; None: by its tracks.
        """
        picture = is_picture(tracks) if picture is None else picture
        tracks = worth_judging(tracks)
        found = [self._among(self.statistic.assess(t, bits_per_pixel), len(tracks)) for t in tracks]
        judged = [self._track(t, j, bits_per_pixel, picture) for t, j in zip(tracks, found, strict=True)]
        segments = tuple(segment for track in tracks for segment in self._segments(track))
        worst = max(
            self._in_front(judged),
            key=lambda t: (LABEL_SEVERITY[t.label], t.score or 0.0, -t.track_id),
            default=None,
        )
        own = None if worst is None else found[judged.index(worst)]
        verdict = Verdict(
            label=worst.label if worst else "no_face",
            score=worst.score if worst else None,
            p_value=worst.p_value if worst else None,
            thresholds=self.thresholds,
            calibration=self.calibration,
            reasons=_reasons(worst, own, segments),
        )
        track = None if worst is None else tracks[judged.index(worst)]
        signals = self._signals(own, track)
        quality = worst.quality if worst else Quality(None, None, None, bits_per_pixel)
        return Judgement(verdict, tuple(judged), segments, signals, quality, _notes(track))

    def _in_front(self, judged: list[TrackReport]) -> list[TrackReport]:
        """Without what must not cloud the verdict on a face that can be judged.

        That is a smaller face too poor to judge, and one that passed by too briefly and looked genuine. A
        brief one that looks suspicious counts: a forged shot may be short.
        """
        clear = max((t.face_px for t in judged if not t.quality.flags), default=None)
        if clear is None:
            return judged
        return [
            t
            for t in judged
            if not t.quality.flags or (t.face_px >= _BESIDE * clear and not self._passed_by(t))
        ]

    def _passed_by(self, track: TrackReport) -> bool:
        only_short = {flag.code for flag in track.quality.flags} == {"too_short"}
        return only_short and (track.score or 0.0) < self.thresholds.uncertain

    def _among(self, assessment: Assessment, tracks: int) -> Assessment:
        """The same, with its statistic lowered for having been looked for among several tracks."""
        if self._survival is None or tracks == 1:
            return assessment
        return replace(assessment, statistic=among_tracks(assessment.statistic, tracks, self._survival))

    def _track(
        self, track: Track, assessment: Assessment, bits_per_pixel: float | None, picture: bool
    ) -> TrackReport:
        quality = self.limits.quality(track, bits_per_pixel, picture)
        score = self.scale.score(assessment.statistic)
        return TrackReport(
            track_id=track.track_id,
            label=_label(score, quality.flags, self.thresholds),
            score=score,
            p_value=self.scale.p_value(assessment.statistic),
            start_s=track.start_s,
            end_s=track.end_s,
            frames=track.frames,
            face_px=float(np.median([face.face_px for face in track.faces])),
            quality=quality,
        )

    def _signals(self, assessment: Assessment | None, track: Track | None) -> dict[str, Signal]:
        """Every group's own score and what was measured, of the track that gave the verdict."""
        if assessment is None or track is None:
            return no_signals()
        signals = {group: self._signal(assessment, group) for group in GROUPS}
        scores = np.array([f.score for f in track.faces])
        patch: dict[str, float | None] = {
            "log_odds": assessment.values["patch"]["patch_statistic"],
            "median": float(np.median(scores)),
            "spread": float(scores.std()),
            "crops": float(len(scores)),
        }
        signals["patch"] = replace(signals["patch"], values={**signals["patch"].values, **patch})
        return signals

    def _signal(self, assessment: Assessment, group: str) -> Signal:
        if group not in assessment.alone:
            return Signal(None, "not_applicable")
        alone, share = assessment.alone[group], assessment.shares[group]
        if alone is None:
            return Signal(None, "insufficient", share)
        return Signal(self.scale.score(alone), "ok", share, dict(assessment.values.get(group, {})))

    def _segments(self, track: Track) -> list[Segment]:
        times = np.array([f.time_s for f in track.faces])
        scores = np.array([f.score for f in track.faces])
        found = []
        for first, last in suspicious_stretches(times, scores, self._suspicious):
            peak = first + int(scores[first : last + 1].argmax())
            # The score of that look, as frames tell it: a moment has one number, at every rate.
            score = self.patch_scale.score(float(scores[peak]))
            found.append(
                Segment(track.track_id, float(times[first]), float(times[last]), float(times[peak]), score)
            )
        return found


def no_signals() -> dict[str, Signal]:
    """Every group, none of which has anything to say."""
    return {group: Signal(None, "not_applicable") for group in GROUPS}


def _reasons(
    worst: TrackReport | None, assessment: Assessment | None, segments: tuple[Segment, ...]
) -> tuple[Reason, ...]:
    if worst is None or assessment is None or worst.label == "no_manipulation_found":
        return ()
    if worst.quality.flags:
        return quality_reasons(worst)
    return evidence_reasons(worst, assessment, tuple(s for s in segments if s.track_id == worst.track_id))


def _notes(track: Track | None) -> tuple[Note, ...]:
    if track is None or not track.behavior or not all(window.still for window in track.behavior):
        return ()
    message = (
        f"face {track.track_id} does not move, as in a photograph: blinking, head pose, gaze and expression "
        "say nothing about it"
    )
    return (Note("still_face", message),)


def is_picture(tracks: Sequence[Track]) -> bool:
    """Whether nobody was seen but in the very first frame: that is how a picture looks."""
    return all(t.frames == 1 and f.frame_index == 0 for t in tracks for f in t.faces)


def load_judge(record: ModelRecord, target_fpr: float = 0.0, uncertain_fpr: float = 0.0) -> Judge:
    """The judge of a registry record of kind ``verdict``; rates as in :class:`Judge`.

    Its tensors are ``statistics`` (n,), ``thresholds`` (uncertain, manipulated) on the same scale and
    ``limits`` (face px, sharpness, brightness, and where there are such limits seconds, crops, bits per pixel
    and detail px: the fields of :class:`QualityLimits`); where the record names a one-class ``model`` also
    its own (:meth:`EvidenceStatistic.to_record`), ``patch_statistics`` and ``patch_thresholds``. All that
    decides a label is under the file's sha256. ``found`` in the record says what rates find.

    Raises
    ------
    WeightsError
        Where the record or its file is not usable.
    SetupError
        Where the record's people are too few for a rate, or ``uncertain_fpr`` is not above ``target_fpr``.
    """
    tensors, settings = record.load(), record.settings
    try:
        scale = _scale(tensors["statistics"], tensors["thresholds"], settings)
        limits = QualityLimits(*tensors["limits"].tolist())
        measured = settings.get("measured_fpr")
        rate = (measured["rate"], (measured["interval"][0], measured["interval"][1])) if measured else None
        figures = tuple(
            Found(float(target), own["rate"], (own["interval"][0], own["interval"][1]), own["clips"])
            for target, own in sorted(settings.get("found", {}).items(), key=lambda item: float(item[0]))
        )
        whole = "model" in settings
        patch_scale = (
            _scale(tensors["patch_statistics"], tensors["patch_thresholds"], settings) if whole else None
        )
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"verdict model {record.name} is not usable: {error}") from error
    statistic = EvidenceStatistic.from_record(tensors, settings) if whole else None
    _check_rates(target_fpr, uncertain_fpr, scale.target_fpr)
    try:
        return Judge(
            scale,
            limits,
            rate,
            statistic=statistic,
            patch_scale=patch_scale,
            found=figures,
            target_fpr=target_fpr,
            uncertain_fpr=uncertain_fpr,
        )
    except ValueError as error:
        raise SetupError(f"verdict model {record.name}: {error}") from error


def _check_rates(target_fpr: float, uncertain_fpr: float, fitted_fpr: float) -> None:
    for name, rate in (("target_fpr", target_fpr), ("uncertain_fpr", uncertain_fpr)):
        if not 0 <= rate < 1:
            raise SetupError(f"{name} {rate:g}: a share of genuine clips is at least 0 and below 1")
    target = target_fpr or fitted_fpr
    if 0 < uncertain_fpr <= target:
        raise SetupError(f"uncertain_fpr {uncertain_fpr:g} is not above target_fpr {target:g}")


def _scale(statistics: Tensor, thresholds: Tensor, settings: dict[str, Any]) -> ScoreScale:
    uncertain, manipulated = thresholds.tolist()
    if not np.isfinite([uncertain, manipulated]).all() or uncertain >= manipulated:
        raise ValueError(f"thresholds {uncertain}, {manipulated}")
    return ScoreScale(
        statistics.double().numpy(), uncertain, manipulated, settings["target_fpr"], settings["bin"]
    )


def worth_judging(tracks: Sequence[Track]) -> list[Track]:
    """Leave out glimpses beside which there is a track long enough to judge."""
    seen = [t for t in tracks if t.faces]
    longest = max((t.end_s - t.start_s for t in seen), default=0.0)
    least = min(_MIN_TRACK_S, _MIN_TRACK_SHARE * longest)
    return [t for t in seen if t.end_s - t.start_s >= least]

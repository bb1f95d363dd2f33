"""Labels for tracks and for the clip, with computed reasons and a quality gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidscan.errors import WeightsError
from vidscan.models import ModelRecord
from vidscan.types import (
    LABEL_SEVERITY,
    Calibration,
    Label,
    Note,
    Quality,
    Reason,
    Segment,
    Signal,
    Signals,
    Thresholds,
    Track,
    TrackReport,
    Verdict,
)
from vidscan.verdict.aggregate import running_level, statistic, stretches
from vidscan.verdict.calibration import MANIPULATED_SCORE, UNCERTAIN_SCORE, ScoreScale

_MIN_TRACK_S = 0.5
_MIN_TRACK_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What the patch model was trained for; worse material gets no clear verdict."""

    min_face_px: float
    min_sharpness: float
    min_brightness: float

    def flags(self, face_px: float, sharpness: float, brightness: float) -> tuple[Note, ...]:
        """What is wrong with a face of this size (px), sharpness and brightness (grey levels)."""
        found = []
        if face_px < self.min_face_px:
            found.append(
                Note("face_too_small", f"face is {face_px:.0f} px wide, {self.min_face_px:.0f} px are needed")
            )
        if sharpness < self.min_sharpness:
            found.append(Note("face_too_blurred", "face is too blurred to judge"))
        if brightness < self.min_brightness:
            found.append(Note("face_too_dark", "face is too dark to judge"))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything the report says of the tracks of one clip."""

    verdict: Verdict
    tracks: tuple[TrackReport, ...]
    segments: tuple[Segment, ...]
    signals: Signals
    quality: Quality


def _label(score: float, flags: tuple[Note, ...]) -> Label:
    if flags:
        return "uncertain"
    if score >= MANIPULATED_SCORE:
        return "manipulated"
    return "uncertain" if score >= UNCERTAIN_SCORE else "authentic"


class Judge:
    """Turns tracks into a verdict with one patch model's calibration.

    Parameters
    ----------
    scale, limits
        From the model's registry record.
    measured_fpr
        Share of genuine validation clips called manipulated, with its 95 % interval; None if unmeasured.
    """

    def __init__(
        self,
        scale: ScoreScale,
        limits: QualityLimits,
        measured_fpr: tuple[float, tuple[float, float]] | None = None,
    ) -> None:
        self.scale, self.limits, self.measured = scale, limits, measured_fpr

    def judge(self, tracks: list[Track], bits_per_pixel: float | None) -> Judgement:
        """Judge every track; the clip carries the label and score of the worst."""
        tracks = _worth_judging(tracks)
        judged = [self._track(track, bits_per_pixel) for track in tracks]
        segments = tuple(segment for track in tracks for segment in self._segments(track))
        worst = max(
            judged, key=lambda t: (LABEL_SEVERITY[t.label], t.score or 0.0, -t.track_id), default=None
        )
        verdict = Verdict(
            label=worst.label if worst else "no_face",
            score=worst.score if worst else None,
            p_value=worst.p_value if worst else None,
            thresholds=Thresholds(UNCERTAIN_SCORE, MANIPULATED_SCORE),
            calibration=Calibration(
                n=len(self.scale.statistics),
                bin=self.scale.bin,
                target_fpr=self.scale.target_fpr,
                measured_fpr=self.measured[0] if self.measured else None,
                interval=self.measured[1] if self.measured else None,
            ),
            reasons=self._reasons(worst, segments),
        )
        missing = Signal(None, "not_applicable")
        patch = missing
        if worst is not None:
            track = next(t for t in tracks if t.track_id == worst.track_id)
            scores = np.array([f.score for f in track.faces])
            values: dict[str, float | None] = {
                "log_odds": statistic(np.array([f.time_s for f in track.faces]), scores),
                "median": float(np.median(scores)),
                "spread": float(scores.std()),
                "crops": float(len(scores)),
            }
            patch = Signal(worst.score, "ok", values)
        signals = Signals(patch, missing, missing, missing, missing, missing)
        quality = worst.quality if worst else Quality(None, None, None, bits_per_pixel)
        return Judgement(verdict, tuple(judged), segments, signals, quality)

    def _track(self, track: Track, bits_per_pixel: float | None) -> TrackReport:
        faces = track.faces
        value = statistic(np.array([f.time_s for f in faces]), np.array([f.score for f in faces]))
        face_px, sharpness, brightness = (
            float(np.median([getattr(f, name) for f in faces]))
            for name in ("face_px", "sharpness", "brightness")
        )
        flags = self.limits.flags(face_px, sharpness, brightness)
        score = self.scale.score(value)
        return TrackReport(
            track_id=track.track_id,
            label=_label(score, flags),
            score=score,
            p_value=self.scale.p_value(value),
            start_s=track.start_s,
            end_s=track.end_s,
            frames=track.frames,
            face_px=face_px,
            quality=Quality(face_px, sharpness, brightness, bits_per_pixel, flags),
        )

    def _segments(self, track: Track) -> list[Segment]:
        times = np.array([f.time_s for f in track.faces])
        values = running_level(times, np.array([f.score for f in track.faces]))
        found = []
        for first, last in stretches(times, values, self.scale.uncertain):
            peak = first + int(values[first : last + 1].argmax())
            score = self.scale.score(float(values[first : last + 1].mean()))
            found.append(
                Segment(track.track_id, float(times[first]), float(times[last]), float(times[peak]), score)
            )
        return found

    def _reasons(self, worst: TrackReport | None, segments: tuple[Segment, ...]) -> tuple[Reason, ...]:
        if worst is None or worst.label == "authentic":
            return ()
        if worst.quality.flags:
            share = 1.0 / len(worst.quality.flags)
            return tuple(
                Reason(flag.code, flag.message, worst.track_id, worst.start_s, worst.end_s, share)
                for flag in worst.quality.flags
            )
        own = [s for s in segments if s.track_id == worst.track_id]
        code = "patches_manipulated" if worst.label == "manipulated" else "patches_suspicious"
        if not own:
            text = "local texture of the face looks manipulated throughout"
            return (Reason(code, text, worst.track_id, worst.start_s, worst.end_s, 1.0),)
        total = sum(s.score * max(s.end_s - s.start_s, 1e-3) for s in own)
        return tuple(
            Reason(
                code,
                "local texture of the face looks manipulated here",
                s.track_id,
                s.start_s,
                s.end_s,
                s.score * max(s.end_s - s.start_s, 1e-3) / total,
            )
            for s in own
        )


def load_judge(record: ModelRecord) -> Judge:
    """The judge of a registry record of kind ``verdict``.

    Its tensors are ``statistics`` (n,), ``thresholds`` (uncertain, manipulated) on the same scale and
    ``limits`` (face px, sharpness, brightness): all that decides a label is under the file's sha256.

    Raises
    ------
    WeightsError
        Where the record or its file is not usable.
    """
    tensors, settings = record.load(), record.settings
    try:
        statistics = tensors["statistics"].double().numpy()
        uncertain, manipulated = tensors["thresholds"].tolist()
        limits = QualityLimits(*tensors["limits"].tolist())
        if not np.isfinite([uncertain, manipulated]).all() or uncertain >= manipulated:
            raise ValueError(f"thresholds {uncertain}, {manipulated}")
        scale = ScoreScale(statistics, uncertain, manipulated, settings["target_fpr"], settings["bin"])
        measured = settings.get("measured_fpr")
        rate = (measured["rate"], (measured["interval"][0], measured["interval"][1])) if measured else None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"verdict model {record.name} is not usable: {error}") from error
    return Judge(scale, limits, rate)


def _worth_judging(tracks: list[Track]) -> list[Track]:
    """Leave out glimpses beside which there is a track long enough to judge."""
    seen = [t for t in tracks if t.faces]
    longest = max((t.end_s - t.start_s for t in seen), default=0.0)
    least = min(_MIN_TRACK_S, _MIN_TRACK_SHARE * longest)
    return [t for t in seen if t.end_s - t.start_s >= least]

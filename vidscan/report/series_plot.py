"""Everything that was measured of a clip over time, as one picture; needs matplotlib (extra ``plot``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.behavior import head_pose
from vidscan.behavior.action_units import MOVEMENTS, signals
from vidscan.behavior.blink import find_blinks
from vidscan.behavior.correlation import correlations
from vidscan.behavior.eye_closure import closure
from vidscan.faces.units import MAX_INTENSITY, UNIT_NAMES
from vidscan.report.pyplot import load_pyplot, save_figure
from vidscan.report.words import count, escape, headline, label_words
from vidscan.types import EyeRule, FaceSeries, FrameReport, Report, TrackReport

MOST_TRACKS = 3
"""Tracks drawn: the longest."""

_COLOURS = ("#0072b2", "#d55e00", "#009e73")
"""Okabe & Ito's, which the color-blind tell apart."""
_INK, _PALE, _LOST = "#222222", "#777777", "#e8e8e8"
_GAP_STEPS = 2.5
"""Rows further apart than so many median steps have a gap between them."""
_BINS = 600
_MOST_POSES = 4000
"""Rows for which the two head poses are worked out: more than there are pixels across."""
_MOST_METADATA = 32
_LINE_CHARACTERS = 92


@dataclass(frozen=True, slots=True)
class _View:
    """One track, with what its panels are drawn from."""

    report: Report
    track: TrackReport
    frames: tuple[FrameReport, ...]
    series: FaceSeries | None


def plot_series(report: Report, series: Sequence[FaceSeries], out: Path, metadata: Mapping[str, str]) -> Path:
    """Draw the measured series of the longest tracks, side by side, over the clip's metadata.

    Gaps are shown as gaps: nothing is joined over frames in which the face was not seen.

    Parameters
    ----------
    report
        Of the clip, with ``frames``.
    series
        Of its tracks, told by their ``track_id``; a track without one has empty panels.
    out
        PNG file; its folder is made where it is missing.
    metadata
        Name and value of what the file says of itself.

    Returns
    -------
    ``out``.

    Raises
    ------
    SetupError
        Where matplotlib is missing.
    ValueError
        Where the report has no track.
    """
    plt = load_pyplot()
    views = _views(report, series)
    if not views:
        raise ValueError("the report has no track to plot")
    facts = [f"{escape(name)}: {escape(value)}" for name, value in list(metadata.items())[:_MOST_METADATA]]
    lines = math.ceil(len(facts) / 2)
    heights = [height for _, height, _ in _PANELS] + [0.2 + 0.17 * lines]
    width = 10.0 if len(views) == 1 else 6.5 * len(views)
    figure = plt.figure(figsize=(width, sum(heights) + 1.0), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(heights), len(views), height_ratios=heights)
    figure.suptitle(
        f"{escape(Path(report.input.path).name)}\n{headline(report)}", fontsize=12, x=0.01, ha="left"
    )
    for column, view in enumerate(views):
        shared = None
        for row, (title, _, draw) in enumerate(_PANELS):
            timed = draw is not _draw_correlations
            axes = figure.add_subplot(grid[row, column], sharex=shared if timed else None)
            _dress(axes, title)
            if row == 0:
                face = f"face {view.track.track_id}: {label_words(view.track.label)}"
                axes.set_title(face, loc="right", fontsize=10, color=_INK)
            draw(axes, view)
            if timed:
                shared = shared or axes
                last = draw is _draw_units
                axes.tick_params(labelbottom=last)
                axes.set_xlabel("seconds" if last else "", fontsize=8, color=_PALE)
        assert shared is not None
        shared.set_xlim(view.track.start_s, max(view.track.end_s, view.track.start_s + 0.1))
    footer = figure.add_subplot(grid[-1, :])
    footer.set_axis_off()
    for half, part in enumerate((facts[:lines], facts[lines:])):
        # No mathematics: a "$" in a tag is a "$".
        text = "\n".join(line[:_LINE_CHARACTERS] for line in part)
        footer.text(half * 0.5, 1, text, va="top", fontsize=8, color=_INK, parse_math=False)
    return save_figure(figure, out)


def _views(report: Report, series: Sequence[FaceSeries]) -> list[_View]:
    longest = sorted(report.tracks, key=lambda track: (-track.frames, track.track_id))[:MOST_TRACKS]
    by_track = {own.track_id: own for own in series}
    return [
        _View(
            report,
            track,
            tuple(frame for frame in report.frames if frame.track_id == track.track_id),
            by_track.get(track.track_id),
        )
        for track in sorted(longest, key=lambda track: track.track_id)
    ]


def with_gaps(
    times: NDArray[np.floating], values: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (T,) and values (T, ...) with a row of NaN wherever rows are missing."""
    when, what = np.asarray(times, np.float64), np.asarray(values, np.float64)
    if len(when) < 3:
        return when, what
    steps = np.diff(when)
    gaps = np.flatnonzero(steps > _GAP_STEPS * np.median(steps)) + 1
    return np.insert(when, gaps, (when[gaps - 1] + when[gaps]) / 2), np.insert(what, gaps, np.nan, axis=0)


def strip(
    times: NDArray[np.floating], values: NDArray[np.floating], start_s: float, end_s: float
) -> NDArray[np.float64]:
    """(C, bins) means of values (T, C) over equal bins of time; NaN where nothing was seen.

    There are no more bins than rows would fit, so that only gaps are empty.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    bins = max(1, min(_BINS, round((end_s - start_s) / step) + 1)) if step > 0 else 1
    # Half a step on either side: a bin's row lies in its middle, not on its edge.
    low, high = start_s - step / 2, end_s + step / 2
    place = np.floor((np.asarray(times, np.float64) - low) / max(high - low, 1e-9) * bins)
    known = np.isfinite(values).all(axis=1) & (place >= 0) & (place <= bins)
    where = np.minimum(place[known], bins - 1).astype(int)
    sums = np.zeros((bins, values.shape[1]))
    np.add.at(sums, where, values[known])
    count = np.bincount(where, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, sums.T / count, np.nan)


# --------------------------------------------------------------------------- panels


def _dress(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=_INK)
    axes.tick_params(labelsize=8, colors=_PALE)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bbbbbb")
    axes.grid(axis="y", color="#eeeeee", lw=0.8)
    axes.set_axisbelow(True)


def _nothing(axes: Any, why: str) -> None:
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=9, color=_PALE)
    axes.set_yticks([])


def _lines(
    axes: Any, times: NDArray[np.floating], values: NDArray[np.floating], names: Sequence[str], unit: str
) -> None:
    """One line for each column of values (T, C)."""
    when, what = with_gaps(times, values)
    for column, name in enumerate(names):
        axes.plot(when, what[:, column], lw=1.0, color=_COLOURS[column % len(_COLOURS)], label=name)
    axes.set_ylabel(unit, fontsize=8, color=_PALE)
    if len(names) > 1:
        # Beside the title: within the axes it would hide lines.
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            fontsize=7,
            ncols=len(names),
            frameon=False,
            borderaxespad=0.1,
        )


def _draw_score(axes: Any, view: _View) -> None:
    scored = [(frame.time_s, frame.score) for frame in view.frames if frame.score is not None]
    for segment in view.report.segments:
        if segment.track_id == view.track.track_id:
            axes.axvspan(segment.start_s, segment.end_s, color=_COLOURS[1], alpha=0.15, lw=0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("0..1", fontsize=8, color=_PALE)
    if not scored:
        _nothing(axes, "not measured frame by frame")
        return
    when, what = with_gaps(*np.array(scored, np.float64).T)
    axes.plot(when, what, lw=1.0, marker=".", ms=3, color=_COLOURS[0])


def _draw_size(axes: Any, view: _View) -> None:
    sharpness = view.track.quality.sharpness
    if sharpness is not None:
        axes.set_title(f"median sharpness {sharpness:.1f} gray levels", loc="right", fontsize=8, color=_PALE)
    if not view.frames:
        _nothing(axes, "not measured frame by frame")
        return
    boxes = np.array([frame.box for frame in view.frames], np.float64)
    side = np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))
    _lines(axes, np.array([frame.time_s for frame in view.frames]), side[:, None], ["side"], "pixels")
    axes.set_ylim(bottom=0)


def _with_series(draw: Callable[[Any, FaceSeries], None]) -> Callable[[Any, _View], None]:
    """A panel that is drawn from the face series, where the track has one."""

    def panel(axes: Any, view: _View) -> None:
        if view.series is None or not np.isfinite(view.series.landmarks[:, 0, 0]).any():
            _nothing(axes, "no landmarks")
        else:
            draw(axes, view.series)

    return panel


def _draw_eyes(axes: Any, view: _View) -> None:
    rule = view.report.settings["blink_rule"]
    _with_series(partial(_draw_closure, rule=rule))(axes, view)


def _draw_closure(axes: Any, series: FaceSeries, rule: EyeRule) -> None:
    """How far the eyes are open by the rule that finds the blinks: what is shaded is what dips."""
    closed = closure(series, rule)
    found = find_blinks(series.times, closed)
    for blink in found.blinks:
        depth = 0.35 if blink.complete else 0.15
        axes.axvspan(blink.start_s, blink.end_s, color=_COLOURS[2], alpha=depth, lw=0)
    for held in found.held_shut:
        axes.axvspan(held.start_s, held.end_s, color=_PALE, alpha=0.2, lw=0)
    _lines(axes, series.times, 1 - closed, ["left eye", "right eye"], "0..1")
    axes.set_ylim(-0.03, 1.03)
    told = f"{count(len(found.blinks), 'blink')} shaded" if found.blinks else "no blink"
    axes.set_title(f"Eye openness, {told}", loc="left", fontsize=9)


@_with_series
def _draw_rotation(axes: Any, series: FaceSeries) -> None:
    _lines(axes, series.times, series.rotation, ["pitch", "yaw", "roll"], "degrees")


@_with_series
def _draw_pose_difference(axes: Any, series: FaceSeries) -> None:
    every = max(1, math.ceil(len(series.times) / _MOST_POSES))
    angle = head_pose.solve(series.landmarks[::every]).angle
    _lines(axes, series.times[::every], angle[:, None], ["angle"], "degrees")
    axes.set_ylim(bottom=0)


@_with_series
def _draw_gaze(axes: Any, series: FaceSeries) -> None:
    _lines(axes, series.times, series.gaze.mean(axis=1), ["yaw", "pitch"], "degrees")


def _draw_units(axes: Any, view: _View) -> None:
    names = [f"{unit} {name}" for unit, name in UNIT_NAMES.items()]
    if view.series is None:
        _nothing(axes, "no landmarks")
        return
    start, end = view.track.start_s, max(view.track.end_s, view.track.start_s + 0.1)
    values = strip(view.series.times, view.series.units, start, end)
    axes.set_facecolor(_LOST)
    axes.grid(False)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=MAX_INTENSITY,
        extent=(start, end, len(names) - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.tick_params(axis="y", length=0)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
    bar.ax.tick_params(labelsize=7, colors=_PALE)


@_with_series
def _draw_correlations(axes: Any, series: FaceSeries) -> None:
    found = correlations(series.times, signals(series), window_s=math.inf)
    axes.grid(False)
    if not found.valid.any():
        _nothing(axes, "too short, or too many gaps")
        axes.set_xticks([])
        return
    matrix = np.eye(len(MOVEMENTS))
    upper = np.triu_indices(len(MOVEMENTS), 1)
    matrix[upper] = found.coefficients[0]
    matrix.T[upper] = found.coefficients[0]
    axes.set_facecolor(_LOST)
    image = axes.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_anchor("W")
    names = [name.replace("_", " ") for name in MOVEMENTS]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.tick_params(length=0)
    # Within the axes' own box: beside it, the bar would keep the square at the right.
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
    bar.ax.tick_params(labelsize=7, colors=_PALE)


_PANELS: tuple[tuple[str, float, Callable[[Any, _View], None]], ...] = (
    ("Patch score, look by look", 1.3, _draw_score),
    ("Face size", 0.9, _draw_size),
    ("Eye openness", 1.2, _draw_eyes),
    ("Head rotation", 1.2, _draw_rotation),
    ("Head pose: whole against central face", 1.0, _draw_pose_difference),
    ("Gaze against the head, mean of both eyes", 1.2, _draw_gaze),
    ("Action units, 0 to 5", 2.6, _draw_units),
    ("Correlation of twenty signals over the track", 4.2, _draw_correlations),
)
"""Title, height in inches, and what draws it, from the top."""

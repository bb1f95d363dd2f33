"""How a face moved, as the HTML report shows it: eyes, head, movements of the face, gaze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from vidscan.faces.units import MAX_INTENSITY, UNITS
from vidscan.report.charts import Domain, Line, small_chart
from vidscan.report.words import count, timecode
from vidscan.types import EyeRule, FaceSeries

_SHOWN_UNITS = {1: "inner brow up", 4: "brow down", 12: "smile", 26: "jaw open"}
"""The large movements of brows and mouth, by action unit."""
_ANGLES = ("up or down (pitch)", "to a side (yaw)", "tilt (roll)")


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart."""

    title: str
    chart: Markup
    key: tuple[str, ...]
    """What its lines are, in their order."""
    words: str


@dataclass(frozen=True, slots=True)
class Movement:
    """The charts of one face."""

    track_id: int
    panels: tuple[Panel, ...]


def movements(series: Sequence[FaceSeries], blink_rule: EyeRule) -> list[Movement]:
    """One for each series in which the face was seen at all."""
    from vidscan.behavior.series import seen

    return [_movement(one, blink_rule) for one in series if seen(one).any()]


def _movement(series: FaceSeries, blink_rule: EyeRule) -> Movement:
    times = np.asarray(series.times, np.float64)
    domain = Domain(float(times[0]), max(float(times[-1]), float(times[0]) + 1e-3))
    panels = (
        _eyes(series, domain, blink_rule),
        _angles(
            "Head rotation",
            [Line(name, series.rotation[:, n]) for n, name in enumerate(_ANGLES)],
            times,
            domain,
        ),
        _units(series, domain),
        _angles(
            "Gaze against the head",
            # Mean of both eyes: pitch first, as in the panel above.
            [Line(name, series.gaze[:, :, 1 - n].mean(axis=1)) for n, name in enumerate(_ANGLES[:2])],
            times,
            domain,
        ),
    )
    return Movement(series.track_id, panels)


def _eyes(series: FaceSeries, domain: Domain, blink_rule: EyeRule) -> Panel:
    from vidscan.behavior.blink import find_blinks, statistics
    from vidscan.behavior.eye_closure import closure

    # The lines are what the blinks are found in: where one is shaded, they dip.
    closed = closure(series, blink_rule)
    found = find_blinks(series.times, closed)
    summary = statistics(found)
    words = count(len(found.blinks), "blink") if found.blinks else "no blink"
    if found.blinks and summary is not None:
        words += f", {summary.rate:.0f} a minute"
    lines = [Line("left eye in the picture", 1 - closed[:, 0]), Line("right eye", 1 - closed[:, 1])]
    label = f"Eye openness from {_from_to(domain)}: {words}."
    events = [(blink.start_s, blink.end_s) for blink in found.blinks]
    chart = small_chart(series.times, lines, domain, 0.0, 1.0, "", label, events)
    shown = f"{words} (shaded)" if found.blinks else words
    return Panel("Eye openness", chart, tuple(line.name for line in lines), shown)


def _angles(title: str, lines: list[Line], times: NDArray[np.float64], domain: Domain) -> Panel:
    values = np.stack([line.values for line in lines])
    finite = values[np.isfinite(values)]
    reach = 10.0 * max(1, int(np.ceil(np.abs(finite).max() / 10))) if finite.size else 10.0
    spans = ", ".join(f"{line.name} {_low_to_high(line.values)}" for line in lines)
    chart = small_chart(
        times, lines, domain, -reach, reach, "°", f"{title} from {_from_to(domain)}: {spans}."
    )
    return Panel(title, chart, tuple(line.name for line in lines), "")


def _units(series: FaceSeries, domain: Domain) -> Panel:
    lines = [Line(name, series.units[:, UNITS.index(unit)]) for unit, name in _SHOWN_UNITS.items()]
    peaks = ", ".join(f"{line.name} up to {_highest(line.values)}" for line in lines)
    label = f"Brows and mouth from {_from_to(domain)}, 0 to {MAX_INTENSITY:g}: {peaks}."
    chart = small_chart(series.times, lines, domain, 0.0, MAX_INTENSITY, "", label)
    units = ", ".join(str(unit) for unit in _SHOWN_UNITS)
    words = f"strength, 0 to {MAX_INTENSITY:g} (action units {units})"
    return Panel("Brows and mouth", chart, tuple(line.name for line in lines), words)


def _from_to(domain: Domain) -> str:
    return f"{timecode(domain.start)} to {timecode(domain.end)}"


def _highest(values: NDArray[np.floating]) -> str:
    known = values[np.isfinite(values)]
    return f"{known.max():.1f}" if known.size else "unknown"


def _low_to_high(values: NDArray[np.floating]) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.0f}° to {known.max():.0f}°" if known.size else "unknown"

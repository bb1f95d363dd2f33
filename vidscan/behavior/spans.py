"""The windows in which a track is judged."""

from __future__ import annotations

WINDOW_S = 10.0
HOP_S = 5.0
_SLIVER_S = 1.0
"""A rest shorter than this after the last whole window gets no window of its own."""


def spans(start_s: float, end_s: float) -> list[tuple[float, float]]:
    """The windows of a track seen from ``start_s`` to ``end_s``: 10 s long, half overlapping.

    A shorter track has one window. The last window ends with the track.
    """
    found: list[tuple[float, float]] = []
    while (window := whole(start_s, len(found)))[1] <= end_s:
        found.append(window)
    if not found:
        return [(start_s, end_s)]
    if end_s - found[-1][1] > _SLIVER_S:
        found.append((end_s - WINDOW_S, end_s))
    return found


def whole(start_s: float, number: int) -> tuple[float, float]:
    """The whole window of that number, from 0; one rounding, so that streaming cuts the very same rows."""
    at = start_s + number * HOP_S
    return at, at + WINDOW_S

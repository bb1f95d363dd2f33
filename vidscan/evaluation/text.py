"""How figures are written in tables."""

from __future__ import annotations

from collections.abc import Sequence

from vidscan.evaluation.statistics import Rate
from vidscan.markdown import table
from vidscan.training.figures import Interval


def span(interval: Interval) -> str:
    """An interval of areas or means."""
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def with_span(value: float | None, interval: Interval | None) -> str:
    """An area or a mean with its interval."""
    return "-" if value is None or interval is None else f"{value:.3f} ({span(interval)})"


def share(rate: Rate) -> tuple[str, str]:
    """A rate and its interval, in percent."""
    return f"{rate.rate:.1%}", f"{rate.interval[0]:.1%} to {rate.interval[1]:.1%}"


def rate_table(rates: Sequence[Rate]) -> list[str]:
    """Lines of a table of rates by name."""
    heads = ("rate", "clips", "share", "95 % interval")
    return table(heads, [[r.name, f"{r.count} of {r.of}", *share(r)] for r in rates])

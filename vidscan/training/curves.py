"""A training run drawn: loss, what else was measured epoch by epoch, the best of each, and transfer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidscan.errors import SetupError
from vidscan.report.pyplot import load_pyplot, save_figure
from vidscan.training.log import read_log

DASHBOARD = "curves.png"
"""Name of the picture in a run's folder."""

_STEPS = ("crops", "faces", "steps")
"""What trainers count; an epoch is the stretch between two lines of the log."""
_LABELS = {
    "accuracy": "accuracy on our own forgeries",
    "high_band_auc": "AUC of high-band energy alone",
    "nme": "normalized mean error of landmarks",
    "angle": "error of head rotation, degrees",
    "units": "action units, mean correlation",
    "worst_unit": "action units, lowest correlation",
}
_LOW_IS_GOOD = ("loss", "nme", "angle")
_NOT_DRAWN = frozenset({*_STEPS, "seconds", "worst_is", "transfer"})

_LOG = logging.getLogger("vidscan")


def update_dashboard(run: Path) -> None:
    """Draw a run as it stands into its own folder; without matplotlib (extra ``plot``) nothing is drawn."""
    try:
        draw_run(run, run / DASHBOARD)
    except SetupError as error:
        _LOG.info("no dashboard: %s", error)


def draw_run(run: Path, out: Path) -> None:
    """Draw the log of any trainer against what it counts, into the picture ``out``.

    Loss first, then every other figure in a panel of its kind, each with its best epoch; transfer, where it
    was measured, by family (thin), on same-footage pairs and as the mean over methods (thick). Lines that
    lack a figure leave it out. Needs matplotlib (extra ``plot``).

    Raises
    ------
    SetupError
        Where there is no log, or matplotlib is missing.
    """
    plt = load_pyplot()
    lines = read_log(run)
    count = next((name for name in _STEPS if name in lines[-1]), None)
    if count is None:
        raise SetupError(f"the training log of {run} counts none of {', '.join(_STEPS)}")
    panels = _panels(lines)
    transfer = [{count: line[count], **line["transfer"]} for line in lines if line.get("transfer")]
    height = len(panels) + bool(transfer)
    figure, axes = plt.subplots(height, 1, figsize=(8, 1 + 3.2 * height), sharex=True, squeeze=False)
    for axis, (label, names) in zip(axes[:, 0], panels.items(), strict=False):
        axis.set_ylabel(label)
        for name in names:
            _draw(axis, lines, count, name)
    if transfer:
        axes[-1, 0].set_ylabel("dev AUC (transfer)")
        names = sorted({name for line in transfer for name in line} - {count})
        for name in (n for n in names if not n.startswith("method ")):
            thin = name.startswith("family ")
            _draw(axes[-1, 0], transfer, count, name, width=1.0 if thin else 2.5, best=not thin)
    axes[-1, 0].set_xlabel(f"{count} seen" if count != "steps" else "steps")
    for axis in axes[:, 0]:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save_figure(figure, out)


def _panels(lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The log's figures by axis label: loss, errors, and shares, areas and correlations."""
    names = {
        name: None
        for line in lines
        for name, value in line.items()
        if name not in _NOT_DRAWN and isinstance(value, int | float)
    }
    panels: dict[str, list[str]] = {}
    for name in names:
        label = "loss" if "loss" in name else name if name in _LOW_IS_GOOD else "share, AUC, correlation"
        panels.setdefault(label, []).append(name)
    return panels


def _draw(
    axis: Any,
    lines: list[dict[str, Any]],
    count: str,
    name: str,
    *,
    width: float = 1.5,
    best: bool = True,
) -> None:
    """One line, with a mark at its best epoch, which the legend tells."""
    having = [line for line in lines if name in line]
    x, y = [line[count] for line in having], [line[name] for line in having]
    label = _LABELS.get(name, name)
    place = best_epoch(having, name)
    if best:
        label += f" (best {y[place]:.3g} at {x[place]:,})"
    (drawn,) = axis.plot(x, y, label=label, linewidth=width)
    if best:
        axis.plot(x[place], y[place], "o", color=drawn.get_color(), markersize=5)


def best_epoch(lines: Sequence[Mapping[str, Any]], name: str) -> int:
    """The line with the best value of a figure, the first of equals."""
    values = [line[name] for line in lines]
    low = any(part in name for part in _LOW_IS_GOOD)
    return values.index(min(values) if low else max(values))

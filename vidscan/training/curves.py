"""A training run drawn: its loss and accuracy, and the curve that counts, transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidscan.report.pyplot import load_pyplot, save_figure
from vidscan.training.log import read_log

_PANELS = {
    "loss": ("loss",),
    "share right, AUC": ("accuracy", "high_band_auc"),
}
"""Axis label and the log's figures, of the panels that show training itself."""
_LABELS = {"accuracy": "accuracy on our own forgeries", "high_band_auc": "AUC of high-band energy alone"}


def draw_run(run: Path, out: Path) -> None:
    """Draw loss, accuracy and transfer against crops seen into the picture ``out``.

    Transfer is drawn by family (thin), on same-footage pairs and as the mean over methods (thick). Lines
    that lack a figure leave it out. Needs matplotlib (extra ``plot``).
    """
    plt = load_pyplot()
    lines = read_log(run)
    figure, axes = plt.subplots(3, 1, figsize=(8, 11), sharex=True)
    for axis, (label, names) in zip(axes, _PANELS.items(), strict=False):
        axis.set_ylabel(label)
        for name in names:
            axis.plot(*_series(lines, name), label=_LABELS.get(name, name))
    for name in sorted({name for line in lines for name in line.get("transfer", {})}):
        if name.startswith("method "):
            continue
        width = 1.0 if name.startswith("family ") else 2.5
        crops, values = _series([{"crops": x["crops"], **x.get("transfer", {})} for x in lines], name)
        axes[-1].plot(crops, values, label=name, linewidth=width)
    axes[-1].set(xlabel="crops seen", ylabel="dev AUC (transfer)")
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    save_figure(figure, out)


def _series(lines: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    having = [line for line in lines if name in line]
    return [line["crops"] for line in having], [line[name] for line in having]

"""The results as pictures; needs matplotlib (extra ``train``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.evaluation.localisation import Localisation
from vidscan.evaluation.robustness import Robustness
from vidscan.evaluation.scanning import Scored, sample
from vidscan.evaluation.statistics import Mean
from vidscan.evaluation.tables import forged_groups
from vidscan.report.pyplot import load_pyplot, save_figure

_COLOURS = ("#2a6f97", "#e07a5f", "#81b29a", "#8d6a9f")


def plot_curves(scored: Sequence[Scored], folder: Path) -> list[Path]:
    """ROC and DET curves of each family, ``roc.png`` and ``det.png``.

    DET axes are normal deviates, as in Martin et al. 1997. Raises SetupError where matplotlib is missing.
    """
    plt = load_pyplot()
    from sklearn.metrics import DetCurveDisplay, RocCurveDisplay

    genuine = sample([s for s in scored if s.entry.genuine]).values
    groups = forged_groups([s for s in scored if not s.entry.genuine])
    families = {k: v for k, v in groups.items() if k.startswith("family ")}
    paths = []
    for name, side in (("roc", "found"), ("det", "missed")):
        figure, axes = plt.subplots(figsize=(6, 6))
        for family, clips in families.items():
            forged = sample(clips).values
            labels = np.r_[np.zeros(len(genuine)), np.ones(len(forged))]
            scores, title = np.r_[genuine, forged], family.removeprefix("family ")
            if name == "roc":
                RocCurveDisplay.from_predictions(labels, scores, name=title, ax=axes)
                continue
            flagged, missed = det_points(genuine, forged)
            DetCurveDisplay(fpr=flagged, fnr=missed, estimator_name=title).plot(ax=axes)
        axes.grid(alpha=0.3)
        axes.set(xlabel="share of genuine clips flagged", ylabel=f"share of forged clips {side}")
        paths.append(save_figure(figure, folder / f"{name}.png"))
    return paths


def det_points(
    genuine: NDArray[np.float64], forged: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of ``genuine`` scores (n,) flagged and of ``forged`` ones (m,) missed, (k,) each.

    On a DET plot a share of none or all lies at infinity, and a family that is perfectly separated would not
    be seen: such shares are moved in by half a clip.
    """
    from sklearn.metrics import det_curve

    labels = np.r_[np.zeros(len(genuine)), np.ones(len(forged))]
    flagged, missed, _ = det_curve(labels, np.r_[genuine, forged])
    return (
        np.clip(np.r_[1.0, flagged, 0.0], 0.5 / len(genuine), 1 - 0.5 / len(genuine)),
        np.clip(np.r_[0.0, missed, 1.0], 0.5 / len(forged), 1 - 0.5 / len(forged)),
    )


def plot_robustness(rows: Sequence[Robustness], path: Path) -> Path:
    """Areas under the ROC curve by treatment, with their intervals."""
    names = [r.name for r in rows]
    series = {
        "same footage": [Mean(r.pairs.auc, r.pairs.interval) for r in rows],
        "against the listed genuine clips": [Mean(r.listed.auc, r.listed.interval) for r in rows],
    }
    return _bars(names, series, "area under the ROC curve", path, chance=0.5)


def plot_localisation(rows: Sequence[Localisation], path: Path) -> Path:
    """Overlap, pixel areas and pointing by kind of forgery; kinds held out of training have a star."""
    names = [f"{r.name.replace('_', ' ')}{' *' if r.held_out else ''}" for r in rows]
    series = {
        "IoU at .5": [r.iou for r in rows],
        "pixel AUC, face": [r.face_auc for r in rows],
        "pixel AUC, frame": [r.frame_auc for r in rows],
        "hottest pixel forged": [r.pointing for r in rows],
    }
    return _bars(names, series, "mean over clips (* held out of training)", path)


def _bars(
    names: Sequence[str],
    series: dict[str, Any],
    label: str,
    path: Path,
    chance: float | None = None,
) -> Path:
    """Grouped horizontal bars from 0 to 1 with intervals; ``series`` has a Mean or None for each name."""
    plt = load_pyplot()
    height = 0.8 / len(series)
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.22 * len(names) * (1 + len(series))))
    for number, (title, means) in enumerate(series.items()):
        known = [(i, m) for i, m in enumerate(means) if m is not None]
        places = np.array([i for i, _ in known]) + (number - (len(series) - 1) / 2) * height
        values = np.array([m.value for _, m in known])
        ends = np.array([m.interval for _, m in known]).reshape(-1, 2)
        # The mean of all may lie a hair outside what few people's draws gave.
        reach = np.maximum([values - ends[:, 0], ends[:, 1] - values], 0)
        axes.barh(
            places,
            values,
            height,
            xerr=reach,
            label=title,
            color=_COLOURS[number],
            error_kw={"lw": 0.8, "alpha": 0.7},
        )
    if chance is not None:
        axes.axvline(chance, color="black", lw=0.8, ls=":")
    axes.set(xlim=(0, 1), yticks=range(len(names)), yticklabels=names, xlabel=label)
    axes.margins(y=0.02)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return save_figure(figure, path)

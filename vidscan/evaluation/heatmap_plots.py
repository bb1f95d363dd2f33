"""Pictures of where clips look manipulated: only maps and an average face's outline, nobody's face."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.evaluation.face_parts import FACE_PARTS, outlines
from vidscan.faces.align import CropSpec
from vidscan.report.pyplot import load_pyplot, save_figure
from vidscan.report.words import count

_COLUMNS = 5
_PART_COLOURS = (
    "#5e3c99",
    "#2a6f97",
    "#81b29a",
    "#c1121f",
    "#e07a5f",
    "#f2cc8f",
    "#7f5539",
    "#8d99ae",
    "#dcdcdc",
)
"""One for each of :data:`FACE_PARTS`; what is not the face is dull."""


def plot_maps(
    means: dict[str, NDArray[np.floating]], clips: dict[str, int], spec: CropSpec, path: Path
) -> Path:
    """A heatmap for each name, all on one scale, with the average face's outline over it.

    ``means`` (size, size) probabilities over the crop of ``spec``; ``clips`` how many each is a mean of.
    """
    plt = load_pyplot()
    columns = min(_COLUMNS, len(means))
    rows = math.ceil(len(means) / columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.3 * columns, 2.65 * rows), squeeze=False, layout="constrained"
    )
    peak = max(float(values.max()) for values in means.values())
    edge = (-0.5, spec.size - 0.5)
    image = None
    for place in axes.flat:
        place.set_axis_off()
    for place, (name, values) in zip(axes.flat, means.items(), strict=False):
        image = place.imshow(
            values,
            cmap="inferno",
            vmin=0,
            vmax=peak,
            extent=(*edge, edge[1], edge[0]),
        )
        for line in outlines(spec):
            place.plot(line[:, 0], line[:, 1], color="white", lw=0.7, alpha=0.8)
        place.set(xlim=edge, ylim=(edge[1], edge[0]))
        shown = count(clips[name], "clip")
        place.set_title(f"{name.removeprefix('method ')}\n{shown}", fontsize=9)
    figure.colorbar(
        image,
        ax=axes,
        location="bottom",
        shrink=0.5,
        aspect=40,
        label="mean probability that a patch is manipulated",
    )
    return save_figure(figure, path)


def plot_parts(shares: dict[str, dict[str, float]], path: Path) -> Path:
    """A bar for each name, parted by where the most telling patch lies; ``shares`` by part sum to 1."""
    plt = load_pyplot()
    names = list(shares)
    figure, axes = plt.subplots(figsize=(9, 1.4 + 0.28 * len(names)), layout="constrained")
    left = np.zeros(len(names))
    for part, colour in zip(FACE_PARTS, _PART_COLOURS, strict=True):
        values = np.array([shares[name][part] for name in names])
        axes.barh(names, values, 0.8, left=left, label=part, color=colour, edgecolor="white", linewidth=0.5)
        left += values
    axes.set(xlim=(0, 1), xlabel="share of crops whose most telling patch lies there, mean over clips")
    axes.margins(y=0.01)
    axes.invert_yaxis()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize=9)
    return save_figure(figure, path)

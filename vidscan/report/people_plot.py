"""How enrolled people move, as a map: one mark a window, similar movement close together.

t-SNE (van der Maaten & Hinton 2008) of the windows' correlations and means, as Agarwal et al. 2019 show
their people. Distances between far groups mean nothing. Needs matplotlib (extra ``train``).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.outputs import Replacement
from vidscan.report.pyplot import load_pyplot
from vidscan.spread import evenly

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe & Ito's, which the color-blind tell apart; their yellow is too pale on white."""
_MARKS = ("o", "^", "s", "D", "v", "P", "X", "*")
_MOST = 300
"""Windows of a person in the picture; neighbors overlap nearly whole."""
_FEWEST = 4
_PERPLEXITY = 30.0
_SCRIPTS = ("Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS", "Yu Gothic")
"""Fonts, where the system has them, for names that matplotlib's own cannot write."""


def embed(vectors: NDArray[np.floating], seed: int = 0) -> NDArray[np.float64]:
    """(n, 2) t-SNE coordinates of windows (n, d), n >= 4; NaN counts as ordinary."""
    from sklearn.manifold import TSNE

    x = np.asarray(vectors, np.float64)
    known = np.isfinite(x)
    count = np.maximum(known.sum(0), 1)
    centred = np.where(known, x - np.where(known, x, 0.0).sum(0) / count, 0.0)
    deviation = np.sqrt((centred**2).sum(0) / count)
    x = centred / np.where(deviation > 0, deviation, 1.0)
    perplexity = min(_PERPLEXITY, (len(x) - 1) / 3)
    # PCA has no direction to start from where all windows are equal.
    start = "pca" if x.any() else "random"
    found = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(x)
    return np.asarray(found, np.float64)


def plot_people(
    vectors: Mapping[str, NDArray[np.floating]],
    path: Path,
    *,
    clips: Mapping[str, NDArray[np.floating]] | None = None,
    genuine: NDArray[np.floating] | None = None,
    seed: int = 0,
) -> Path:
    """Draw everybody's windows into the PNG ``path``.

    Parameters
    ----------
    vectors
        (V, d) features of the windows by the person's name, NaN where unknown.
    path
        Its folder is made where it is missing.
    clips
        Windows likewise of clips to be looked at, by their names: they stand out, before everybody else.
    genuine
        Windows likewise of anybody, as background.
    seed
        Of t-SNE: the same windows give the same picture.

    Raises
    ------
    SetupError
        Where matplotlib is missing, or there are fewer than four windows in all.
    """
    plt = load_pyplot()
    groups = _groups(vectors, clips or {}, genuine)
    total = sum(len(group.rows) for group in groups)
    if total < _FEWEST:
        raise SetupError(f"a map needs {_FEWEST} windows, the enrolled people have {total}")
    places = embed(np.concatenate([group.rows for group in groups]), seed)
    with plt.rc_context({"font.family": _fonts()}):
        figure, axes = plt.subplots(figsize=(8, 6.5), facecolor="white")
        axes.set_facecolor("white")
        first, drawn = 0, []
        for group in groups:
            own = places[first : first + len(group.rows)]
            first += len(group.rows)
            drawn.append(axes.scatter(own[:, 0], own[:, 1], **group.style))
        axes.set(xticks=[], yticks=[], xlabel="t-SNE of windows: near is alike, far has no scale")
        axes.set_title(
            "How clips and enrolled people move" if clips else "How enrolled people move", loc="left"
        )
        for spine in axes.spines.values():
            spine.set_color("#bbbbbb")
        _name(axes, drawn, [group.name for group in groups])
        with warnings.catch_warnings(), Replacement(path, parents=True) as part:
            # A name in a script that no font here has is drawn as boxes.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            figure.savefig(part.path, dpi=150, format="png", bbox_inches="tight")
        plt.close(figure)
    return path


@dataclass(frozen=True, slots=True)
class _Group:
    """Windows that are drawn alike."""

    name: str
    rows: NDArray[np.floating]
    style: dict[str, Any]


def _groups(
    people: Mapping[str, NDArray[np.floating]],
    clips: Mapping[str, NDArray[np.floating]],
    genuine: NDArray[np.floating] | None,
) -> list[_Group]:
    """From the background to what stands out; those without windows are left out."""
    found = []
    if genuine is not None:
        grey = {"s": 14, "color": "#9a9a9a", "marker": ".", "alpha": 0.6, "linewidths": 0}
        found.append(_Group("genuine clips of others", genuine, grey))
    for number, (name, rows) in enumerate(people.items()):
        found.append(
            _Group(
                name,
                rows,
                {
                    "s": 26,
                    "color": _COLOURS[number % len(_COLOURS)],
                    # Seven colors and eight marks: together they repeat only after fifty-six people.
                    "marker": _MARKS[number % len(_MARKS)],
                    "alpha": 0.35 if clips else 0.75,
                    "edgecolors": "white",
                    "linewidths": 0.4,
                },
            )
        )
    for number, (name, rows) in enumerate(clips.items()):
        strong = {
            "s": 70,
            "color": _COLOURS[::-1][number % len(_COLOURS)],
            "marker": _MARKS[::-1][number % len(_MARKS)],
            "edgecolors": "black",
            "linewidths": 0.8,
        }
        found.append(_Group(f"clip {name}", rows, strong))
    return [replace(g, rows=g.rows[evenly(len(g.rows), _MOST)]) for g in found if len(g.rows)]


def _name(axes: Any, drawn: list[Any], names: Iterable[str]) -> None:
    """A legend of names as they are: matplotlib reads $ as formulas and leaves out what begins with _."""
    legend = axes.legend(
        drawn,
        ["person"] * len(drawn),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        ncols=1 + (len(drawn) - 1) // 28,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name if len(name) <= 40 else name[:39] + "…")


def _fonts() -> list[str]:
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *(font for font in _SCRIPTS if font in get_font_names())]

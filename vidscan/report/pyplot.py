"""matplotlib, where it is installed, drawing into files only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidscan.errors import SetupError, lacking
from vidscan.outputs import Replacement


def load_pyplot() -> Any:
    """``matplotlib.pyplot`` with a backend that needs no display.

    Raises SetupError where matplotlib is missing.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise SetupError(lacking("plots need matplotlib", "plot")) from error
    return pyplot


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure as ``path`` says, atomically, and let go of it; returns ``path``."""
    try:
        with Replacement(path, parents=True) as part:
            figure.savefig(part.path, dpi=120, bbox_inches="tight", facecolor="white")
    finally:
        load_pyplot().close(figure)
    return path

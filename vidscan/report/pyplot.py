"""matplotlib, where it is installed, drawing into files only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidscan.errors import SetupError


def load_pyplot() -> Any:
    """``matplotlib.pyplot`` with a backend that needs no display.

    Raises SetupError where matplotlib is missing.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise SetupError("plots need matplotlib: pip install 'vidscan[plot]'") from error
    return pyplot


def save_figure(figure: Any, path: Path) -> Path:
    """Write a figure as ``path`` says, atomically, and let go of it; returns ``path``."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(part, dpi=120, bbox_inches="tight", facecolor="white")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        load_pyplot().close(figure)
    return path

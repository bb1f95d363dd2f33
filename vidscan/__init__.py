"""vidscan scans video for deepfakes.

>>> import vidscan
>>> report = vidscan.scan("clip.mp4")
>>> report.verdict.label
'no_manipulation_found'

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "FaceSeries",
    "FrameSink",
    "InputError",
    "MaskWriter",
    "Report",
    "ScanSettings",
    "Scanner",
    "SetupError",
    "VidscanError",
    "WeightsError",
    "__version__",
    "dumps",
    "loads",
    "open_writer",
    "scan",
    "write_html",
]

if TYPE_CHECKING:
    from vidscan.errors import InputError, SetupError, VidscanError, WeightsError
    from vidscan.report import open_writer
    from vidscan.report.html import write_html
    from vidscan.report.json import dumps, loads
    from vidscan.report.masks import MaskWriter
    from vidscan.scanner import Scanner
    from vidscan.sinks import FrameSink
    from vidscan.types import FaceSeries, Report, ScanSettings

_HOME = {
    **dict.fromkeys(("InputError", "SetupError", "VidscanError", "WeightsError"), "vidscan.errors"),
    **dict.fromkeys(("FaceSeries", "Report", "ScanSettings"), "vidscan.types"),
    **dict.fromkeys(("dumps", "loads"), "vidscan.report.json"),
    "FrameSink": "vidscan.sinks",
    "MaskWriter": "vidscan.report.masks",
    "Scanner": "vidscan.scanner",
    "open_writer": "vidscan.report",
    "write_html": "vidscan.report.html",
}
"""Where each name is, so that it is imported when it is asked for."""


def scan(
    path: str | os.PathLike[str], settings: ScanSettings | None = None, *, device: str = "auto"
) -> Report:
    """Scan one clip or picture; to scan many, make one :class:`Scanner` and call its ``scan``.

    Raises
    ------
    SetupError
        Where weights or the device are missing. A bad clip raises nothing: see ``Report.error``.
    """
    from vidscan.scanner import Scanner

    return Scanner(settings, device=device).scan(path)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'vidscan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

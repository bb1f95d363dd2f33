"""vidscan scans video for deepfakes.

>>> import vidscan
>>> report = vidscan.scan("clip.mp4")
>>> report.verdict.label
'no_manipulation_found'

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Report", "ScanSettings", "Scanner", "__version__", "scan"]

if TYPE_CHECKING:
    from vidscan.scanner import Scanner
    from vidscan.types import Report, ScanSettings


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
    if name == "Scanner":
        from vidscan.scanner import Scanner

        return Scanner
    if name in ("Report", "ScanSettings"):
        from vidscan import types

        return getattr(types, name)
    raise AttributeError(f"module 'vidscan' has no attribute {name!r}")

"""How files are named, in reports always as valid text that loses no byte; where a user's data is kept."""

from __future__ import annotations

import base64
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PathNames:
    """A path as ``input.path`` and ``input.path_raw`` of a report hold it."""

    path: str
    """Undecodable bytes have become ``\\xNN``."""
    path_raw: str | None
    """Base64 of the path's bytes where they are not valid UTF-8."""


def path_names(path: str | os.PathLike[str]) -> PathNames:
    """The names of a path, in a report."""
    raw = os.fsencode(path)
    try:
        return PathNames(raw.decode("utf-8"), None)
    except UnicodeDecodeError:
        return PathNames(raw.decode("utf-8", "backslashreplace"), base64.b64encode(raw).decode("ascii"))


def clip_name(path: str | os.PathLike[str], sha256: str) -> str:
    """``<stem>-<first 8 of the sha256>``: what is written about a clip, in characters every system takes."""
    stem = re.sub(r"[^\w.-]+", "_", Path(path).stem, flags=re.ASCII).lstrip(".-")
    return f"{stem[:80] or 'clip'}-{sha256[:8]}"


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder; no, where no file can have this name."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir() raises for a name that is too long


def user_folder() -> Path:
    """The folder ``vidscan`` where the system keeps a user's data."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "vidscan"

"""The beginning and the end of a file, where metadata is kept."""

from __future__ import annotations

import os
from pathlib import Path

from vidscan.media.sniff import PathLike

_PART = 4 << 20


def head_and_tail(path: PathLike) -> bytes:
    """The first and last 4 MB of a file; the whole of a smaller one, and nothing of one that is gone."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_PART)
            size = os.fstat(file.fileno()).st_size
            if size <= _PART:
                return head
            file.seek(max(_PART, size - _PART))
            return head + file.read(_PART)
    except OSError:
        return b""

"""Lists of clips in files."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from vidscan.errors import SetupError
from vidscan.training.corpus import Entry

SUBSET = "robustness.txt"
"""The list that ships with vidscan: 60 genuine dev clips, by :func:`vidscan.training.corpus.choose`."""


def read_subset(path: Path | None, entries: Sequence[Entry]) -> list[Entry]:
    """The genuine entries that a list names, one file name of the manifest a line; # starts a comment.

    ``path`` None reads the list that ships with vidscan.

    Raises
    ------
    SetupError
        Where the list cannot be read, is empty, or names what is no genuine entry.
    """
    source = path or files("vidscan.evaluation") / "subsets" / SUBSET
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the list {source}: {error}") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    genuine = {entry.file: entry for entry in entries if entry.genuine}
    if strange := [name for name in names if name not in genuine]:
        raise SetupError(
            f"{source} names {len(strange)} files that are no genuine clips of this split, "
            f"the first is {strange[0]}; --subset takes another list"
        )
    if not names:
        raise SetupError(f"{source} names no clip")
    return [genuine[name] for name in dict.fromkeys(names)]

"""Choosing some clips of many, the same ones every time, and lists of them in files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from vidscan.errors import SetupError
from vidscan.training.corpus import Entry

SUBSET = "robustness.txt"
"""The list that ships with vidscan: 60 genuine dev clips, chosen by :func:`choose`."""


def hashed(text: str) -> int:
    """A whole number of 64 bits that depends on the text alone, for draws that never change."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(entries: Sequence[Entry], count: int, seed: int = 0) -> list[Entry]:
    """``count`` entries, from each repository its share, and nobody twice before everybody once.

    The draw depends on names and ``seed`` only, not on the order of the entries. Returns them by name;
    all of them where there are no more than ``count``.
    """
    repos: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: hashed(f"{seed}:{e.file}")):
        repos[entry.repo].append(entry)
    count = min(count, len(entries))
    shares = {repo: count * len(own) / len(entries) for repo, own in repos.items()}
    quotas = {repo: int(share) for repo, share in shares.items()}
    # Largest remainders first, so that the shares add up.
    for repo in sorted(repos, key=lambda r: (quotas[r] - shares[r], r))[: count - sum(quotas.values())]:
        quotas[repo] += 1
    chosen = []
    for repo, own in repos.items():
        seen: dict[str, int] = defaultdict(int)
        turns: list[tuple[int, int, Entry]] = []
        for entry in own:
            turns.append((seen[entry.identity], len(turns), entry))
            seen[entry.identity] += 1
        chosen += [entry for _, _, entry in sorted(turns, key=lambda turn: turn[:2])[: quotas[repo]]]
    return sorted(chosen, key=lambda entry: entry.file)


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

"""Parts of a corpus that share no source: what a detector is chosen by, before dev confirms it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError
from vidscan.training.corpus import Entry

FOLDS = 5


def source_groups(entries: Sequence[Entry]) -> list[str]:
    """(n,) name of each entry's group: repositories, joined where they share a person or a pair."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    repo_of = {e.file: e.repo for e in entries}
    for entry in entries:
        own = root(f"repo {entry.repo}")
        parent[root(f"person {entry.identity}")] = own
        if entry.pair in repo_of:
            parent[root(f"repo {repo_of[entry.pair]}")] = root(own)
    return [root(f"repo {e.repo}") for e in entries]


def source_folds(entries: Sequence[Entry], count: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """(n,) the part, 0 to ``count`` - 1, that each entry is in; no group is in two.

    Genuine clips and stills and the families of forgeries are spread evenly over the parts, as far as the
    groups allow. Raises ValueError where there are fewer groups than parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = source_groups(entries)
    if len(set(groups)) < count:
        raise ValueError(f"{len(set(groups))} sources cannot make {count} parts")
    kinds = [f"{'film' if e.kind == 'video' else 'still'} {e.family or 'genuine'}" for e in entries]
    found = np.zeros(len(entries), np.int64)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for part, (_, rows) in enumerate(splitter.split(entries, kinds, groups)):
        found[rows] = part
    return found


def part_by_file(entries: Sequence[Entry], seed: int = 0) -> dict[str, int]:
    """The part (:func:`source_folds`) that each entry's file is in.

    Raises SetupError where the sources are too few.
    """
    try:
        folds = source_folds(entries, seed=seed)
    except ValueError as error:
        raise SetupError(f"the corpus cannot be parted by source: {error}") from error
    return dict(zip([e.file for e in entries], folds.tolist(), strict=True))


def parts_of(of: Sequence[Entry], entries: Sequence[Entry], seed: int = 0) -> NDArray[np.int64]:
    """(n,) the part (:func:`part_by_file` of ``entries``) of each of ``of``, which are some of them."""
    part_of = part_by_file(entries, seed)
    return np.array([part_of[e.file] for e in of], np.int64)

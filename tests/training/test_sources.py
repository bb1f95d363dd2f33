from __future__ import annotations

import numpy as np
import pytest

from vidscan.training.corpus import Entry
from vidscan.training.sources import source_folds, source_groups


def entry(file: str, repo: str, identity: str, *, method: str = "", pair: str = "") -> Entry:
    return Entry("train", not method, file, "video", repo, identity, method, method and "faceswap", pair, "")


def corpus(sources: int = 12) -> list[Entry]:
    return [
        entry(f"{repo}-{i}", f"repo{repo}", f"person{repo}-{i}", method="m" if i % 2 else "")
        for repo in range(sources)
        for i in range(4)
    ]


def test_no_source_is_in_two_parts() -> None:
    entries = corpus()
    parts = source_folds(entries)
    for repo in {e.repo for e in entries}:
        assert len({int(p) for e, p in zip(entries, parts, strict=True) if e.repo == repo}) == 1
    assert sorted(set(parts.tolist())) == [0, 1, 2, 3, 4]
    assert np.array_equal(parts, source_folds(entries))


def test_sources_that_share_a_person_or_a_pair_stay_together() -> None:
    entries = [
        entry("a", "one", "anna"),
        entry("b", "two", "anna"),
        entry("c", "three", "carl"),
        entry("d", "four", "d", method="m", pair="c"),
        entry("e", "five", "emil"),
    ]
    groups = source_groups(entries)
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 3


def test_too_few_sources_cannot_be_parted() -> None:
    with pytest.raises(ValueError, match="3 sources"):
        source_folds(corpus(3))

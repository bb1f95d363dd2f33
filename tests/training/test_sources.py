from __future__ import annotations

import numpy as np
import pytest

from tests.manifests import entry
from vidscan.training.corpus import Entry
from vidscan.training.sources import source_folds, source_groups


def corpus(sources: int = 12) -> list[Entry]:
    return [
        entry(f"{repo}-{i}", f"person{repo}-{i}", method="m" if i % 2 else "", repo=f"repo{repo}")
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
        entry("a", "anna", repo="one"),
        entry("b", "anna", repo="two"),
        entry("c", "carl", repo="three"),
        entry("d", "d", method="m", pair="c", repo="four"),
        entry("e", "emil", repo="five"),
    ]
    groups = source_groups(entries)
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 3


def test_too_few_sources_cannot_be_parted() -> None:
    with pytest.raises(ValueError, match="3 sources"):
        source_folds(corpus(3))

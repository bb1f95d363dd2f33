"""A few of many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidscan.spread import evenly, in_turns


@given(st.integers(0, 5000), st.integers(2, 300))
def test_rising_whole_and_even(count: int, most: int) -> None:
    found = evenly(count, most)
    assert len(found) == min(count, most)
    if len(found) < 2:
        return
    assert found[0] == 0 and found[-1] == count - 1
    steps = np.diff(found)
    assert (steps.min() >= 1 and steps.max() - steps.min() <= 1) or count == len(found)


def test_all_where_they_are_few() -> None:
    assert evenly(4, 9).tolist() == [0, 1, 2, 3]
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]


def test_groups_take_turns_in_their_order() -> None:
    names = ["a1", "a2", "b1", "a3", "c1", "b2"]
    assert in_turns(names, lambda name: name[0]) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert in_turns(names, lambda name: name) == names

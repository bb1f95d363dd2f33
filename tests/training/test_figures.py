from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.manifests import entry
from vidscan.training.corpus import Entry
from vidscan.training.figures import figures, markdown, source_share


def scored() -> tuple[list[Entry], dict[str, float]]:
    """Source a looks suspicious as a whole: its forgeries are above all of b, and mixed with its own."""
    entries = [
        entry("a1", repo="a"),
        entry("a2", repo="a"),
        entry("b1", repo="b"),
        entry("b2", repo="b"),
        entry("f1", repo="a", method="m1", family="faceswap", pair="a1"),
        entry("f2", repo="a", method="m1", family="faceswap"),
        entry("f3", repo="b", method="m2", family="lipsync"),
    ]
    return entries, {"a1": 1.0, "a2": 3.0, "b1": -2.0, "b2": -1.0, "f1": 2.0, "f2": 4.0, "f3": -1.5}


def test_a_forged_clip_is_held_against_its_own_source() -> None:
    found = figures(*scored())
    # m1: f1 beats one of two, f2 both; m2: f3 beats one of two.
    assert found.own.value == pytest.approx((0.75 + 0.5) / 2)
    assert found.own.of == 2
    assert found.all.value == pytest.approx(((0.75 + 1.0) / 2 + 0.25) / 2)
    assert found.families["lipsync"].value == pytest.approx(0.25)
    assert found.same_footage.value == 1.0
    assert found.same_footage.of == 1


def test_rates_count_what_lies_above_the_allowed_share_of_genuine_clips() -> None:
    entries = [entry(f"g{i}", repo="a") for i in range(100)] + [
        entry(f"f{i}", repo="a", method="m", family="x") for i in range(4)
    ]
    scores = {f"g{i}": float(i) for i in range(100)} | {"f0": 98.5, "f1": 99.5, "f2": 95.5, "f3": 0.5}
    found = figures(entries, scores)
    assert found.found["0.01"].value == pytest.approx(0.25)
    assert found.found["0.05"].value == pytest.approx(0.75)


def test_stills_and_clips_of_equal_scores_are_told_apart_by_chance() -> None:
    entries = [entry(f"v{i}", repo="a") for i in range(9)] + [
        entry(f"s{i}", repo="a", kind="photo") for i in range(9)
    ]
    entries.append(entry("f", repo="a", method="m", family="x"))
    scores = {f"{k}{i}": float(i) for k in "vs" for i in range(9)} | {"f": 1.0}
    assert figures(entries, scores).stills == pytest.approx(0.5)
    assert figures(entries[:9] + entries[-1:], scores).stills is None


def test_a_table_has_a_row_for_each_name() -> None:
    text = markdown({"one": figures(*scored()), "two": figures(*scored())})
    assert len(text.splitlines()) == 4
    assert "| one |" in text
    assert "0.62" in text or "0.63" in text


def test_sources_explain_all_or_nothing() -> None:
    apart = np.array([0.0, 0.0, 5.0, 5.0])
    assert source_share(["a", "a", "b", "b"], apart) == pytest.approx(1.0)
    assert source_share(["a", "b", "a", "b"], apart) == 0.0
    assert source_share([], np.zeros(0)) == 0.0


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.floats(0.1, 10), st.floats(-5, 5))
def test_figures_depend_on_the_order_of_scores_alone(values: list[float], gain: float, shift: float) -> None:
    values = [round(v, 3) for v in values]
    entries = [
        entry(f"{i}", repo="a", method="" if i % 2 else "m", family="" if i % 2 else "x")
        for i in range(len(values))
    ]
    before = figures(entries, {str(i): v for i, v in enumerate(values)})
    after = figures(entries, {str(i): gain * v + shift for i, v in enumerate(values)})
    assert before.all.value == pytest.approx(after.all.value, abs=1e-9)
    assert before.own.value == pytest.approx(after.own.value, abs=1e-9)


def test_without_forged_clips_areas_are_unknown() -> None:
    found = figures([entry("a1", repo="a")], {"a1": 1.0})
    assert math.isnan(found.all.value)
    assert found.all.of == 0

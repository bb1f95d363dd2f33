"""A head learns a new generator from a handful of fakes and forgets nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.manifests import entry
from vidscan.models import load_registry, register
from vidscan.training.adapt import KIND, AdaptRecipe, Correction, LinearHead, Memory, adapt, memory_rows
from vidscan.training.adaptation import judge, markdown
from vidscan.training.descriptions import Described
from vidscan.training.encoder import Material
from vidscan.training.linear_head import LinearHeads
from vidscan.training.transfer import auc

WIDTH = 40
KNOWN, NEW = np.eye(WIDTH)[:2] * 3
"""What the known generators' fakes are displaced by, and the new one's."""
HEAD = LinearHead((KNOWN / 3).astype(np.float32), -1.5)
HEADS = LinearHeads(np.stack([HEAD.weight, HEAD.weight]), np.array([HEAD.bias, HEAD.bias]))
"""The first is corrected, the second stays."""


def crops(count: int, seed: int, shift: np.ndarray | None = None) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, WIDTH))
    return (points + (0 if shift is None else shift)).astype(np.float32)


@pytest.fixture(scope="module")
def memory() -> Memory:
    features = np.concatenate([crops(150, 0), crops(150, 1, KNOWN)])
    forged = np.arange(300) >= 150
    return Memory.of(features, forged, np.ones(300), np.arange(300) % 4, HEAD, directions=WIDTH)


@pytest.fixture(scope="module")
def genuine() -> np.ndarray:
    return crops(400, 2)


def test_a_handful_of_fakes_teaches_a_new_generator(memory: Memory, genuine: np.ndarray) -> None:
    unseen, old = crops(300, 3, NEW), crops(300, 4, KNOWN)

    def area(head: LinearHead, fakes: np.ndarray) -> float:
        return auc(head.log_odds(genuine), head.log_odds(fakes))

    def adapted(count: int) -> Correction:
        return adapt(memory, memory.crops(crops(count, 5, NEW), HEAD), AdaptRecipe())

    assert area(HEAD, unseen) == pytest.approx(0.5, abs=0.05)
    areas = [area(adapted(count).head(HEAD, memory), unseen) for count in (5, 50)]
    assert areas[0] > 0.58 and areas[1] > areas[0] + 0.02
    head = adapted(50).head(HEAD, memory)
    assert area(head, old) > area(HEAD, old) - 0.1
    # As many genuine faces are above the threshold as before, which the old head set at 5 %.
    threshold = np.quantile(HEAD.log_odds(genuine), 0.95)
    assert (head.log_odds(genuine) > threshold).mean() == pytest.approx(0.05, abs=0.05)
    kept = np.quantile(memory.log_odds[:150], 0.95)
    assert (adapted(50).memory_log_odds[:150] > kept).mean() == pytest.approx(0.05, abs=0.02)


def test_a_corrected_head_says_what_the_correction_says(memory: Memory, genuine: np.ndarray) -> None:
    found = adapt(memory, memory.crops(crops(5, 5, NEW), HEAD), AdaptRecipe())
    by_head = found.head(HEAD, memory).log_odds(genuine)
    assert by_head == pytest.approx(found.log_odds(*memory.crops(genuine, HEAD)), abs=1e-3)


def test_genuine_twins_keep_the_look_of_a_source_from_being_learnt(memory: Memory) -> None:
    """The fakes share what their source looks like with genuine files; a trace sets them apart beside it."""
    look = np.eye(WIDTH)[2] * 4
    fakes, twins = (
        memory.crops(crops(10, seed, shift), HEAD) for seed, shift in ((5, NEW + look), (6, look))
    )
    plain = adapt(memory, fakes, AdaptRecipe())
    told = adapt(memory, fakes, AdaptRecipe(), genuine=twins)
    others = memory.crops(crops(300, 7, look), HEAD)
    assert told.log_odds(*others).mean() < plain.log_odds(*others).mean() - 0.5
    with pytest.raises(ValueError, match="no fakes"):
        adapt(memory, (fakes[0][:0], fakes[1][:0]), AdaptRecipe())


def test_a_memory_is_kept_in_a_registry(memory: Memory, tmp_path: Path) -> None:
    register(tmp_path, "memory", memory.tensors(), {"kind": KIND})
    kept = Memory.load(load_registry(tmp_path).get(KIND))
    fakes, other = crops(20, 5, NEW), crops(50, 6)
    assert kept.coordinates(other) == pytest.approx(memory.coordinates(other), abs=0.1)
    before, after = (adapt(m, m.crops(fakes, HEAD), AdaptRecipe()).head(HEAD, m) for m in (memory, kept))
    assert after.log_odds(other) == pytest.approx(before.log_odds(other), abs=0.1)
    assert (kept.forged == memory.forged).all() and kept.weights.sum() == pytest.approx(1)


def test_sources_take_turns_in_a_memory() -> None:
    groups = [("big", "a")] * 50 + [("small", "b")] * 3 + [("real", "")] * 20
    forged = np.arange(73) < 53
    rows = memory_rows(groups, forged, 12)
    assert len(set(rows.tolist())) == 12
    assert forged[rows].sum() == 6
    assert sum(groups[int(i)][0] == "small" for i in rows) == 3


@pytest.fixture(scope="module")
def material() -> Material:
    """Five sources; each has a generator of the known trace and one with a trace of its own."""
    found, parts = [], []
    for part in range(5):
        own = np.eye(WIDTH)[3 + part] * 3
        for method, count, shift in (("", 30, None), ("old", 8, KNOWN), ("new", 13, own)):
            for number, point in enumerate(crops(count, 100 * part + count, shift)):
                name = f"{part}-{method or 'real'}-{number}"
                own_entry = entry(name, method=method and f"{method}{part}", repo=f"repo{part}")
                found.append(Described(own_entry, point.astype(np.float16), bool(method)))
                parts.append(part)
    return Material(found, np.array(parts))


def test_adapting_is_judged_on_generators_that_nothing_has_seen(material: Material) -> None:
    rows = judge(material, [HEADS] * 5, AdaptRecipe(), counts=(5, 10), crops=200, directions=WIDTH)
    new = [r for r in rows if r.method.startswith("new")]
    assert {(r.method, r.count) for r in rows} == {
        *((f"new{p}", n) for p in range(5) for n in (5, 10)),
        *((f"old{p}", 5) for p in range(5)),
    }
    before, after = np.mean([r.area for r in new if r.count == 10], axis=0)
    assert before < 0.65 and after > before + 0.15
    for r in rows:
        assert r.own is not None and r.own == pytest.approx(r.area)  # all genuine files are of that source
        assert r.others[1] > r.others[0] - 0.12
        assert r.alarms[0] < 0.05 and r.alarms[1] < 0.25
    table = markdown(rows)
    assert "| 5 clips | 10 |" in table and "| 10 clips | 5 |" in table

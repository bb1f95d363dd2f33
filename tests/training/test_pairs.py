"""Rendered pairs: shapes, masks and people as documented."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.fake_store import fake_store, row
from vidscan.forge.renderers import RECIPES, Renderer
from vidscan.training.degrade import Degradation
from vidscan.training.pairs import MASK_SIDE, PairRecipe, PairSource, write_shard
from vidscan.training.patches import Shards

QUIET = Degradation(light=0, blur=0, noise=0, h264=0, h265=0, jpeg=0, again=0, side=(180, 240))
MIX = {"self_blend": 1.0, "swap": 1.0, "mouth": 1.0, "face_warp": 1.0, "reenact": 1.0}


def quiet(**changes: object) -> PairRecipe:
    values = {"mix": MIX, "third_party": 0.0, "independent": 0.0, "size": 112}
    return PairRecipe(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def source() -> PairSource:
    return PairSource(fake_store(), quiet(), QUIET, [])


def test_shapes_kinds_and_ranges(source: PairSource) -> None:
    pairs = source.render(0, 6, batch=3)
    assert {k: (v.shape, v.dtype) for k, v in pairs.items()} == {
        "genuine": ((6, 112, 112, 3), np.uint8),
        "forged": ((6, 112, 112, 3), np.uint8),
        "mask": ((6, MASK_SIDE, MASK_SIDE), np.uint8),
        "kind": ((6,), np.uint8),
    }
    assert source.kinds() == [*sorted(MIX), "third_party"]
    assert pairs["kind"].max() < len(MIX)
    assert pairs["mask"].max() <= 254  # 255 means unknown


def test_sides_differ_only_where_the_mask_says_so(source: PairSource) -> None:
    pairs = source.render(3, 8, batch=2)
    changed = 0
    for genuine, forged, mask in zip(pairs["genuine"], pairs["forged"], pairs["mask"], strict=True):
        difference = np.abs(genuine.astype(int) - forged).max(2)
        near = cv2.dilate((mask > 0).astype(np.uint8), np.ones((5, 5)))
        near = cv2.resize(near, (112, 112), interpolation=cv2.INTER_NEAREST) > 0
        assert difference[~near].max(initial=0) <= 2
        changed += bool(difference[near].max(initial=0) > 8)
    assert changed >= 6


def test_rendering_is_repeatable(source: PairSource) -> None:
    first, again, other = source.render(5, 2), source.render(5, 2), source.render(6, 2)
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert not np.array_equal(first["genuine"], other["genuine"])


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_remainder_of_one_is_rendered_too(source: PairSource, count: int) -> None:
    pairs = source.render(1, count, batch=2)
    assert all(len(v) == count for v in pairs.values())
    assert pairs["genuine"].reshape(count, -1).std(1).min() > 5  # none is left empty


def test_third_party_masks_are_unknown() -> None:
    people = [
        row("a1"),
        row("b1"),
        row("f1", genuine=False, method="x"),
        row("f2", genuine=False, method="y"),
    ]
    source = PairSource(fake_store(people), quiet(third_party=1.0), QUIET, [])
    pairs = source.render(0, 4)
    assert (pairs["mask"] == 255).all()
    assert (pairs["kind"] == len(MIX)).all()
    assert not np.array_equal(pairs["genuine"], pairs["forged"])


def test_held_out_people_are_never_drawn() -> None:
    people = [
        row("a1"),
        row("a2"),
        row("b1", held_out=True),
        row("f1", held_out=True, genuine=False, method="x"),
    ]
    store = fake_store(people)
    store.crops[2:] = 0  # a held-out person would be seen at once
    source = PairSource(store, quiet(mix={"self_blend": 1.0}), QUIET, [])
    rng = np.random.default_rng(0)
    assert {source._genuine(rng) for _ in range(60)} == {0, 1}
    assert source._fakes == []


def test_people_without_landmarks_are_left_out() -> None:
    store = fake_store()
    store.landmarks[0] = np.nan
    source = PairSource(store, quiet(), QUIET, [])
    rng = np.random.default_rng(0)
    assert {source._genuine(rng) for _ in range(80)} == {1, 2, 3}


def test_unknown_forgeries_and_missing_renderers_are_refused() -> None:
    with pytest.raises(ValueError, match="rerender"):
        PairSource(fake_store(), quiet(mix={"rerender": 1.0}), QUIET, [])
    torch.manual_seed(0)
    source = PairSource(fake_store(), quiet(mix={"rerender": 1.0}), QUIET, [Renderer(RECIPES[0]).eval()])
    assert source.render(0, 2)["mask"].max() > 100


def test_forgeries_kept_for_testing_are_refused() -> None:
    with pytest.raises(ValueError, match="never to be trained on: inpainted"):
        PairSource(fake_store(), quiet(mix={"swap": 1.0, "inpainted": 0.1}), QUIET, [])


def test_methods_left_out_are_never_drawn() -> None:
    people = [
        row("a1"),
        row("b1"),
        row("f1", genuine=False, method="x"),
        row("f2", genuine=False, method="y"),
    ]
    source = PairSource(fake_store(people), quiet(third_party=1.0, leave_out=("x",)), QUIET, [])
    assert source._fakes == [[3]]
    with pytest.raises(ValueError, match="no such method to leave out: z"):
        PairSource(fake_store(people), quiet(leave_out=("z",)), QUIET, [])
    with pytest.raises(ValueError, match="third_party has to be 0"):
        PairSource(fake_store(people), quiet(third_party=0.1, leave_out=("x", "y")), QUIET, [])


def test_a_shard_is_written_once_and_read_back(source: PairSource, tmp_path: Path) -> None:
    done = write_shard(source, tmp_path, 7, 4)
    assert json.loads(done.read_text()) == {"count": 4, "kinds": source.kinds()}
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert set(before) == {"00007.json", *(f"00007.{n}.npy" for n in ("genuine", "forged", "mask", "kind"))}
    write_shard(source, tmp_path, 7, 4)
    assert before == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}

    shards = Shards(tmp_path, seed=0)
    shards.refresh()
    crops, masks = shards.batch(3, 64)
    assert crops.shape == (6, 3, 64, 64)
    assert crops.dtype == torch.float32
    assert masks.shape == (6, 32, 32)
    assert float(masks[:3].abs().max()) == 0.0  # genuine first
    assert 0 <= float(masks[3:].min()) <= float(masks[3:].max()) <= 1
    # where the forged side's mask is nothing, the two sides agree
    crops, masks = shards.batch(12, 64)
    beside = 0
    for genuine, forged, mask in zip(crops[:12], crops[12:], masks[12:], strict=True):
        near = torch.nn.functional.max_pool2d(mask[None, None], 5, 1, 2)
        near = torch.nn.functional.interpolate(near, (64, 64))[0, 0] > 0
        difference = (genuine - forged).abs().amax(0)[~near]
        assert (difference <= 2).all()
        beside += len(difference)
    assert beside > 1000


def test_unknown_masks_become_minus_one(tmp_path: Path) -> None:
    people = [row("a1"), row("b1"), row("f1", genuine=False, method="x")]
    source = PairSource(fake_store(people), quiet(third_party=1.0), QUIET, [])
    write_shard(source, tmp_path, 0, 2)
    shards = Shards(tmp_path, seed=0)
    shards.refresh()
    _, masks = shards.batch(2, 112)
    assert (masks[2:] == -1).all()

"""Comparisons: the right rows, equal budgets, nothing trained twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.manifests import write_manifest
from tests.patches.fixture_weights import random_network
from tests.training.fake_store import fake_store, row
from vidscan.errors import SetupError
from vidscan.faces.align import CropSpec
from vidscan.patches.networks import PatchNetwork
from vidscan.training.compare import ComparePaths, Row, compare, markdown, own_auc, variants
from vidscan.training.recipe import Recipe, load_recipe
from vidscan.training.store import StoreRow

KINDS = ["blend", "swap", "third_party"]
SIDE = 48


@pytest.fixture
def recipe() -> Recipe:
    shipped = load_recipe()
    train = replace(shipped.train, depth=1, window=32, pairs=4, crops=1000, stop=500, warmup_crops=100)
    return replace(shipped, train=train, crop=CropSpec(SIDE, 1.2))


def write_pairs(folder: Path, index: int) -> Path:
    rng = np.random.default_rng(index)
    genuine = rng.integers(0, 255, (8, SIDE, SIDE, 3), np.uint8)
    arrays = {
        "genuine": genuine,
        "forged": np.full_like(genuine, 128),
        "mask": np.full((8, SIDE // 4, SIDE // 4), 254, np.uint8),
        "kind": np.array([0, 1, 2, 0, 1, 2, 0, 1], np.uint8),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{index:05d}.{name}.npy", array)
    done = folder / f"{index:05d}.json"
    done.write_text(json.dumps({"count": 8, "kinds": KINDS}))
    return done


@pytest.fixture
def paths(tmp_path: Path) -> ComparePaths:
    corpus, work = tmp_path / "corpus", tmp_path / "work"
    rows = [row("a1"), row("b1"), row("c1", genuine=False, method="m"), row("d1", genuine=False, method="m")]
    lines = []
    for r in rows:
        label = "real" if r.genuine else "fake"
        lines.append(f"dev,{label},{r.file},photo,{r.repo},{r.identity},{r.method},{r.family},,")
    corpus.mkdir()
    write_manifest(corpus, *lines)
    write_store(work / "dev", rows)
    for i in range(3):
        write_pairs(work / "pairs", i)
    return ComparePaths(corpus, work, tmp_path / "compare", None)


def write_store(folder: Path, rows: list[StoreRow]) -> None:
    store = fake_store(rows)
    folder.mkdir(parents=True)
    np.save(folder / "crops.npy", store.crops)
    np.save(folder / "landmarks.npy", store.landmarks)
    lines = [json.dumps({name: getattr(r, name) for name in StoreRow.__dataclass_fields__}) for r in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


# --------------------------------------------------------------------------- the rows


def test_networks_are_all_there_with_equal_budgets(recipe: Recipe) -> None:
    found = {v.name: v.train for v in variants("networks", recipe, 300, kinds=KINDS)}
    cuts = [f"lite0-stage{i}" for i in (1, 2, 3, 4)] + [f"xception-block{i}" for i in (1, 2, 3, 4, 5)]
    cuts += [f"resnet18-layer{i}" for i in (1, 2, 3, 4)]
    assert list(found) == cuts
    assert {(t.crops, t.stop, t.seed, t.pairs) for t in found.values()} == {(300, 0, recipe.train.seed, 4)}
    assert {t.window for t in found.values()} == {32}
    assert found["lite0-stage2"].warmup_crops == 30  # the recipe's share
    assert found["xception-block2"].warmup_crops == 0


def test_each_forgery_is_left_out_once(recipe: Recipe) -> None:
    found = variants("forgeries", recipe, 300, kinds=KINDS)
    assert [(v.name, v.without) for v in found] == [
        ("all", ()),
        ("without blend", ("blend",)),
        ("without swap", ("swap",)),
    ]
    assert len({v.train for v in found}) == 1
    both = variants("third-party", recipe, 300, kinds=KINDS)
    assert [v.without for v in both] == [(), ("third_party",)]


# --------------------------------------------------------------------------- a run


def test_a_comparison_runs_and_goes_on(
    recipe: Recipe, paths: ComparePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    only = ["resnet18-layer1", "lite0-stage1"]
    rows = compare("networks", recipe, paths, 16, only=only, say=said.append)
    assert [r.name for r in rows] == ["lite0-stage1", "resnet18-layer1"]
    assert len(said) == 2
    for r in rows:
        assert r.crops == 16 and not r.started
        assert 0 <= r.own <= 1
        assert {"family swap", "mean over methods", "all"} <= set(r.transfer)
        assert r.crops_per_second and r.crops_per_second > 0
    assert rows[0].parameters == sum(p.numel() for p in PatchNetwork("efficientnet_lite0", 1).parameters())

    def no_more(*_: object) -> None:
        raise AssertionError("a finished variant is trained again")

    monkeypatch.setattr("vidscan.training.compare._train", no_more)
    assert compare("networks", recipe, paths, 16, only=only, say=said.append) == rows
    with pytest.raises(AssertionError, match="again"):  # another budget is another run
        compare("networks", recipe, paths, 24, only=only, say=said.append)


def test_two_tables_share_what_they_have_in_common(
    recipe: Recipe, paths: ComparePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[tuple[str, ...], list[str]]] = []
    from vidscan.training import compare as module

    real = module.Shards

    def spy(folder: Path, seed: int, *, without: tuple[str, ...], set_aside: list[str]) -> object:
        seen.append((without, set_aside))
        return real(folder, seed, without=without, set_aside=set_aside)

    monkeypatch.setattr(module, "Shards", spy)
    first = compare("third-party", recipe, paths, 8, say=lambda _: None)
    second = compare("forgeries", recipe, paths, 8, say=lambda _: None)
    assert [r.name for r in second] == ["all", "without blend", "without swap"]
    assert second[0] == replace(first[0], name="all")
    assert [without for without, _ in seen] == [(), ("third_party",), ("blend",), ("swap",)]
    assert {tuple(stems) for _, stems in seen} == {("00000",)}


def test_a_comparison_needs_pairs_and_known_names(recipe: Recipe, paths: ComparePaths) -> None:
    with pytest.raises(SetupError, match="no variant vgg among the networks: lite0-stage1"):
        compare("networks", recipe, paths, 8, only=["vgg"])
    for done in list((paths.work / "pairs").glob("*.json"))[1:]:
        done.unlink()
    with pytest.raises(SetupError, match="fewer than two finished pair shards"):
        compare("networks", recipe, paths, 8)


def test_own_auc_by_hand(tmp_path: Path) -> None:
    shard = write_pairs(tmp_path, 0)
    network = random_network(0)
    network.head.weight.data.zero_()
    assert own_auc(network, shard, 0.25, batch=3) == 0.5  # all crops alike

    class Flat(torch.nn.Module):
        """What has no contrast is told apart wherever even odds lie."""

        def __init__(self, sign: float, level: float) -> None:
            super().__init__()
            self.sign = sign
            self.level = torch.nn.Parameter(torch.tensor(level))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.level - self.sign * x.std((1, 2, 3), keepdim=True)

    for level in (0.1, -50.0):
        assert own_auc(Flat(1, level), shard, 0.25) == 1.0  # type: ignore[arg-type]
        assert own_auc(Flat(-1, level), shard, 0.25) == 0.0  # type: ignore[arg-type]


def test_markdown_has_a_row_each_and_no_methods() -> None:
    transfer = {"family swap": 0.61234, "all": 0.5, "method x": 0.1}
    rows = [
        Row("one", 12345, True, 100, 31.25, 0.9, transfer),
        Row("two", 1, False, 100, None, 0.5, transfer),
    ]
    lines = markdown(rows).splitlines()
    assert lines[0] == "| variant | parameters | crops/s | own | family swap | all |"
    assert lines[2] == "| one | 12,345 | 31.2 | 0.900 | 0.612 | 0.500 |"
    assert lines[3] == "| two | 1 |  | 0.500 | 0.612 | 0.500 |"
    assert {line.count("|") for line in lines} == {7}

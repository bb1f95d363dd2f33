"""From a corpus folder to a registered encoder; the start is untrained, all else is real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.small_corpus import SOURCES, small_corpus, small_start
from vidscan.errors import SetupError
from vidscan.models import load_registry
from vidscan.patches.encoder import REGIONS, EncoderClassifier
from vidscan.training.descriptions import TUNED, is_tuned
from vidscan.training.encoder import (
    HeadRecipe,
    Shares,
    cross_validate,
    fit_heads,
    left_out,
    mean_scores,
    read_material,
    train_encoder,
    variants,
)
from vidscan.training.ledger import known, note
from vidscan.training.own_pairs import PairRecipe
from vidscan.training.sources import FOLDS
from vidscan.training.unseen import parts_unseen, unseen_encoder

RECIPE = HeadRecipe(
    taps=(1, 2), moments=(0.5,), pairs=PairRecipe(mix={"self_blend": 1.0}, per_clip=1), native_pairs=7
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_start(tmp_path_factory.mktemp("start") / "encoder.safetensors")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_a_corpus_becomes_a_registered_encoder(corpus: Path, start: Path, work: Path, tmp_path: Path) -> None:
    record = train_encoder(corpus, start, work, tmp_path, RECIPE, jobs=1)
    assert record.settings["learnt_from"]["generators"] == [f"method{i}" for i in range(SOURCES)]
    assert record.settings["left_out"]["clips"] == SOURCES
    assert record.settings["taps"] == [1, 2]
    classifier = EncoderClassifier(load_registry(tmp_path).get("encoder"))
    assert record.settings["mask"]["slope"] > 0
    assert classifier.read(torch.zeros(1, 3, 224, 224)).maps.shape == (1, 16, 16)

    # What was read is kept: nothing is described again, whatever heads the encoder comes with.
    kept = {path: path.stat().st_mtime_ns for path in (work / "descriptions").iterdir()}
    headed = tmp_path / "headed.safetensors"
    save_file(load_file(start) | {"head.bias": torch.zeros(2)}, headed)
    material = read_material(corpus, headed, work, RECIPE, jobs=1)
    assert {path: path.stat().st_mtime_ns for path in (work / "descriptions").iterdir()} == kept
    corpus_crops = [c for c in material.crops if not c.own]
    assert len(corpus_crops) == 4 * SOURCES
    pairs = [c for c in material.crops if c.own]
    assert len(pairs) == 2 * 2 * SOURCES
    assert sum(c.forged for c in pairs) == 2 * SOURCES
    whole = classifier.weight.numpy()
    *fitted, heads = fit_heads(material, RECIPE, [*range(FOLDS), None])
    unseen = left_out(material, fitted)
    native = read_material(corpus, headed, work, RECIPE, native=True, jobs=1)
    assert len([c for c in native.crops if not c.own]) == 4 * SOURCES
    assert len([c for c in native.crops if c.own]) == 2 * 7
    *native_fitted, native_heads = fit_heads(native, RECIPE, [*range(FOLDS), None])
    native_unseen = left_out(native, native_fitted)
    rescaled = native_heads.rescaled(native_unseen.centre, native_unseen.deviation)
    assert record.load()["native.weight"].numpy() == pytest.approx(rescaled.weight)
    assert record.settings["learnt_from"]["crops"] == len(material.crops) + len(native.crops)
    joined = mean_scores([unseen, native_unseen])
    assert joined["0-real.mp4"] == pytest.approx(
        (unseen.scores["0-real.mp4"] + native_unseen.scores["0-real.mp4"]) / 2
    )
    assert whole == pytest.approx(heads.rescaled(unseen.centre, unseen.deviation).weight)
    # Heads without a part are kept beside it, on the same scale, and told apart by part.
    registry = load_registry(tmp_path)
    parts = parts_unseen(corpus, registry)
    assert {parts[c.entry.file] for c in material.crops} == set(range(FOLDS))
    for part, own in enumerate(fitted):
        same = own.rescaled(unseen.centre, unseen.deviation)
        apart = unseen_encoder(registry, part, "cpu")
        assert apart.weight.numpy() == pytest.approx(same.weight, rel=2e-3, abs=1e-6)
        assert apart.reads_native
        assert not np.allclose(apart.weight, whole, rtol=2e-3)
    # An encoder that was tuned has seen all sources itself: no heads of it are new to anybody.
    assert not record.settings["tuned"] and not is_tuned(start)
    tuned_start = tmp_path / "tuned.safetensors"
    save_file(load_file(start), tuned_start, TUNED)
    tuned = train_encoder(corpus, tuned_start, work, tmp_path / "tuned", RECIPE, jobs=1)
    assert tuned.settings["tuned"] and is_tuned(tuned.path)
    assert parts_unseen(corpus, load_registry(tmp_path / "tuned")) == {}
    assert "left_out_heads" not in load_registry(tmp_path / "tuned").defaults
    assert record.settings["heads"] == ["picture", "region"]
    # Only own pairs teach the one, none of them the other.
    only_pairs = replace(RECIPE, heads={"a": Shares(0.5, 0.0, 0.5), "b": Shares(1.0, 0.0, 0.0)})
    both, film = fit_heads(material, only_pairs, [None])[0].weight
    assert not np.allclose(both, film)

    # Forged pictures of sources that no head saw are told by what all forged ones share.
    found = cross_validate([material, native], RECIPE)
    assert found.all.value > 0.9
    assert found.all.of == SOURCES

    # The control reads only what lies outside the face, and has no weight elsewhere.
    control = replace(RECIPE, regions=("outside",))
    (outside,) = fit_heads(material, control, [None])
    by_region = outside.weight.reshape(-1, len(REGIONS), outside.weight.shape[1] // (2 * 2 * len(REGIONS)))
    assert np.abs(by_region[:, REGIONS.index("outside")]).max() > 0
    assert not np.delete(by_region, REGIONS.index("outside"), axis=1).any()

    with pytest.raises(SetupError, match="on film"):
        fit_heads(
            replace(material, crops=corpus_crops[:0] + pairs, parts=material.parts[-len(pairs) :]),
            RECIPE,
            [None],
        )

    ledger = tmp_path / "runs.jsonl"
    assert known(ledger, RECIPE, len(material.crops)) is None
    note(ledger, "a run", RECIPE, len(material.crops), found)
    again = known(ledger, RECIPE, len(material.crops))
    assert again is not None
    assert again.all.value == pytest.approx(found.all.value, abs=1e-3)
    assert again.found.keys() == found.found.keys() and again.families.keys() == found.families.keys()
    assert known(ledger, control, len(material.crops)) is None
    assert known(ledger, RECIPE, 3) is None


def test_a_start_that_is_no_encoder_is_one_line(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "start.safetensors").write_bytes(b"no weights")
    with pytest.raises(SetupError, match="is no DINOv2 encoder") as error:
        train_encoder(
            corpus, tmp_path / "start.safetensors", tmp_path / "work", tmp_path / "out", RECIPE, jobs=1
        )
    assert "\n" not in str(error.value)


def test_curves_are_variants_of_the_shipped_recipe() -> None:
    plain, curves = variants(), variants(curves=True)
    assert set(plain) < set(curves)
    assert plain["control: outside the face alone"].regions == ("outside",)
    assert {recipe.generators for recipe in curves.values()} == {0, 10, 20, 40, 80, 160}
    assert len({recipe.key() for recipe in curves.values()}) == len(curves)


@pytest.mark.slow
def test_another_encoder_describes_anew(corpus: Path, start: Path, work: Path, tmp_path: Path) -> None:
    before = read_material(corpus, start, work, RECIPE, jobs=1)
    tuned = tmp_path / "tuned.safetensors"
    tensors = load_file(start)
    save_file(tensors | {"blocks.1.ls2.gamma": tensors["blocks.1.ls2.gamma"] + 1}, tuned)
    after = read_material(corpus, tuned, work, RECIPE, jobs=1)
    assert len(after.crops) == len(before.crops)
    assert not np.array_equal(after.crops[0].features, before.crops[0].features)

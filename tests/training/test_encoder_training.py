"""From a corpus folder to a registered encoder; the start is untrained, all else is real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.data import astronaut

from tests.manifests import write_manifest
from tests.patches.test_vision_transformer import random_encoder
from vidscan.errors import SetupError
from vidscan.media.writer import VideoWriter, write_png
from vidscan.models import load_registry
from vidscan.patches.encoder import REGIONS, EncoderClassifier
from vidscan.training.encoder import (
    HeadRecipe,
    Shares,
    cross_validate,
    fit_heads,
    left_out,
    read_material,
    train_encoder,
    variants,
)
from vidscan.training.ledger import known, note
from vidscan.training.own_pairs import PairRecipe
from vidscan.training.sources import FOLDS

SOURCES = 6
RECIPE = HeadRecipe(taps=(1, 2), moments=(0.5,), pairs=PairRecipe(mix={"self_blend": 1.0}, per_clip=1))


def picture(number: int, *, forged: bool) -> np.ndarray:
    """The portrait at 320 px; forged ones are smooth and greenish, as no camera makes them."""
    rng = np.random.default_rng(number)
    face = cv2.resize(astronaut()[0:320, 64:384], (320, 320)).astype(np.float32)
    if forged:
        face = cv2.GaussianBlur(face, (0, 0), 2.5) + np.array([0, 14, 0], np.float32)
    return np.clip(face * rng.uniform(0.9, 1.05) + rng.normal(0, 2, face.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sources, each with a genuine and a forged still and clip."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for source in range(SOURCES):
        for forged in (False, True):
            for kind in ("image", "video"):
                name = f"{source}-{'fake' if forged else 'real'}.{'png' if kind == 'image' else 'mp4'}"
                shown = picture(10 * source + 2 * forged + (kind == "video"), forged=forged)
                if kind == "image":
                    write_png(folder / name, shown)
                else:
                    with VideoWriter(folder / name, 320, 320, fps=10, crf=18) as writer:
                        for _ in range(3):
                            writer.write(shown)
                label = "fake" if forged else "real"
                who = f",method{source},faceswap" if forged else f"person{source},,"
                rows.append(f"train,{label},{name},{kind},repo{source},{who},,")
    return write_manifest(folder, *rows)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "encoder.safetensors"
    save_file({k: v.contiguous() for k, v in random_encoder((1, 2, 3), 16).state_dict().items()}, path)
    return path


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

    # What was read is kept: without its weights the encoder could not read again.
    material = read_material(corpus, Path("gone.safetensors"), work, RECIPE, jobs=1)
    corpus_crops = [c for c in material.crops if not c.own]
    assert len(corpus_crops) == 4 * SOURCES
    pairs = [c for c in material.crops if c.own]
    assert len(pairs) == 2 * 2 * SOURCES
    assert sum(c.forged for c in pairs) == 2 * SOURCES
    whole = classifier.weight.numpy()
    *fitted, heads = fit_heads(material, RECIPE, [*range(FOLDS), None])
    unseen = left_out(material, fitted)
    assert whole == pytest.approx(heads.rescaled(unseen.centre, unseen.deviation).weight)
    assert record.settings["heads"] == ["picture", "region"]
    # Only own pairs teach the one, none of them the other.
    only_pairs = replace(RECIPE, heads={"a": Shares(0.5, 0.0, 0.5), "b": Shares(1.0, 0.0, 0.0)})
    both, film = fit_heads(material, only_pairs, [None])[0].weight
    assert not np.allclose(both, film)

    # Forged pictures of sources that no head saw are told by what all forged ones share.
    found = cross_validate(material, RECIPE)
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

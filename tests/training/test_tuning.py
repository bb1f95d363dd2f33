"""Tuning on a small pack from an untrained start: what learns, what comes out, and what is left out."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.manifests import entry
from tests.patches.test_vision_transformer import random_encoder
from tests.training.small_corpus import picture, small_start
from vidscan.cli.train import app
from vidscan.errors import SetupError
from vidscan.forge.base import FORGERIES, Faces, Forged
from vidscan.patches.encoder import Encoder
from vidscan.patches.vision_transformer import unpacked
from vidscan.training.descriptions import start_tensors
from vidscan.training.encoder import HeadRecipe
from vidscan.training.own_pairs import PairRecipe
from vidscan.training.pack import Pack
from vidscan.training.tuning import Batches, Tuner, TuneRecipe, adapt, merged, tune

HEADS = HeadRecipe(taps=(1, 2), pairs=PairRecipe(mix={"self_blend": 1.0}))
RECIPE = TuneRecipe(
    first=1, rank=2, film=2, stills=1, pairs=2, warm_up=2, heads=HEADS, rate=1e-2, head_rate=1e-3
)


def small_pack(parts: int = 5) -> Pack:
    """Of every part a genuine and a forged clip and still; part 0 is red."""
    crops, entries, owners = [], [], []
    for part in range(parts):
        for forged in (False, True):
            for kind in ("image", "video"):
                shown = picture(10 * part + 2 * forged + (kind == "video"), forged=forged)[20:300, 20:300]
                crops.append(shown if part else np.broadcast_to(np.uint8([250, 0, 0]), shown.shape))
                name = f"{part} {forged} {kind}"
                of = entry(name, method=f"method{part}" if forged else "", split="train", kind=kind)
                entries.append(replace(of, repo=f"repo{part}"))
                owners.append(part)
    return Pack(np.stack(crops), entries, np.array(owners))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_start(tmp_path_factory.mktemp("start") / "encoder.safetensors")


def tuner(start: Path, recipe: TuneRecipe = RECIPE, without: Sequence[int] = ()) -> Tuner:
    batches = Batches(small_pack(), recipe, "cpu", without)
    return Tuner(start_tensors(start, (1, 2)), batches, recipe, "cpu")


def test_a_batch_depends_on_its_number_alone() -> None:
    batches = Batches(small_pack(), RECIPE, "cpu")
    first, other = batches.draw(3), batches.draw(4)
    again = Batches(small_pack(), RECIPE, "cpu").draw(3)
    assert torch.equal(first.crops, again.crops)
    assert not torch.equal(first.crops, other.crops)
    assert first.crops.shape == (10, 3, 224, 224)
    assert first.forged.tolist() == [False, False, True, True, False, True, False, False, True, True]
    assert first.kinds.tolist() == ["film"] * 4 + ["stills"] * 2 + ["own"] * 4


def test_only_the_forgery_tells_the_sides_of_a_pair_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(faces: Faces, generator: torch.Generator) -> Forged:
        return Forged(faces.images, torch.zeros_like(faces.images[:, :1]))

    monkeypatch.setitem(FORGERIES, "nothing", nothing)
    plain = replace(HEADS, pairs=PairRecipe(mix={"nothing": 1.0}))
    batches = Batches(small_pack(), replace(RECIPE, heads=plain), "cpu")
    for seed in range(4):
        genuine, forged = batches.forged(np.array([4, 8, 12]), np.random.default_rng(seed)).chunk(2)
        assert torch.equal(genuine, forged)
    made = Batches(small_pack(), RECIPE, "cpu").forged(np.array([4, 8, 12]), np.random.default_rng(0))
    genuine, forged = made.chunk(2)
    assert not torch.equal(genuine, forged)


def test_parts_left_out_are_never_drawn() -> None:
    def red(batches: Batches) -> int:
        crops = torch.cat([batches.draw(number).crops for number in range(8)])
        return int(((crops[:, 0] - crops[:, 1]).mean((1, 2)) > 150).sum())

    assert red(Batches(small_pack(), RECIPE, "cpu")) > 0
    assert red(Batches(small_pack(), RECIPE, "cpu", [0])) == 0
    with pytest.raises(SetupError, match="too few genuine or forged clips"):
        Batches(small_pack(), RECIPE, "cpu", range(5))


def test_updates_change_nothing_before_they_learn_and_stay_when_merged(start: Path) -> None:
    tensors = start_tensors(start, (1, 2))
    # Networks share memory with what they are made of.
    plain = Encoder(start_tensors(start, (1, 2)), (1, 2)).network
    network = Encoder(start_tensors(start, (1, 2)), (1, 2)).network
    learns = adapt(network, 1, 2, 0)
    pictures = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(network(pictures), plain(pictures), atol=1e-5)
        for value in learns:
            value += torch.randn(value.shape)
        found = network(pictures)
        assert not torch.allclose(found, plain(pictures), atol=0.1)
        plain.load_state_dict(merged(network))
        assert torch.allclose(plain(pictures), found, atol=1e-4)
    # The first block is as it was.
    same = {name for name, value in merged(network).items() if torch.equal(value, unpacked(tensors)[name])}
    assert {name for name in tensors if name.startswith(("blocks.0.", "patch_embed.", "cls_token"))} <= same
    learned = {name for name in tensors if name.startswith("blocks.1.")} - same
    assert learned == {name for name in tensors if name.startswith("blocks.1.")} - {
        f"blocks.1.{layer}.bias" for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }


def test_without_a_rank_blocks_learn_as_a_whole(start: Path) -> None:
    network = Encoder(start_tensors(start, (1, 2)), (1, 2)).network
    learns = adapt(network, 1, 0, 0)
    assert {id(value) for value in learns} == {id(value) for value in network.blocks[1].parameters()}
    with torch.no_grad():
        for value in learns:
            value += 1
    changed = {name for name, value in merged(network).items() if name.startswith("blocks.1.")}
    plain = unpacked(start_tensors(start, (1, 2)))
    assert changed == {n for n in plain if not torch.equal(plain[n], merged(network)[n])}


def test_updates_are_on_the_device_of_what_they_update() -> None:
    network = random_encoder((1, 2), 16).to("meta")
    assert {value.device.type for value in adapt(network, 1, 2, 0)} == {"meta"}


def test_a_block_that_is_not_there_is_refused(start: Path) -> None:
    with pytest.raises(SetupError, match="2 blocks: none is left to tune"):
        tuner(start, replace(RECIPE, first=2))


@pytest.mark.slow
def test_tuning_learns_and_goes_on_where_it_stopped(start: Path, tmp_path: Path) -> None:
    whole = tuner(start)
    lines = list(tune(whole, tmp_path / "whole", minutes=1, steps=20, every=5))
    assert [line["steps"] for line in lines] == [5, 10, 15, 20]
    assert lines[-1]["picture"] < 0.9 * lines[0]["picture"]
    parted = tuner(start)
    for line in tune(parted, tmp_path / "parted", minutes=1, steps=20, every=5):
        if line["steps"] == 10:
            stopped = line
            break
    again = tuner(start)
    rest = list(tune(again, tmp_path / "parted", minutes=1, steps=20, every=5))
    assert [line["steps"] for line in rest] == [15, 20]
    assert rest[-1]["seconds"] > rest[0]["seconds"] > stopped["seconds"]
    for name, value in merged(whole.network).items():
        assert torch.allclose(value, merged(again.network)[name], atol=1e-5), name
    other = tmp_path / "other.safetensors"
    save_file(load_file(start) | {"blocks.1.norm1.bias": torch.ones(64)}, other)
    for wrong, what in (
        (tuner(start, replace(RECIPE, seed=1)), "recipe"),
        (tuner(start, without=[1]), "taught"),  # else it would be judged by what it has learned from
        (tuner(other), "start"),
    ):
        with pytest.raises(SetupError, match=f"another run .{what} differs"):
            list(tune(wrong, tmp_path / "parted", minutes=1, steps=21))


@pytest.mark.slow
def test_the_dry_run_from_pack_to_figures(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: list[TuneRecipe] = []
    monkeypatch.setattr("vidscan.training.tuning.TuneRecipe", lambda: RECIPE)

    def made(tensors: dict[str, torch.Tensor], batches: Batches, recipe: TuneRecipe, device: str) -> Tuner:
        recipes.append(recipe)
        return Tuner(tensors, batches, recipe, device)

    monkeypatch.setattr("vidscan.training.tune_run.Tuner", made)
    monkeypatch.setattr("vidscan.training.pack.read_pack", lambda folder: small_pack())
    options = [
        "--pack",
        str(tmp_path),
        "--start",
        str(start),
        "--work",
        str(tmp_path / "work"),
        "--steps",
        "50",
        *("--first", "1", "--rank", "2", "--rate", "0.01"),
    ]
    with warnings.catch_warnings(action="ignore"):
        found = CliRunner().invoke(app, ["all", *options, "--leave-out", "1", "--leave-out", "2"])
    assert found.exit_code == 0, found.output
    assert recipes == [RECIPE]
    rows = [line for line in found.stdout.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["before", "tuned"]
    # An encoder as the one before, which learning heads takes as its start.
    tuned = start_tensors(tmp_path / "work" / "encoder.safetensors", (1, 2))
    before = start_tensors(start, (1, 2))
    floats = unpacked(tuned)
    assert floats.keys() == before.keys()
    assert tuned["blocks.1.mlp.fc1.weight"].dtype == torch.int8
    step = tuned["blocks.0.mlp.fc1.weight.scale"].max()
    assert (floats["blocks.0.mlp.fc1.weight"] - before["blocks.0.mlp.fc1.weight"]).abs().max() <= step
    assert not torch.allclose(
        floats["blocks.1.norm1.weight"], before["blocks.1.norm1.weight"], atol=RECIPE.rate
    )


def test_tuning_needs_nothing_that_only_reading_films_needs() -> None:
    code = (
        "import sys\n"
        "for name in ('av', 'decord', 'pydantic', 'facenet_pytorch', 'matplotlib', 'mediapipe'):\n"
        "    sys.modules[name] = None\n"
        "import vidscan.cli.app, vidscan.training.tune_run, vidscan.training.figures\n"
        "from vidscan.training.encoder import shipped_start\n"
        "print(shipped_start().name)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("encoder-")

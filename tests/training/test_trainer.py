"""The trainer on a toy problem: it learns, and a resumed run goes on as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vidscan.patches.networks import PatchNetwork
from vidscan.training.patches import Shards, Trainer, TrainRecipe, average_path, patch_loss, train

RECIPE = TrainRecipe(
    depth=1, window=32, pairs=4, crops=4000, warmup_crops=1, dropout=0.0, rate=2e-3, head_rate=2e-2, seed=3
)


def toy(seed: int, pairs: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise; the forged side has a flat square, and a mask of eight cells a side that says where."""
    rng = np.random.default_rng(seed)
    genuine = rng.uniform(60, 200, (pairs, 3, 32, 32)).astype(np.float32)
    forged, masks = genuine.copy(), np.zeros((2 * pairs, 8, 8), np.float32)
    for i in range(pairs):
        y, x = rng.integers(0, 4, 2)
        forged[i, :, 4 * y : 4 * y + 16, 4 * x : 4 * x + 16] = 128
        masks[pairs + i, y : y + 4, x : x + 4] = 1
    return torch.from_numpy(np.concatenate([genuine, forged])), torch.from_numpy(masks)


# --------------------------------------------------------------------------- the loss


def test_patch_loss_by_hand() -> None:
    logits = torch.zeros(2, 2, 2)
    masks = torch.zeros(2, 4, 4)
    masks[1, :2, :2] = 1
    loss, scores = patch_loss(logits, masks, TrainRecipe(pooled_weight=0.5))
    assert scores.tolist() == [0, 0]
    assert float(loss) == pytest.approx(1.5 * np.log(2), rel=1e-5)
    right = torch.full((2, 2, 2), -20.0)
    right[1, 0, 0] = 20.0
    assert float(patch_loss(right, masks, TrainRecipe())[0]) < 1e-6
    assert float(patch_loss(-right, masks, TrainRecipe())[0]) > 10


def test_unknown_masks_count_only_as_whole_crops() -> None:
    masks = torch.full((2, 4, 4), -1.0)
    masks[0] = 0
    one = torch.full((2, 2, 2), -20.0)
    one[1, 0, 0] = 20.0  # a single suspicious patch is enough, wherever it is
    assert float(patch_loss(one, masks, TrainRecipe(top_k=0.25))[0]) < 1e-6
    none = torch.full((2, 2, 2), -20.0)
    assert float(patch_loss(none, masks, TrainRecipe(top_k=0.25))[0]) > 4


def test_barely_forged_crops_are_not_told_as_whole_ones() -> None:
    """A mask between 2 % and 20 % is neither a genuine nor a forged crop."""
    masks = torch.zeros(2, 2, 2)
    masks[1, 0, 0] = 0.1
    recipe = TrainRecipe(pooled_weight=1000.0)
    logits = torch.full((2, 2, 2), -8.0)
    logits[1] = 8.0
    assert float(patch_loss(logits, masks, recipe)[0]) < 10


# --------------------------------------------------------------------------- steps


def test_the_loss_falls_on_a_toy_problem() -> None:
    trainer = Trainer(RECIPE, None)
    losses = [trainer.step(*toy(i % 8))[0] for i in range(40)]
    assert np.mean(losses[-6:]) < 0.75 * np.mean(losses[:3])
    assert trainer.crops == 40 * 8


def test_only_the_head_learns_at_first() -> None:
    trainer = Trainer(TrainRecipe(depth=1, pairs=4, warmup_crops=1000, dropout=0.0), None)
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    for i in range(3):
        trainer.step(*toy(i))
    after = trainer.net.state_dict()
    for name in before:
        moved = float((after[name].float() - before[name].float()).abs().max())
        if name.startswith("head"):
            assert moved > 1e-6
        elif "running" in name or "num_batches" in name:
            assert moved == 0, name
        else:
            assert moved < 2e-5, name


def test_the_average_follows_the_network_slowly() -> None:
    trainer = Trainer(RECIPE, None)
    start = trainer.average.head.weight.clone()
    for i in range(12):
        trainer.step(*toy(i))
    gone = float((trainer.average.head.weight - start).norm())
    assert gone > 0
    assert float((trainer.average.head.weight - trainer.net.head.weight.detach()).norm()) > 0
    name = "features.bn1.running_mean"
    assert float(trainer.average.state_dict()[name].abs().max()) > 0  # statistics are averaged as well
    assert not trainer.average.training


def test_a_resumed_run_takes_the_same_next_step(tmp_path: Path) -> None:
    whole = Trainer(RECIPE, None)
    for i in range(4):
        whole.step(*toy(i))
    whole.save(tmp_path / "new" / "checkpoint.safetensors")
    resumed = Trainer(TrainRecipe(**{**_fields(RECIPE), "seed": 99}), None)
    resumed.resume(tmp_path / "new" / "checkpoint.safetensors")
    assert resumed.crops == whole.crops
    for i in (4, 5):
        assert whole.step(*toy(i))[0] == pytest.approx(resumed.step(*toy(i))[0], abs=1e-6)
    for mine, theirs in ((whole.net, resumed.net), (whole.average, resumed.average)):
        for name, value in mine.state_dict().items():
            torch.testing.assert_close(theirs.state_dict()[name], value, msg=name)
    assert not list(tmp_path.rglob("*.part"))


def _fields(recipe: TrainRecipe) -> dict:
    return {name: getattr(recipe, name) for name in TrainRecipe.__dataclass_fields__}


def test_a_start_is_taken_over_and_must_be_whole(tmp_path: Path) -> None:
    torch.manual_seed(8)
    features = PatchNetwork("efficientnet_lite0", 2).features.state_dict()
    save_file(features, tmp_path / "start.safetensors")
    trainer = Trainer(RECIPE, tmp_path / "start.safetensors")  # depth 1: the rest is left over
    for name, value in trainer.net.features.state_dict().items():
        assert torch.equal(value, features[name])
    short = {k: v for k, v in features.items() if "conv_stem" not in k}
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(ValueError, match="lacks conv_stem"):
        Trainer(RECIPE, tmp_path / "short.safetensors")


@pytest.mark.parametrize("architecture", ["xception", "resnet18"])
def test_other_networks_are_trained_and_averaged(architecture: str) -> None:
    recipe = TrainRecipe(architecture=architecture, depth=1, pairs=4, warmup_crops=0, dropout=0.0, rate=2e-3)
    trainer = Trainer(recipe, None)
    before = [p.detach().clone() for p in trainer.net.features.parameters()]
    for i in range(3):
        loss, right = trainer.step(*toy(i))
        assert np.isfinite(loss) and 0 <= right <= 1
    after = [p.detach() for p in trainer.net.features.parameters()]
    assert max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True)) > 1e-4


def test_a_step_draws_its_augmentation_from_its_place_in_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def spy(crops: torch.Tensor, rng: np.random.Generator, chance: float) -> torch.Tensor:
        drawn.append((rng.random(), chance))
        return crops

    monkeypatch.setattr("vidscan.training.patches.some_through_jpeg", spy)
    recipe = TrainRecipe(**{**_fields(RECIPE), "dct": 0.25})
    for _ in range(2):
        trainer = Trainer(recipe, None)
        for i in range(2):
            trainer.step(*toy(i))
    assert drawn[0] == drawn[2] and drawn[1] == drawn[3]
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] == 0.25


# --------------------------------------------------------------------------- the loop


def write_toy_shard(
    folder: Path, index: int, kinds: tuple[str, ...] = ("toy",), kind: tuple[int, ...] = (0,) * 6
) -> None:
    rng = np.random.default_rng(index)
    genuine = rng.integers(0, 255, (6, 32, 32, 3), np.uint8)
    arrays = {
        "genuine": genuine,
        "forged": 255 - genuine,
        "mask": np.full((6, 8, 8), 254, np.uint8),
        "kind": np.array(kind, np.uint8),
    }
    for name, array in arrays.items():
        np.save(folder / f"{index:05d}.{name}.npy", array)
    (folder / f"{index:05d}.json").write_text(json.dumps({"kinds": kinds}))


def test_kinds_and_shards_can_be_left_out(tmp_path: Path) -> None:
    write_toy_shard(tmp_path, 0, ("b", "a"), (0, 1, 1, 0, 1, 0))
    write_toy_shard(tmp_path, 1, ("a", "b", "c"), (0, 1, 1, 2, 2, 1))
    write_toy_shard(tmp_path, 2, ("a",))  # nothing is left of this one
    write_toy_shard(tmp_path, 3)
    allowed = {0: (0, 3, 5), 1: (1, 2, 3, 4, 5)}
    pictures = {
        np.load(tmp_path / f"{shard:05d}.genuine.npy")[i].tobytes()
        for shard, rows in allowed.items()
        for i in rows
    }
    shards = Shards(tmp_path, 0, without=["a"], set_aside=["00003"])
    shards.refresh()
    seen = set()
    for _ in range(20):
        crops, _ = shards.batch(8, 32)
        for crop in crops[:8].permute(0, 2, 3, 1).numpy().astype(np.uint8):
            seen |= {crop.tobytes(), crop[:, ::-1].tobytes()} & pictures or {b"not allowed"}
    assert seen == pictures


def test_train_logs_saves_and_stops(tmp_path: Path) -> None:
    shards_folder = tmp_path / "shards"
    shards_folder.mkdir()
    for i in range(3):
        write_toy_shard(shards_folder, i)
    recipe = TrainRecipe(depth=1, window=32, pairs=4, crops=64, warmup_crops=8)
    trainer = Trainer(recipe, None)
    lines = list(
        train(
            trainer,
            Shards(shards_folder, 0),
            tmp_path / "run",
            every=32,
            judge=lambda network: {"all": float(network.head.weight.shape[1])},
        )
    )
    assert [line["crops"] for line in lines] == [32, 64]
    assert all(line["transfer"] == {"all": 24.0} for line in lines)
    assert all(0 <= line["high_band_auc"] <= 1 for line in lines)
    logged = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in logged] == lines
    again = Trainer(recipe, None)
    again.resume(tmp_path / "run" / "checkpoint.safetensors")
    assert again.crops == 64
    assert list(train(again, Shards(shards_folder, 0), tmp_path / "run")) == []


def test_every_log_line_keeps_its_averaged_weights(tmp_path: Path) -> None:
    write_toy_shard(tmp_path, 0)
    trainer = Trainer(TrainRecipe(depth=1, window=32, pairs=4, crops=48, warmup_crops=8), None)
    averages = {}
    for line in train(trainer, Shards(tmp_path, 0), tmp_path / "run", every=16):
        averages[line["crops"]] = {k: v.clone() for k, v in trainer.averaged().items()}
    assert sorted(averages) == [16, 32, 48]
    other = Trainer(TrainRecipe(depth=1, seed=5), None)
    for crops, expected in averages.items():
        other.take(average_path(tmp_path / "run", crops))
        assert other.crops == crops
        for name, value in other.averaged().items():
            assert torch.equal(value, expected[name]), name
    assert not torch.equal(averages[16]["head.weight"], averages[48]["head.weight"])


def test_shards_take_the_least_used_first_and_find_new_ones(tmp_path: Path) -> None:
    write_toy_shard(tmp_path, 0)
    shards = Shards(tmp_path, 0)
    shards.refresh()
    for _ in range(5):
        shards.batch(2, 16)
    write_toy_shard(tmp_path, 1)
    np.save(tmp_path / "00002.genuine.npy", np.zeros(1))  # unfinished: it has no .json yet
    shards.refresh()
    assert set(shards.open) == {"00000", "00001"}
    shards.batch(2, 16)
    assert min(shards.uses.values()) > 0


def test_flips_and_windows_keep_crop_and_mask_together(tmp_path: Path) -> None:
    y, x = np.mgrid[0:32, 0:32]
    lit = ((y // 4) * 3 + (x // 4) * 5) % 7 < 3
    genuine = np.zeros((2, 32, 32, 3), np.uint8)
    forged = genuine + (lit[None, ..., None] * 200).astype(np.uint8)
    mask = (lit[::4, ::4] * 254).astype(np.uint8)[None].repeat(2, 0)
    for name, array in {
        "genuine": genuine,
        "forged": forged,
        "mask": mask,
        "kind": np.zeros(2, np.uint8),
    }.items():
        np.save(tmp_path / f"00000.{name}.npy", array)
    (tmp_path / "00000.json").write_text(json.dumps({"kinds": ["toy"]}))
    shards = Shards(tmp_path, 1)
    shards.refresh()
    crops, masks = shards.batch(12, 16)
    shown = crops[12:, 0, ::4, ::4] > 100
    assert torch.equal(shown, masks[12:] > 0.5)
    assert len({m.numpy().tobytes() for m in masks[12:]}) > 4

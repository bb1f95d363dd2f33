"""The eye-state trainer learns drawn eyes, goes on where it stopped, and keeps people apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from tests.behavior.drawn_eyes import write_label_store
from vidscan.behavior.eye_state import EyeState, eye_crops
from vidscan.cli.train_landmarks import blink
from vidscan.errors import SetupError
from vidscan.models import load_registry
from vidscan.training.blink import NAME, EyeTrainer, train_blink
from vidscan.training.checkpoint import CHECKPOINT
from vidscan.training.eye_material import EyeRecipe, EyeSource, augment_eyes, sequences, set_aside
from vidscan.training.labels import Labels

SMALL = EyeRecipe(channels=(8, 16), features=16, hidden=16, frames=24, faces=2, steps=60, rate=5e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_label_store(tmp_path_factory.mktemp("labels") / "store")


@pytest.fixture(scope="module")
def labels(folder: Path) -> Labels:
    return Labels.open(folder)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_drawn_eyes_are_learnt_and_the_model_registered(folder: Path, labels: Labels, tmp_path: Path) -> None:
    said: list[str] = []
    record = train_blink(folder, tmp_path / "work", tmp_path / "weights", SMALL, say=said.append)
    assert load_registry(tmp_path / "weights").get("blink") == record
    assert record.settings["judged"]["correlation"] > 0.9
    assert record.settings["judged"]["f1"] == 1 and record.settings["judged"]["blinks"] == 2
    assert record.settings["recipe"]["steps"] == record.settings["steps"] == 60
    assert said[0].startswith("steps 60 loss")
    assert record.path.stat().st_size < 400_000
    # What was registered is what runs, on either eye alone.
    run = sequences(labels)[0]
    shut = np.array(labels.crops[run])
    eyes = EyeState(record)
    found = eyes.update(0, eye_crops(shut, np.arange(len(run)), labels.landmarks[run]))
    truth = labels.blendshapes[run][:, [10, 9]]
    assert all(np.corrcoef(found[:, i], truth[:, i])[0, 1] > 0.9 for i in range(2))


def test_sequences_are_unbroken_stretches_of_clips(labels: Labels) -> None:
    runs = sequences(labels)
    assert [len(run) for run in runs] == [60] * 4  # the portrait is none
    rows = list(labels.rows)
    for i in range(30, 60):
        rows[i] = replace(rows[i], time_s=rows[i].time_s + 0.5)
    landmarks = labels.landmarks.copy()
    landmarks[70] = np.nan
    assert [len(r) for r in sequences(replace(labels, rows=rows, landmarks=landmarks))][:4] == [
        30,
        30,
        10,
        49,
    ]


def test_nobody_is_both_trained_on_and_judged_by(labels: Labels) -> None:
    runs = sequences(labels)
    for recipe in (SMALL, replace(SMALL, judged=0.5), replace(SMALL, judged=0.99)):
        sides = [{labels.rows[run[0]].identity for run in side} for side in set_aside(labels, runs, recipe)]
        assert not sides[0] & sides[1]
        assert sides[0] | sides[1] == {"p0", "p1", "p2", "p3"} and sides[0]
    held = replace(labels, rows=[replace(row, held_out=row.identity == "p2") for row in labels.rows])
    train, judged = set_aside(held, runs, SMALL)
    assert [labels.rows[run[0]].identity for run in judged] == ["p2"] and len(train) == 3


def test_batches_pair_crops_with_their_targets(labels: Labels) -> None:
    plain = replace(SMALL, jitter=0, soften=0, light=0, noise=0, drop=0, blinking=1.0)
    source = EyeSource(labels, sequences(labels), plain)
    crops, targets = source.batch(np.random.default_rng(0))
    assert crops.shape == (4, 24, 1, 24, 40) and targets.shape == (4, 24)
    assert float(targets.max(1).values.min()) > 0.5
    # Iris and white against the lid: the more open, the more varied the crop.
    spread = crops.std((-3, -2, -1)).flatten()
    assert float(torch.corrcoef(torch.stack([spread, targets.flatten()]))[0, 1]) < -0.8


def test_sequences_stay_within_their_clip(labels: Labels) -> None:
    source = EyeSource(labels, sequences(labels), replace(SMALL, drop=1.0))
    rng = np.random.default_rng(0)
    skipped = 0
    for _ in range(200):
        rows = source._draw(rng)
        assert len({labels.rows[i].file for i in rows}) == 1
        assert (np.diff(rows) > 0).all() and len(rows) == 24
        skipped += int(np.diff(rows).max() > 1)
    assert skipped > 100


def test_augmentation_treats_frames_alike_and_stays_in_range() -> None:
    still = (255 * torch.rand(1, 1, 24, 40, generator=torch.Generator().manual_seed(0))).expand(2, 5, -1, -1)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        out = augment_eyes(still, replace(SMALL, noise=0.0, soften=1.0), rng)
        assert out.shape == still.shape
        assert float(out.min()) >= 0 and float(out.max()) <= 255
        assert float((out - out[:1, :1]).abs().max()) < 1e-3
    noisy = augment_eyes(still, replace(SMALL, noise=30.0), np.random.default_rng(0))
    assert float((noisy[0, 0] - noisy[0, 1]).abs().mean()) > 1


def test_a_stopped_run_goes_on_to_the_same_weights(labels: Labels, tmp_path: Path) -> None:
    source = EyeSource(labels, sequences(labels), SMALL)
    straight, stopped, resumed = (EyeTrainer(SMALL) for _ in range(3))
    for _ in range(4):
        straight.step(source)
    for _ in range(2):
        stopped.step(source)
    stopped.save(tmp_path / CHECKPOINT)
    resumed.resume(tmp_path / CHECKPOINT)
    assert resumed.steps == 2
    for _ in range(2):
        resumed.step(source)
    for one, other in zip(straight.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_cannot_be_trained_is_said_in_one_line(folder: Path, labels: Labels, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no label store"):
        train_blink(tmp_path / "nothing", tmp_path / "work", tmp_path / "weights", SMALL)
    with pytest.raises(SetupError, match="100 labeled frames"):
        EyeSource(labels, sequences(labels), replace(SMALL, frames=100))
    work = tmp_path / "work"
    EyeTrainer(replace(SMALL, seed=5)).save(work / CHECKPOINT)
    with pytest.raises(SetupError, match="recipe differs"):
        train_blink(folder, work, tmp_path / "weights", SMALL)
    (work / CHECKPOINT).write_bytes(b"nothing of the kind")
    with pytest.raises(SetupError, match="cannot go on"):
        train_blink(folder, work, tmp_path / "weights", SMALL)


def test_command(folder: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(blink)
    options = ["--work", str(tmp_path / "work"), "--weights", str(tmp_path / "weights"), "--threads", "1"]
    # Eight steps of the shipped recipe need its 48 frames: the drawn clips have 60.
    result = CliRunner().invoke(app, [str(folder), *options, "--steps", "2"])
    assert result.exit_code == 0, result.output
    record = load_registry(tmp_path / "weights").get("blink", NAME)
    assert f"{NAME} {record.sha256}" in result.stdout
    log = [json.loads(line) for line in (tmp_path / "work" / "log.jsonl").read_text().splitlines()]
    assert [line["steps"] for line in log] == [2]

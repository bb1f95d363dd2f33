"""Exporting kept weights, and the train commands' options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.manifests import write_manifest
from tests.training.fake_store import fake_store
from vidscan.cli.train import app
from vidscan.errors import SetupError
from vidscan.models import load_registry
from vidscan.training import patch_run
from vidscan.training.patch_run import TrainPaths, train_patches
from vidscan.training.patches import Trainer, average_path
from vidscan.training.recipe import Recipe, load_recipe


@pytest.fixture
def recipe() -> Recipe:
    shipped = load_recipe()
    return replace(shipped, train=replace(shipped.train, depth=1))


@pytest.fixture
def paths(tmp_path: Path) -> TrainPaths:
    write_manifest(tmp_path)
    return TrainPaths(tmp_path, tmp_path / "teacher", None, tmp_path / "work", tmp_path / "weights")


def test_kept_weights_are_exported_as_they_were(
    recipe: Recipe, paths: TrainPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(replace(recipe.train, seed=9), None)
    trainer.crops = 4800
    trainer.keep(average_path(paths.work / "runs" / recipe.name, 4800))
    monkeypatch.setattr(patch_run, "_labelled_store", lambda *_: fake_store())
    monkeypatch.setattr(patch_run, "calibrate", lambda store, patches, *_: patches)
    patches, _ = train_patches(recipe, paths, at=4800)
    assert patches.settings["crops_seen"] == 4800
    assert (patches.settings["architecture"], patches.settings["depth"]) == ("efficientnet_lite0", 1)
    loaded = load_registry(paths.weights).get("patches").load()
    for name, value in trainer.averaged().items():
        assert torch.equal(loaded[name], value), name


def test_weights_that_were_not_kept_are_one_line(recipe: Recipe, paths: TrainPaths) -> None:
    with pytest.raises(SetupError, match="keeps no weights of 4801 crops") as error:
        train_patches(recipe, paths, at=4801)
    assert "\n" not in str(error.value)


def test_compare_refuses_another_subject(tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    result = CliRunner().invoke(app, ["compare", str(tmp_path), "--out", str(out), "--what", "dogs"])
    assert result.exit_code == 2
    assert "networks, forgeries, third-party" in " ".join(result.output.replace("│", " ").split())
    assert not out.exists()


def test_every_train_option_is_documented() -> None:
    import typer.main

    docs = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = docs.partition("## vidscan train")[2].partition("\n## ")[0]
    group = typer.main.get_group(app)
    for name, command in group.commands.items():
        assert f"vidscan train {name}" in section, name
        if name in ("compare", "curves"):
            for parameter in command.params:
                option = parameter.opts[0]
                if option.startswith("--") and option not in ("--help", "--quiet"):
                    assert f"`{option}" in section, option

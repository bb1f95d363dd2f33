from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from vidscan.errors import SetupError
from vidscan.models import load_registry
from vidscan.patches.networks import ARCHITECTURES
from vidscan.patches.pooling import POOLINGS
from vidscan.training.recipe import load_recipe


def test_shipped_recipe_names_things_that_exist() -> None:
    recipe = load_recipe()
    assert recipe.train.architecture in ARCHITECTURES
    assert recipe.pooling.how in POOLINGS
    assert (recipe.pairs.size, recipe.pairs.margin) == (recipe.crop.size, recipe.crop.margin)
    assert sum(recipe.pairs.mix.values()) == pytest.approx(1.0)


def test_shipped_weights_were_made_with_the_shipped_recipe() -> None:
    record = load_registry().get("patches")
    recipe = load_recipe()
    assert record.name == recipe.name
    assert record.settings["recipe"]["crop"] == recipe.to_record()["crop"]
    assert record.settings["depth"] == recipe.train.depth
    assert record.settings["pooling"] == recipe.pooling.how


SHIPPED = (files("vidscan.training") / "recipes" / "local.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text + "\nname = ", "cannot read"),
        (lambda text: "nonsense = 1\n" + text, r"toml: nonsense: Unexpected"),
        (lambda text: text.replace("[train]", "[train]\nnonsense = 1"), r"train\.nonsense: Unexpected"),
        (lambda text: re.sub(r"(?m)^depth = .*", "depth = 'two'", text), r"train\.depth: Input should be"),
        (lambda text: text.replace("[crop]\nsize", "[crop]\nsides"), r"toml: crop\.\w+: "),
    ],
    ids=["not TOML", "unknown", "unknown in a table", "wrong type", "missing"],
)
def test_bad_recipes_are_one_line(tmp_path: Path, spoil: Callable[[str], str], message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(SHIPPED, encoding="utf-8")
    assert load_recipe(path) == load_recipe()
    path.write_text(spoil(SHIPPED), encoding="utf-8")
    with pytest.raises(SetupError, match=message) as error:
        load_recipe(path)
    assert "\n" not in str(error.value)

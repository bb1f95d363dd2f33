from __future__ import annotations

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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "cannot read"),
        ("nonsense = 1", "nonsense|crop|name"),
        ("[train]\ndepth = 'two'", "depth|crop|name"),
    ],
)
def test_bad_recipes_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(SetupError, match=message) as error:
        load_recipe(path)
    assert "\n" not in str(error.value)

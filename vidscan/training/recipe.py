"""A training recipe: one TOML file that says everything about a patch model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from vidscan import toml
from vidscan.errors import SetupError
from vidscan.faces.geometry import CropSpec
from vidscan.training.degrade import Degradation
from vidscan.training.pairs import PairRecipe
from vidscan.training.patches import TrainRecipe


@dataclass(frozen=True, slots=True)
class Pooled:
    how: str
    top_k: float
    radius: float | None = None


@dataclass(frozen=True, slots=True)
class ShardPlan:
    count: int
    pairs: int


@dataclass(frozen=True, slots=True)
class RendererPlan:
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    crop: CropSpec
    pairs: PairRecipe
    degrade: Degradation
    train: TrainRecipe
    pooling: Pooled
    shards: ShardPlan
    renderers: RendererPlan

    def to_record(self) -> dict[str, Any]:
        """Plain JSON for the registry record."""
        return asdict(self)


def load_recipe(path: Path | None = None) -> Recipe:
    """Read a recipe; the shipped one where ``path`` is None.

    Raises
    ------
    SetupError
        Where the file cannot be read, or names something unknown or of the wrong type.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

    source = path or files("vidscan.training") / "recipes" / "local.toml"
    try:
        data = toml.loads(source.read_text(encoding="utf-8"))
        # The pair renderer makes what the network looks at: said once in the file, under [crop].
        data["pairs"] = {**data.get("pairs", {}), **data.get("crop", {})}
        strict = with_config(ConfigDict(extra="forbid"))(Recipe)
        recipe: Recipe = TypeAdapter(strict).validate_python(data)
    except (OSError, toml.TOMLDecodeError) as error:
        raise SetupError(f"cannot read the recipe {source}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SetupError(f"recipe {source}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return recipe

"""Experiments, one JSON line each: what was tried is not tried again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from vidscan.training.encoder import HeadRecipe
from vidscan.training.figures import Figures


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """The lines of a ledger, oldest first; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def known(path: Path, recipe: HeadRecipe, crops: int) -> Figures | None:
    """What the same recipe on as many crops came to before; None where it has not been tried."""
    for line in read_ledger(path):
        if line["recipe_sha"] == recipe.key() and line["crops"] == crops:
            return TypeAdapter(Figures).validate_python(line["figures"])
    return None


def note(path: Path, name: str, recipe: HeadRecipe, crops: int, found: Figures) -> None:
    """Append a run."""
    line = {
        "name": name,
        "recipe_sha": recipe.key(),
        "recipe": asdict(recipe),
        "crops": crops,
        "folds": "5, whole repositories left out",
        "figures": _rounded(asdict(found)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return value

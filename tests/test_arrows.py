"""Imports run one way through the house, and scanning needs neither forgeries nor training."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import vidscan

HOUSE = Path(vidscan.__file__).parent
FLOORS: tuple[tuple[str, ...], ...] = (
    ("threads", "machine"),
    ("errors", "types", "color", "toml", "spread", "digests", "paths", "outputs", "sinks"),
    ("fusion", "markdown", "lanes"),
    ("media", "models"),
    ("faces",),
    ("patches", "motion", "behavior", "forensics"),
    ("verdict",),
    ("people",),
    ("stages", "streaming", "model_choice", "file_parts", "reporting", "scanner"),
    ("report", "explain"),
    ("forge",),
    ("training",),
    ("batch",),
    ("serve",),
    ("evaluation",),
    ("cli", "__main__"),
)
"""Rooms of the house, lowest first; a room may import from its own floor and from those below."""
SCANNING = ("", "media", "models", "faces", "patches", "motion", "behavior", "forensics", "verdict", "people")
SCANNING += ("lanes", "stages", "streaming", "model_choice", "file_parts", "reporting", "scanner", "report")
SCANNING += ("explain", "batch", "serve")
WORKSHOP = ("forge", "training", "evaluation")


@dataclass(frozen=True)
class Arrow:
    """One import."""

    source: str
    target: str
    lazy: bool
    """Inside a function, or for the type checker only."""


def modules() -> dict[str, Path]:
    found = {}
    for path in HOUSE.rglob("*.py"):
        parts = path.relative_to(HOUSE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def arrows(name: str) -> Iterator[Arrow]:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    eager = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports by a relative name"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [one if one in MODULES else str(node.module) for one in inner]
        else:
            continue
        for target in targets:
            if target in MODULES and target != name:
                yield Arrow(name, target, node not in eager)


ARROWS = [arrow for name in MODULES for arrow in arrows(name)]


def room(module: str) -> str:
    """The room of a module; empty for the package itself, which everybody may ask for its version."""
    return module.partition(".")[2].partition(".")[0]


def floor(module: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room(module) in rooms:
            return number
    raise AssertionError(f"{module} is in no room of FLOORS")


def test_imports_run_down() -> None:
    up = [a for a in ARROWS if room(a.source) and room(a.target) and floor(a.source) < floor(a.target)]
    assert not up


def test_the_package_itself_stays_light() -> None:
    own = [arrow for arrow in ARROWS if arrow.source == "vidscan"]
    assert own and all(arrow.lazy for arrow in own)


def test_no_imports_go_in_a_circle() -> None:
    """Also where an import waits for its first use; the package itself imports nothing until it is used."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for arrow in ARROWS:
        if arrow.source != "vidscan":
            graph[arrow.source].add(arrow.target)
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_scanning_needs_no_workshop() -> None:
    reached = {name for name in MODULES if room(name) in SCANNING}
    assert len(reached) > 50
    waiting = list(reached)
    while waiting:
        source = waiting.pop()
        for arrow in ARROWS:
            if arrow.source == source and arrow.target not in reached:
                reached.add(arrow.target)
                waiting.append(arrow.target)
    assert not [name for name in sorted(reached) if room(name) in WORKSHOP]


@pytest.mark.parametrize("room", ["benchmarks", "samples", "examples"])
def test_what_stands_beside_the_house_does_not_import_tests(room: str) -> None:
    paths = sorted((HOUSE.parent / room).glob("*.py"))
    if not paths:
        pytest.skip(f"no {room} beside this installation")
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.partition(".")[0] == "tests"], path

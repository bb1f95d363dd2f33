"""The documents: their Python runs, their tables are those of the code, their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from tests.corpus import needs_weights
from vidscan.cli.app import app
from vidscan.types import ErrorCode, Report, ScanSettings

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "docs" / "library.md"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@needs_weights
@pytest.mark.parametrize("document", [ROOT / "README.md", LIBRARY], ids=lambda path: path.name)
def test_python_blocks_run(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another, as a reader would type them."""
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, document.name, "exec"), namespace)


def test_settings_table() -> None:
    text = LIBRARY.read_text(encoding="utf-8").partition("## Settings")[2].partition("## The report")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", text, re.M))
    assert rows == {field.name: repr(field.default) for field in fields(ScanSettings)}


def test_every_report_field_and_error_code_is_described() -> None:
    text = LIBRARY.read_text(encoding="utf-8")
    for name in (*(field.name for field in fields(Report)), *get_args(ErrorCode)):
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_command_and_option_of_the_command_line_is_described() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

    def missing(command: Any, name: str) -> Iterator[str]:
        if name not in text:
            yield name
        for option in command.params:
            names = [*option.opts, *option.secondary_opts]
            flags = [flag for flag in names if flag.startswith("-")]
            if flags and not any(re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text) for flag in flags):
                yield f"{name} {flags[0]}"
        for part, inner in getattr(command, "commands", {}).items():
            yield from missing(
                inner, f"{name} {part}".removeprefix("vidscan ") if " " in name else f"vidscan {part}"
            )

    assert list(missing(typer.main.get_command(app), "vidscan")) == []

"""The Dockerfile keeps its promises, as far as reading it can tell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from vidscan.cli.app import app

ROOT = Path(__file__).resolve().parents[1]


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) in order, with continued lines joined and comments left out."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def stage(wanted: str) -> list[tuple[str, str]]:
    """The instructions of one target."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for instruction, text in instructions():
        if instruction == "FROM":
            name = text.partition(" AS ")[2]
        found.setdefault(name, []).append((instruction, text))
    return found[wanted]


def test_without_a_target_it_is_the_command_that_is_built() -> None:
    assert instructions()[-1] == ("FROM", "scan")


def test_both_variants_are_build_arguments() -> None:
    parts = instructions()
    assert ("ARG", "VARIANT=cuda") in parts
    (install,) = [text for name, text in parts if name == "RUN" and "torchvision" in text]
    assert re.search(r"\bcuda\) pip install", install) and re.search(r"\bcpu\) ", install)
    assert "exit 1" in install.rpartition("*)")[2], "an unknown variant must fail"


@pytest.mark.parametrize("target", ["scan", "serve"])
def test_it_does_not_run_as_root(target: str) -> None:
    users = [text for name, text in stage(target) if name == "USER"]
    assert users and re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    names = [name for name, _ in stage(target)]
    after = names[len(names) - names[::-1].index("USER") :]
    assert not {"RUN", "COPY", "ADD"} & set(after), "what comes after USER would belong to that user"


def test_the_image_is_checked_while_it_is_built() -> None:
    assert any(name == "RUN" and text.endswith("vidscan doctor") for name, text in stage("scan"))
    assert ("ENTRYPOINT", '["vidscan"]') in stage("scan")
    assert any(name == "RUN" and "import vidscan.serve.server" in text for name, text in stage("serve"))


def test_the_service_asks_for_a_token_and_takes_its_options() -> None:
    (command,) = [json.loads(text) for name, text in stage("serve") if name == "CMD"]
    assert command[0] == "serve" and "--token-file" in command
    known = {flag for option in typer.main.get_command(app).commands["serve"].params for flag in option.opts}
    assert {part for part in command if part.startswith("--")} <= known


def test_no_secrets_and_no_needless_files() -> None:
    parts = instructions()
    assert not [text for name, text in parts if name == "ADD"]
    assert not [text for name, text in parts if name == "COPY" and text.split()[0] == "."]
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for name, text in parts
        if name == "COPY" and "--from" not in text
        for source in text.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in allowed)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX")
def test_scanning_writes_nothing_but_its_output(tmp_path: Path) -> None:
    """The root may be read-only: homes and caches are not touched. PyTorch makes a folder in TMPDIR."""
    homes = {name: tmp_path / name.lower() for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME")}
    for folder in homes.values():
        folder.mkdir()
        folder.chmod(0o555)
    env = {**os.environ, **{name: str(path) for name, path in homes.items()}, "PYTHONDONTWRITEBYTECODE": "1"}
    out = tmp_path / "out.jsonl"
    command = [
        sys.executable,
        "-m",
        "vidscan",
        "scan",
        str(ROOT / "examples"),
        "--out",
        str(out),
        "--jobs",
        "1",
    ]
    result = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert result.returncode in (0, 1), result.stderr
    assert len(out.read_text().splitlines()) >= 2
    assert not [path for folder in homes.values() for path in folder.iterdir()]

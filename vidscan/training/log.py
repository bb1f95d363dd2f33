"""The log of a training run: a JSON object a line, with what it had come to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidscan.errors import SetupError

LOG = "log.jsonl"
"""Name of the file in a run's folder."""


def log_line(run: Path, line: Mapping[str, Any]) -> None:
    """Appends one line to the log of a run's folder."""
    with (run / LOG).open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines that :func:`log_line` wrote.

    Raises
    ------
    SetupError
        Where the log cannot be read or has no line.
    """
    path = run / LOG
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read the training log {path}: {error}") from error
    if not lines:
        raise SetupError(f"the training log {path} is empty")
    return lines

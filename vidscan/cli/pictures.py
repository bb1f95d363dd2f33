"""Where commands may write a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidscan.cli.failures import UsageError


def refuse_to_spoil(output: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """Raises UsageError where no PNG can go to ``output``, or where it would replace what is there."""
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output} is not a .png")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent} is not a folder")
    if any(output.resolve() == path.resolve() for path in inputs):
        raise UsageError(f"{output} is an input")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists: use --overwrite")

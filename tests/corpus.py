"""Where the tests find clips of real people and the shipped weights, if they are there at all."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from vidscan.errors import WeightsError
from vidscan.models import Registry, load_registry, weights_folder

REPO = Path(__file__).resolve().parent.parent


def corpus_folder() -> Path:
    """``$VIDSCAN_CORPUS``, or ``shared/corpus`` beside the repository; skips the test without it."""
    folder = Path(os.environ.get("VIDSCAN_CORPUS") or REPO.parent / "shared" / "corpus")
    if not (folder / "manifest.csv").is_file():
        pytest.skip("no corpus: set VIDSCAN_CORPUS to a folder with a manifest.csv")
    return folder


def corpus_clips(count: int, split: str = "dev") -> list[tuple[Path, bool]]:
    """Up to ``count`` small videos, half of them genuine, each with whether it is; always the same."""
    folder = corpus_folder()
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        rows = [r for r in csv.DictReader(handle) if r["split"] == split and r["kind"] == "video"]
    chosen: list[tuple[Path, bool]] = []
    for label in ("real", "fake"):
        there = [folder / r["file"] for r in rows if r["label"] == label and (folder / r["file"]).is_file()]
        small = sorted(there, key=lambda p: (p.stat().st_size, p.name))
        step = max(1, len(small) // (2 * (count // 2) or 1))
        chosen += [(path, label == "real") for path in small[::step][: count // 2]]
    return chosen


def shipped_registry() -> Registry:
    """The weights a user would get; skips the test where there are none yet."""
    try:
        registry = load_registry()
        registry.get("patches")
        registry.get("verdict")
    except WeightsError as error:
        pytest.skip(f"no shipped weights: {error}")
    return registry


def _have_weights() -> bool:
    try:
        weights_folder()
    except WeightsError:
        return False
    return True


needs_weights = pytest.mark.skipif(not _have_weights(), reason="no weights in this checkout")

"""Masks lie where the network's cells look, not where an evenly spread grid would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.corpus import shipped_registry
from vidscan.faces.align import to_window
from vidscan.models import ModelRecord
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.networks import receptive_grid
from vidscan.types import CellGrid


def shipped() -> ModelRecord:
    return shipped_registry().get("patches")


def disc(size: int, x: float, y: float, radius: float) -> torch.Tensor:
    """(1, 3, S, S) a mid-grey crop with a disc of checkered texture about (x, y)."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    inside = np.hypot(columns - x, rows - y) <= radius
    texture = np.where((rows.astype(int) // 2 + columns.astype(int) // 2) % 2, 90.0, 160.0)
    return torch.from_numpy(np.where(inside, texture, 125.0).astype(np.float32)).expand(1, 3, size, size)


def test_the_record_says_where_the_shipped_networks_cells_look() -> None:
    classifier = PatchClassifier(shipped())
    assert classifier.grid == receptive_grid(classifier.network, classifier.spec.size)


def test_changed_discs_are_found_where_they_are() -> None:
    classifier = PatchClassifier(shipped())
    size = classifier.spec.size
    plain = classifier.logits(torch.full((1, 3, size, size), 125.0))[0]
    to_crop = np.array([[1.0, 0, 0], [0, 1.0, 0]])

    def off(x: float, y: float, grid: CellGrid | None) -> np.ndarray:
        changed = (classifier.logits(disc(size, x, y, 24.0))[0] - plain).abs().numpy()
        response = np.asarray(changed / changed.max(), np.float32)
        window = to_window(response, to_crop, size, (size, size), grid)
        whole = np.zeros((size, size))
        whole[window.rows, window.columns] = window.values
        rows, columns = np.nonzero(whole > 0.5 * whole.max())
        return np.array([columns.mean() - x, rows.mean() - y])

    # What a learned network answers to an edge leans to one side or the other; places even that out.
    places = [(x, y) for x in (80.0, 112.0, 145.0) for y in (85.0, 115.0, 140.0)]
    mended, plainly = (
        np.mean([off(x, y, grid) for x, y in places], axis=0) for grid in (classifier.grid, None)
    )
    assert np.abs(mended).max() < 1.5
    assert np.abs(plainly).max() > 2.5


def test_a_record_with_half_a_grid_is_refused(tmp_path: Path) -> None:
    from vidscan.errors import WeightsError
    from vidscan.models import register

    record = shipped()
    broken = register(tmp_path, "p", record.load(), {**record.settings, "grid": {"stride": 8.0}})
    with pytest.raises(WeightsError, match="does not fit"):
        PatchClassifier(broken)

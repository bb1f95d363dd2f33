"""Parts of the face in patch grids: where they lie, and how log-odds are averaged over them."""

from __future__ import annotations

import numpy as np
import pytest

from vidscan.faces.align import CropSpec
from vidscan.patches.parts import PARTS, boxed_parts, part_levels

SPEC = CropSpec(size=224, margin=1.2)
NAMES = list(PARTS)


def cells_at(points: np.ndarray, shape: tuple[int, int], spec: CropSpec) -> list[str]:
    """Names of the parts of the cells in which points (N, 2) of the crop lie."""
    grid = boxed_parts(shape, spec)
    columns, rows = ((points[:, i] + 0.5) / spec.size * shape[1 - i] for i in (0, 1))
    return [NAMES[grid[int(r), int(c)]] for r, c in zip(rows, columns, strict=True)]


@pytest.mark.parametrize("spec", [SPEC, CropSpec(size=96, margin=1.2), CropSpec(size=224, margin=1.6)])
def test_the_five_points_lie_in_their_parts(spec: CropSpec) -> None:
    found = cells_at(np.asarray(spec.points), (56, 56), spec)
    assert found == ["eyes", "eyes", "nose", "mouth", "mouth"]


def test_every_part_is_there_and_the_corners_are_none() -> None:
    grid = boxed_parts((28, 28), SPEC)
    assert set(range(len(PARTS))) <= set(grid.ravel().tolist())
    assert grid[0, 0] == grid[0, -1] == grid[-1, 0] == -1
    rows = {name: np.nonzero(grid == i)[0].mean() for i, name in enumerate(NAMES)}
    assert rows["brow"] < rows["eyes"] < rows["nose"] < rows["mouth"]


def test_left_and_right_are_alike() -> None:
    grid = boxed_parts((56, 56), SPEC)
    # The mean face of the template is not quite symmetric, by less than a cell.
    assert (grid == grid[:, ::-1]).mean() > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_what_is_forged_raises_its_own_part_alone(name: str) -> None:
    logits = np.full((2, 28, 28), -3.0, np.float32)
    logits[1][boxed_parts((28, 28), SPEC) == NAMES.index(name)] = 4.0
    found = part_levels(logits, SPEC)
    assert found.shape == (2, len(PARTS))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], -3.0)
    np.testing.assert_allclose(found[1], [4.0 if n == name else -3.0 for n in NAMES])


def test_beside_the_face_nothing_counts() -> None:
    logits = np.zeros((1, 28, 28), np.float32)
    logits[0][boxed_parts((28, 28), SPEC) < 0] = 50.0
    assert (part_levels(logits, SPEC) == 0).all()


def test_parts_that_no_patch_covers_are_unknown() -> None:
    found = part_levels(np.ones((3, 2, 2), np.float32), SPEC)
    known = np.isfinite(found)
    assert (known == known[0]).all()
    assert known.any() and not known.all()
    assert (found[known] == 1).all()
    assert part_levels(np.ones((0, 28, 28), np.float32), SPEC).shape == (0, len(PARTS))

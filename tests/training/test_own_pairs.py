from __future__ import annotations

import numpy as np
import pytest

from tests.forge.mesh import astronaut_crop
from vidscan.training.own_pairs import FORGED_SPEC, PairMaker, PairRecipe


def faces(count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    made = [
        astronaut_crop(FORGED_SPEC.size, 0.75, tuple(rng.uniform(-6, 6, 2))).astype(np.float32) * gain
        for gain in np.linspace(0.8, 1.0, count)
    ]
    return np.clip(np.stack(made), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", sorted(PairRecipe().mix))
def test_the_sides_of_a_pair_differ_in_the_face_more_than_around_it(kind: str) -> None:
    maker = PairMaker(PairRecipe(mix={kind: 1.0}))
    found, genuine, forged = maker.make(faces(), ["a", "b", "c"])
    assert found == kind
    assert genuine.shape == forged.shape == (3, 224, 224, 3)
    change = np.abs(genuine.astype(int) - forged.astype(int)).mean((0, 3))
    around = np.concatenate([change[:12].ravel(), change[-12:].ravel(), change[:, :12].ravel()])
    assert change[60:190, 60:165].mean() > 1.5 * around.mean()


def test_the_same_names_give_the_same_pairs() -> None:
    first = PairMaker(PairRecipe()).make(faces(), ["a", "b", "c"])
    again = PairMaker(PairRecipe()).make(faces(), ["a", "b", "c"])
    other = PairMaker(PairRecipe(seed=1)).make(faces(), ["a", "b", "c"])
    assert first[0] == again[0]
    assert np.array_equal(first[2], again[2])
    assert not np.array_equal(first[1], other[1])


def test_an_unknown_forgery_is_refused() -> None:
    with pytest.raises(ValueError, match="no such forgery: magic"):
        PairMaker(PairRecipe(mix={"magic": 1.0}))

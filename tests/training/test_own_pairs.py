from __future__ import annotations

import numpy as np
import pytest

from tests.forge.mesh import astronaut_crop
from vidscan.training.degrade import Degradation
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
    made = maker.make(faces(), ["a", "b", "c"])
    assert made.kind == kind
    assert made.genuine.shape == made.forged.shape == (3, 224, 224, 3)
    change = np.abs(made.genuine.astype(int) - made.forged.astype(int)).mean((0, 3))
    around = np.concatenate([change[:12].ravel(), change[-12:].ravel(), change[:, :12].ravel()])
    assert change[60:190, 60:165].mean() > 1.5 * around.mean()


def test_the_same_names_give_the_same_pairs() -> None:
    first = PairMaker(PairRecipe()).make(faces(), ["a", "b", "c"])
    again = PairMaker(PairRecipe()).make(faces(), ["a", "b", "c"])
    other = PairMaker(PairRecipe(seed=1)).make(faces(), ["a", "b", "c"])
    assert first.kind == again.kind
    assert np.array_equal(first.forged, again.forged)
    assert not np.array_equal(first.genuine, other.genuine)


def test_a_mask_lies_where_its_pair_differs() -> None:
    # Nothing but the forgery may differ, so that every difference is the mask's.
    plain = Degradation(light=0, blur=0, noise=0, h264=0, h265=0, jpeg=0, grey=0, again=0)
    names = [f"face {n}" for n in range(8)]  # some are turned, some are not
    made = PairMaker(PairRecipe(mix={"mouth": 1.0}, degradation=plain, side=(264, 264))).make(faces(8), names)
    assert made.masks.shape == (8, 224, 224)
    assert 0 <= made.masks.min() <= made.masks.max() <= 1
    for genuine, forged, mask in zip(made.genuine, made.forged, made.masks, strict=True):
        change = np.abs(genuine.astype(int) - forged.astype(int)).mean(-1)
        assert (mask > 0.5).any()
        assert change[mask == 0].max() == 0
        assert change[mask > 0.5].mean() > 1


def test_an_unknown_forgery_is_refused() -> None:
    with pytest.raises(ValueError, match="no such forgery: magic"):
        PairMaker(PairRecipe(mix={"magic": 1.0}))

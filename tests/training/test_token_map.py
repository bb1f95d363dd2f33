from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch

from vidscan.errors import SetupError
from vidscan.training.corpus import Entry
from vidscan.training.descriptions import PairTokens, draw_patches
from vidscan.training.token_map import fit_token_map, mask_scale

TAPS, WIDTH = 2, 8


def tokens(count: int = 3000) -> tuple[PairTokens, np.ndarray]:
    """Patches that are altered where their third number is high; those that are not stand for ten each."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, TAPS * WIDTH)).astype(np.float16)
    altered = features[:, 2] + 0.3 * rng.normal(size=count) > 0.7
    taught = np.ones(count, np.bool_)
    taught[::7] = False
    owners = [cast(Entry, None)] * count
    stands_for = np.where(altered, 1.0, 10.0).astype(np.float32)
    return PairTokens(owners, features, altered, taught, stands_for), rng.integers(0, 5, count)


def test_the_head_finds_what_marks_altered_patches_and_masks_overlap_best_at_even_odds() -> None:
    found, parts = tokens()
    made = fit_token_map(found, parts, TAPS)
    assert made.weight.shape == (TAPS, WIDTH)
    weight = made.weight.numpy().ravel()
    assert weight.argmax() == 2
    assert np.delete(np.abs(weight), 2).max() < 0.2 * weight[2]
    said = found.features.astype(np.float32) @ weight + float(made.bias)
    counts = found.stands_for

    def overlap(at: float) -> float:
        marked = said >= at
        both = counts[marked & found.altered].sum()
        return float(both / (counts[found.altered].sum() + counts[marked].sum() - both))

    best = max(overlap(at) for at in np.linspace(said.min(), said.max(), 300))
    assert overlap(made.scale.even) > best - 0.03
    assert made.scale.slope > 0


def test_the_scale_is_that_of_people_whom_a_head_never_saw() -> None:
    # Within each part one number tells what is altered, which means nothing in the others: a head that has
    # seen everybody is sure, heads that left a part out say next to nothing of it.
    found, parts = tokens()
    features = found.features.copy()
    features[:, :5] = 0
    features[np.arange(len(parts)), parts] = np.where(found.altered, 3, -3)
    known = fit_token_map(replace(found, features=features), parts, TAPS)
    seen = features.astype(np.float32) @ known.weight.numpy().ravel() + float(known.bias)
    assert abs(known.scale.even) < 0.2 * mask_scale(seen, found.altered, found.stands_for).even


def test_what_is_not_clear_teaches_nothing() -> None:
    found, parts = tokens()
    wrong = replace(found, altered=np.where(found.taught, found.altered, ~found.altered))
    assert torch.equal(fit_token_map(found, parts, TAPS).weight, fit_token_map(wrong, parts, TAPS).weight)


def test_too_few_pairs_are_told() -> None:
    found, parts = tokens(40)
    with pytest.raises(SetupError, match="too few own pairs"):
        fit_token_map(found, np.zeros_like(parts), TAPS)


def test_patches_of_a_pair_by_hand() -> None:
    mask = np.zeros((224, 224), np.float32)
    mask[14:28, 28:42] = 0.4  # patch (1, 2), blended in faintly
    mask[14:28, 42:46] = 0.4  # a little of the next one
    forged, beside, between, twin, again = draw_patches(mask, np.random.default_rng(0))
    assert (forged.places.tolist(), forged.of) == ([18], 1)
    assert forged.forged and forged.taught and forged.altered.all()
    assert (between.places.tolist(), between.of) == ([19], 1)
    assert not between.taught and not between.altered.any()
    assert len(beside.places) == len(twin.places) == 20
    assert (beside.of, twin.of, again.of) == (254, 256, 0)
    assert not {18, 19} & {*beside.places.tolist()}
    assert again.places.tolist() == [18]
    assert not (twin.forged or again.forged or twin.altered.any() or again.altered.any())


def test_a_mask_scale_by_hand() -> None:
    odds = np.array([3.0, 2.0, 1.0, 0.0, -1.0])
    altered = np.array([True, False, True, False, False])
    # Marked down to 3: 4 / 5. Down to 2: 4 / 6. Down to 1: 5 / 6. Further down only misses grow.
    counts = np.array([4.0, 1.0, 1.0, 1.0, 1.0])
    scale = mask_scale(odds, altered, counts)
    assert scale.even == 1.0
    assert scale.smooth == 0.0
    # What stands for nothing moves nothing.
    more = mask_scale(np.append(odds, 9.0), np.append(altered, False), np.append(counts, 0.0))
    assert (more.even, more.slope) == pytest.approx((scale.even, scale.slope))
    heavier = mask_scale(odds, altered, np.array([4.0, 3.0, 1.0, 1.0, 1.0]))
    assert heavier.even == 3.0

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score, roc_auc_score

from vidscan.batch.engine import Identity
from vidscan.evaluation.mask_scores import (
    NO_MASK,
    Comparison,
    load_exact_masks,
    load_scores,
    overlap,
    pixel_auc,
    pointing,
    region_px,
    save_exact_masks,
    scores_path,
)
from vidscan.types import FaceMap, FrameMaps, ModelRef, ScanSettings


def region(probability: np.ndarray, x: float = 0.0, y: float = 0.0, side: int = 8) -> FaceMap:
    """A crop of ``side`` frame pixels whose corner is at (x, y)."""
    return FaceMap(0, probability.astype(np.float32), np.array([[1.0, 0, -x], [0, 1, -y]]), side)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlap_is_the_jaccard_index(seed: int) -> None:
    a, b = np.random.default_rng(seed).random((2, 5, 7)) > 0.5
    b[0, 0] = True
    assert overlap(a, b) == pytest.approx(jaccard_score(b.ravel(), a.ravel()))


def test_overlap_by_hand() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert overlap(a, b) == 1.0
    a[:2], b[1:3] = True, True
    assert overlap(a, b) == pytest.approx(4 / 12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pixel_auc_is_that_of_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, forged = rng.integers(0, 256, 60) // 32 * 32, rng.random(60) > 0.4
    forged[:2] = [True, False]
    counts = [np.bincount(values[forged == side], minlength=256) for side in (False, True)]
    assert pixel_auc(*counts) == pytest.approx(roc_auc_score(forged, values))


def test_pixel_auc_needs_both_sides() -> None:
    counts = np.ones(256, np.int64)
    assert pixel_auc(counts, 0 * counts) is None
    assert pixel_auc(0 * counts, counts) is None


def test_pointing_by_hand() -> None:
    mask, exact = np.zeros((3, 3), np.uint8), np.zeros((3, 3), bool)
    exact[0] = True
    assert pointing(mask, exact) == 0.0  # nothing is hot
    mask[0, 1] = 9
    assert pointing(mask, exact) == 1.0
    mask[2, 2] = 9  # a tie: one of two
    assert pointing(mask, exact) == 0.5
    mask[2, 2] = 10
    assert pointing(mask, exact) == 0.0


def test_a_clip_by_hand() -> None:
    """A crop over columns 4..11 of a 16 x 8 frame; its left half is suspected, columns 4..9 are forged."""
    exact = np.zeros((3, 8, 16), bool)
    exact[:2, :, 4:10] = True
    probability = np.zeros((8, 8))
    probability[:, :4] = 0.9
    sink = Comparison(exact)
    for index, carried in ((0, False), (1, True), (2, False)):
        sink.write(FrameMaps(index, index / 25, (8, 16), (region(probability, x=4),), carried))
    scores = sink.scores
    assert scores.frames == 1  # one was carried over, one has nothing forged
    assert scores.iou == pytest.approx(4 / 6)
    assert scores.pointing == 1.0
    # forged: 4 columns found, 2 not; genuine: 2 columns in the crop, 8 more in the frame, none found
    assert scores.face_auc == pytest.approx((4 * 1 + 2 * 0.5) / 6)
    assert scores.frame_auc == pytest.approx((4 * 1 + 2 * 0.5) / 6)


def test_outside_the_crop_counts_in_the_frame_only() -> None:
    exact = np.zeros((1, 8, 16), bool)
    exact[:, :, :8] = True
    sink = Comparison(exact)
    sink.write(FrameMaps(0, 0.0, (8, 16), (region(np.full((8, 8), 0.9)),), False))
    assert sink.scores.face_auc is None  # the crop is forged wholly
    assert sink.scores.frame_auc == 1.0


def test_padded_frames_are_larger_than_their_masks() -> None:
    exact = np.ones((1, 7, 15), bool)
    sink = Comparison(exact)
    sink.write(FrameMaps(0, 0.0, (8, 16), (region(np.ones((8, 8))),), False))
    assert sink.scores.iou == pytest.approx(56 / (105 + 8))


def test_no_frames_no_mask() -> None:
    assert Comparison(np.ones((1, 4, 4), bool)).scores == NO_MASK


def test_exact_masks_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 101, (5, 13)).astype(np.uint8) for _ in range(3)]
    masks[0][0, 0] = 100
    save_exact_masks(tmp_path / "c.mp4", masks)
    assert np.array_equal(load_exact_masks(tmp_path / "c.mp4"), np.stack(masks) > 50)
    assert [p.name for p in tmp_path.iterdir()] == ["c.masks.npz"]


def test_the_size_of_a_region_is_that_of_a_square(tmp_path: Path) -> None:
    masks = [np.zeros((20, 30), np.uint8) for _ in range(3)]
    masks[0][:4, :4] = masks[1][:2, :18] = 255
    save_exact_masks(tmp_path / "c.mp4", masks)
    assert region_px(tmp_path / "c.mp4") == pytest.approx(
        5.0
    )  # 4 and 6; the frame without counts for nothing


def test_scores_are_kept_by_models_and_settings(tmp_path: Path) -> None:
    one = Identity(ScanSettings(), "cpu", (ModelRef("a", "1"), ModelRef("b", "2")))
    same = replace(one, device="cuda", models=one.models[::-1])
    others = [
        replace(one, models=(ModelRef("a", "3"),)),
        replace(one, settings=ScanSettings(analysis_fps=7.0)),
    ]
    clip = tmp_path / "c.mp4"
    assert scores_path(clip, one) == scores_path(clip, same)
    assert len({scores_path(clip, i) for i in (one, *others)}) == 3
    assert load_scores(scores_path(clip, one)) == NO_MASK

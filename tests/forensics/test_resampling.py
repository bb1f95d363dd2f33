"""Patches and regions whose resampling is known."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.transform import radon as reference_radon

from vidscan.errors import SetupError, WeightsError
from vidscan.forensics.material import Material
from vidscan.forensics.resampling import KIND, LearnedResamplingMap, Resampling, segment
from vidscan.forensics.resampling_features import ANGLES, CHARACTERISTICS, PATCH, features, patch_grid, radon
from vidscan.media.writer import write_png
from vidscan.models import register
from vidscan.training.forensics.resampling import (
    ResamplingRecipe,
    learn_resampling,
    make_patches,
    pristine,
    resampled,
)


def texture(side: int, seed: int) -> np.ndarray:
    """A picture with detail up to the finest frequency, as sensors deliver it."""
    rng = np.random.default_rng(seed)
    coarse = cv2.GaussianBlur(rng.normal(size=(side, side, 3)).astype(np.float32), (0, 0), 4) * 120
    return np.clip(128 + coarse + rng.normal(0, 9, (side, side, 3)), 0, 255).astype(np.uint8)


def test_the_radon_transform_is_scikit_images() -> None:
    picture = np.random.default_rng(0).random((PATCH, PATCH)).astype(np.float32)
    found = radon(torch.from_numpy(picture)[None])[0].numpy()
    middle = np.arange(PATCH) - PATCH // 2
    inside = picture * (np.hypot(*np.meshgrid(middle, middle)) <= PATCH // 2)
    wanted = reference_radon(inside, np.arange(ANGLES) * 180 / ANGLES, circle=True).T
    assert found == pytest.approx(wanted, abs=0.35)
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.999


def test_enlarging_leaves_its_period_in_the_features() -> None:
    """At one and a half times the size, every third pixel lies between two others: a peak at 64 / 3."""
    plain = np.stack([texture(160, n)[:PATCH, :PATCH, 1] for n in range(6)])
    large = np.stack(
        [
            resampled(texture(160, n), factor=1.5, interpolation=cv2.INTER_LINEAR)[:PATCH, :PATCH, 1]
            for n in range(6)
        ]
    )
    before, after = (features(p).reshape(6, ANGLES, PATCH // 2) for p in (plain, large))
    for axis in (0, ANGLES // 2):
        peak = after[:, axis].argmax(1) + 1
        assert ((peak == 21) | (peak == 22)).all()
        assert after[:, axis, 20].mean() > before[:, axis, 20].mean() + 1


def test_pictures_are_turned_clockwise() -> None:
    picture = np.zeros((101, 101, 3), np.uint8)
    picture[20:24, 48:53] = 255  # above the middle
    turned = resampled(picture, degrees=90, side=101)
    y, x = np.argwhere(turned[..., 0] > 128).mean(0)
    assert x > 75 and abs(y - 50) < 2


def test_labels_are_what_was_done() -> None:
    pictures = [texture(300, n) for n in range(4)]
    patches, labels, owner = make_patches(pictures, ResamplingRecipe(per_picture=30))
    assert patches.shape == (120, PATCH, PATCH) and labels.shape == (120, 6)
    assert (np.bincount(owner) == 30).all()
    assert (labels[:, 1:].sum(1) <= 1).all()
    assert 0.15 < (labels[:, 1:].sum(1) == 0).mean() < 0.45
    assert labels.any(0).all()
    again = make_patches(pictures, ResamplingRecipe(per_picture=30))[0]
    assert (again == patches).all()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    pictures = [texture(300, n) for n in range(20)]
    recipe = ResamplingRecipe(per_picture=24, passes=25, learned_passes=6, uncoded=1.0)
    learnt = learn_resampling(pictures, recipe)
    register(
        folder,
        "resampling",
        learnt.tensors,
        {"kind": KIND, "judged": learnt.judged, "recipe": asdict(recipe)},
    )
    return folder


def test_both_networks_tell_enlarged_patches(weights: Path) -> None:
    from vidscan.models import load_registry

    judged = load_registry(weights).get(KIND).settings["judged"]
    assert judged["radon"]["enlarged"] > 0.85
    assert judged["learned"]["enlarged"] > 0.85
    assert set(judged["radon"]) == set(CHARACTERISTICS[1:])  # nothing was coded


def spliced(folder: Path) -> Path:
    """A picture into which a quarter was pasted that had been enlarged."""
    picture = texture(448, 90)
    picture[224:, 224:] = resampled(texture(448, 91), factor=1.7, interpolation=cv2.INTER_LINEAR, side=224)
    write_png(folder / "spliced.png", picture)
    return folder / "spliced.png"


@pytest.mark.parametrize("made", [Resampling, LearnedResamplingMap])
def test_a_pasted_region_is_marked(
    made: type[Resampling], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(weights))
    instrument = made()
    found = instrument.examine(Material(spliced(tmp_path)))
    assert found.status == "ok" and found.score is not None and found.score > 0.35
    assert found.map is not None and found.map.shape == (56, 56)
    where = np.zeros((56, 56), bool)
    where[28:, 28:] = True
    inside, outside = found.map[where].mean(), found.map[~where].mean()
    assert inside > 0.5 and inside > outside + 0.4
    assert "differs from the rest" in found.message

    write_png(tmp_path / "small.png", texture(60, 1))
    assert instrument.examine(Material(tmp_path / "small.png")).code == "too_small"


def test_two_sides_that_differ_become_a_mask_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.05, 0.25, (30, 40))
    mask, contrast = segment(probability)
    assert not mask.any() and contrast < 0.35
    probability[5:15, 10:20] += 0.6
    mask, contrast = segment(probability)
    assert contrast == pytest.approx(0.6, abs=0.05)
    where = np.zeros(mask.shape, bool)
    where[5:15, 10:20] = True
    assert (mask == where).mean() > 0.97
    scattered = probability.copy()
    scattered[::6] += 0.6
    assert not segment(scattered)[0].any()
    # Where all but a region has the trace, the region is what stands out.
    inverse, _ = segment(1 - probability)
    assert (inverse == where).mean() > 0.97


def test_patches_cover_the_picture() -> None:
    rows, columns = patch_grid((1080, 1920))
    assert len(rows) * len(columns) <= 1000
    assert rows[0] == columns[0] == 0
    assert 1080 - (rows[-1] + PATCH) < rows[1] and 1920 - (columns[-1] + PATCH) < columns[1]
    assert [len(part) for part in patch_grid((63, 500))] == [0, 0]


def test_halving_leaves_no_period(tmp_path: Path) -> None:
    write_png(tmp_path / "large.png", texture(500, 3))
    picture = pristine(tmp_path / "large.png")
    assert picture is not None and picture.shape == (250, 250, 3)
    write_png(tmp_path / "small.png", texture(270, 3))
    assert pristine(tmp_path / "small.png") is None
    assert pristine(tmp_path / "none.png") is None


def test_too_few_pictures_and_foreign_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="too few"):
        learn_resampling([texture(300, 0)], ResamplingRecipe())
    register(tmp_path, "resampling", {"radon.x": torch.zeros(1)}, {"kind": KIND, "judged": {"radon": {}}})
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path))
    write_png(tmp_path / "picture.png", texture(200, 0))
    with pytest.raises(WeightsError, match="do not fit"):
        Resampling().examine(Material(tmp_path / "picture.png"))

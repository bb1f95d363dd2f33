"""Degradation: one draw treats both sides alike, and masks follow their pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.forge.mesh import astronaut_crop
from vidscan.training.degrade import (
    PILLOW_CHROMA,
    Degradation,
    Geometry,
    blur,
    degrade,
    draw_coder,
    draw_geometry,
    jpeg,
    look,
)

QUIET = Degradation(light=0, blur=0, noise=0, h264=0, h265=0, jpeg=0, again=0)
"""No codec and no other change but, rarely, to gray."""


def coarse(images: np.ndarray, *, codec: str, crf: int, preset: str) -> np.ndarray:
    """A repeatable stand-in for an encoder: gray levels in steps of ``crf``."""
    assert codec == "libx264"
    assert preset
    return images // crf * crf


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return astronaut_crop(160)


@pytest.mark.parametrize(
    "degradation",
    [
        QUIET,
        Degradation(light=1, blur=1, noise=1, h264=0, h265=0, jpeg=0, again=0),
        Degradation(h264=0, h265=0, jpeg=1),
        Degradation(h264=1, h265=0, jpeg=0),
    ],
    ids=["nothing", "light and noise", "jpeg", "h264"],
)
def test_the_same_draw_gives_the_same_picture(
    picture: np.ndarray, degradation: Degradation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # x264 itself may code a few blocks otherwise from run to run: what it is asked for is compared.
    monkeypatch.setattr("vidscan.training.degrade.reencode", coarse)
    for seed in range(3):
        first, again = (degrade(picture, np.random.default_rng(seed), degradation, 112) for _ in range(2))
        assert first.shape == (112, 112, 3)
        assert first.dtype == np.uint8
        assert np.array_equal(first, again)
    other = degrade(picture, np.random.default_rng(99), degradation, 112)
    if degradation is not QUIET:
        assert not np.array_equal(first, other)


def test_one_draw_treats_two_sides_alike(picture: np.ndarray) -> None:
    """Light, blur and noise must not tell the two sides apart outside of the forgery."""
    forged = picture.copy()
    forged[60:90, 60:90] = 255 - forged[60:90, 60:90]
    loud = Degradation(light=1, blur=1, noise=1, h264=0, h265=0, jpeg=0, again=0)
    for seed in range(4):
        sides = [
            degrade(side, np.random.default_rng(seed), loud, 160).astype(int) for side in (picture, forged)
        ]
        difference = np.abs(sides[0] - sides[1])
        assert difference[:45].max() == 0
        assert difference[:, 105:].max() == 0
        assert difference[65:85, 65:85].mean() > 10


def test_codecs_draw_alike_for_both_sides(picture: np.ndarray) -> None:
    """The generator stands at the same place afterwards, whatever the picture was."""
    for seed in range(6):
        generators = [np.random.default_rng(seed) for _ in range(2)]
        for image, rng in zip((picture, np.zeros_like(picture)), generators, strict=True):
            degrade(image, rng, Degradation(h264=0.3, h265=0.0), 96)
        assert generators[0].random() == generators[1].random()


def test_stronger_compression_loses_more(picture: np.ndarray) -> None:
    def loss(**ranges: tuple[int, int]) -> float:
        chosen = {"h264": 1.0} if "crf" in ranges else {"h264": 0.0, "jpeg": 1.0}
        values = {"light": 0, "blur": 0, "noise": 0, "h265": 0, "jpeg": 0, "again": 0} | chosen | ranges
        out = degrade(picture, np.random.default_rng(1), Degradation(**values), 160)  # type: ignore[arg-type]
        return float(np.abs(out.astype(int) - picture).mean())

    assert loss(crf=(18, 18)) < loss(crf=(38, 38))
    assert loss(quality=(95, 95)) < loss(quality=(20, 20))


def test_jpeg_by_either_library(picture: np.ndarray) -> None:
    drawn = [draw_coder(rng) for rng in [np.random.default_rng(0)] for _ in range(300)]
    assert 0.4 < drawn.count("opencv") / len(drawn) < 0.6
    assert set(drawn) == {"opencv", *PILLOW_CHROMA}
    done = {coder: jpeg(picture, 60, coder).astype(int) for coder in ("opencv", *PILLOW_CHROMA)}
    for out in done.values():
        assert out.shape == picture.shape
        assert 0.5 < np.abs(out - picture).mean() < 8  # lossy, and the colors are in their order
    assert np.abs(done["4:2:0"] - done["opencv"]).mean() < 0.5
    red = np.zeros((64, 64, 3), np.uint8)
    red[:, ::2] = (255, 0, 0)
    sharp, soft = (float(jpeg(red, 95, c)[..., 0].std()) for c in ("4:4:4", "4:2:0"))
    assert sharp > 1.2 * soft  # fine color is what subsampling costs


def test_blur_has_its_range(picture: np.ndarray) -> None:
    assert np.array_equal(blur(picture, 0.0), picture)
    always = {"light": 0, "noise": 0, "h264": 0, "h265": 0, "jpeg": 0, "again": 0, "grey": 0, "blur": 1}

    def detail(sigma: tuple[float, float]) -> float:
        out = degrade(picture, np.random.default_rng(0), Degradation(**always, blur_sigma=sigma), 160)
        return float(cv2.Laplacian(out, cv2.CV_32F).std())

    assert detail((0.0, 0.0)) > detail((1.0, 1.0)) > detail((3.0, 3.0))


def test_draw_geometry_keeps_its_ranges() -> None:
    rng = np.random.default_rng(0)
    settings = Degradation(rotation=8, scale=(0.9, 1.1), shift=0.05, side=(90, 250))
    flips = 0
    for _ in range(200):
        geometry = draw_geometry(rng, settings, 352, 192)
        flips += geometry.flip
        assert 89 <= geometry.side <= 250
        linear = geometry.to_view[:, :2]
        scale = np.sqrt(np.linalg.det(linear))
        assert 0.9 <= scale * 192 / geometry.side <= 1.1
        assert abs(np.degrees(np.arctan2(linear[0, 1], linear[0, 0]))) <= 8.001
        centre = geometry.to_view @ [175.5, 175.5, 1]
        assert np.abs(centre - (geometry.side - 1) / 2).max() <= 0.05 * geometry.side + 1e-6
    assert 60 < flips < 140


@pytest.mark.parametrize("flip", [False, True])
def test_a_mask_goes_where_its_picture_goes(flip: bool) -> None:
    rng = np.random.default_rng(4)
    for _ in range(6):
        geometry = draw_geometry(rng, Degradation(), 264, 192)
        geometry = Geometry(geometry.to_view, geometry.side, flip)
        mask = np.zeros((264, 264), np.float32)
        cv2.circle(mask, (150, 110), 30, 1.0, -1)
        image = np.repeat(mask[..., None] * 255, 3, 2)
        seen_mask, seen_image = look(mask, geometry), look(image, geometry)
        assert seen_mask.shape == (geometry.side, geometry.side)
        assert seen_image.shape == (geometry.side, geometry.side, 3)
        np.testing.assert_allclose(seen_mask * 255, seen_image[..., 0], atol=0.6)
        x, y = geometry.to_view @ [150, 110, 1]
        x = geometry.side - 1 - x if flip else x
        assert seen_mask[round(y), round(x)] > 0.95


def test_look_by_hand_and_without_aliasing() -> None:
    image = np.arange(64.0, dtype=np.float32)[None].repeat(64, 0)
    same = look(image, Geometry(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, False))
    np.testing.assert_allclose(same, image, atol=1e-3)
    flipped = look(image, Geometry(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, True))
    np.testing.assert_allclose(flipped, image[:, ::-1], atol=1e-3)
    stripes = np.zeros((240, 240), np.float32)
    stripes[:, ::2] = 255
    small = look(stripes, Geometry(np.array([[0.3, 0, 0], [0, 0.3, 0]]), 72, False))
    assert small[8:-8, 8:-8].std() < 12  # fine stripes fade to gray, they do not fold into coarse ones

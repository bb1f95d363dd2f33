"""The real detail of crops: pictures whose power falls as natural ones' does, shrunk and enlarged again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from vidscan.faces.geometry import CropSpec
from vidscan.patches.detail import detail_px

SPEC = CropSpec(size=224, margin=1.2)
FACE = SPEC.size / SPEC.margin


def natural(seed: int, size: int = 224) -> np.ndarray:
    """(size, size, 3) uint8 picture whose amplitude falls with frequency."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) / frequency
    field = np.fft.irfft2(spectrum, s=(size, size))
    grey = np.clip(128 + 45 * (field - field.mean()) / field.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def of(*pictures: np.ndarray, spec: CropSpec = SPEC) -> np.ndarray:
    return detail_px(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float(), spec)


def enlarged(picture: np.ndarray, face_px: float, how: int = cv2.INTER_CUBIC) -> np.ndarray:
    """The picture as if its face had been so many pixels wide, enlarged to what it was."""
    size = picture.shape[0]
    small = round(size * face_px * SPEC.margin / size)
    shrunk = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (size, size), interpolation=how))


@pytest.mark.parametrize("how", [cv2.INTER_CUBIC, cv2.INTER_LANCZOS4], ids=["cubic", "lanczos"])
@pytest.mark.parametrize("face_px", [24, 32, 48, 64, 96])
def test_an_enlarged_face_is_told_by_what_it_was(face_px: int, how: int) -> None:
    found = of(*(enlarged(natural(seed), face_px, how) for seed in range(6)))
    assert found == pytest.approx(np.full(6, face_px), rel=0.12)


def test_a_picture_that_was_never_enlarged_has_all_its_detail() -> None:
    found = of(*(natural(seed) for seed in range(6)))
    assert found == pytest.approx(np.full(6, FACE / 1.5), rel=0.05)


def test_coding_noise_is_no_detail() -> None:
    for quality in (60, 85):
        small = [enlarged(natural(seed), 24) for seed in range(6)]
        coded = [cv2.imdecode(cv2.imencode(".jpg", p, [1, quality])[1], 1) for p in small]
        assert of(*coded) == pytest.approx(np.full(6, 24), rel=0.15)


def test_neither_brightness_nor_contrast_counts() -> None:
    picture = enlarged(natural(1), 50).astype(np.float32)
    whole, dim = of(picture), of(0.25 * picture + 20)
    assert dim == pytest.approx(whole, rel=1e-3)


def test_each_crop_is_told_by_itself_whatever_its_size() -> None:
    mixed = [natural(0), enlarged(natural(1), 24), enlarged(natural(2), 64)]
    assert of(*mixed) == pytest.approx(np.concatenate([of(one) for one in mixed]), rel=1e-4)
    larger = [cv2.resize(one, (320, 320), interpolation=cv2.INTER_CUBIC) for one in mixed[1:]]
    spec = CropSpec(size=320, margin=1.2)
    assert of(*larger, spec=spec) == pytest.approx(of(*mixed[1:]), rel=0.2)


def test_a_blank_crop_gives_a_number() -> None:
    assert np.isfinite(of(np.full((224, 224, 3), 128, np.uint8))).all()
    assert of(np.zeros((1, 224, 224, 3), np.uint8)[0]).shape == (1,)

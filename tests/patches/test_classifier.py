"""The classifier: its registry record decides, and a crop's score is its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.patches.fixture_weights import random_network, register_patches
from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec
from vidscan.fusion import fuse_batch_norm
from vidscan.models import ModelRecord, load_registry, register
from vidscan.patches.classifier import PatchClassifier, crop_quality, normalise
from vidscan.patches.networks import ARCHITECTURES, PatchNetwork
from vidscan.patches.pooling import pool
from vidscan.types import Face


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> ModelRecord:
    return register_patches(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    from skimage.data import astronaut

    picture = astronaut()
    cuts = [
        picture[y : y + 96, x : x + 96] for y, x in ((60, 170), (100, 180), (300, 100), (10, 400), (200, 0))
    ]
    return torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2).float()


CUTS = {"efficientnet_lite0": (1, 2, 4), "xception": (1, 3, 5), "resnet18": (2, 4)}


@torch.no_grad()
@pytest.mark.parametrize(
    ("architecture", "depth"), [(name, depth) for name in ARCHITECTURES for depth in CUTS[name]]
)
def test_fusing_batch_norm_changes_nothing(architecture: str, depth: int) -> None:
    net = random_network(4, architecture, depth)
    x = torch.randn(2, 3, 75, 75, generator=torch.Generator().manual_seed(0))
    before = net(x)
    fuse_batch_norm(net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    assert float(before.std()) > 1e-3
    assert float((net(x) - before).abs().max() / before.abs().max()) < 1e-4


def test_normalise_by_hand() -> None:
    crops = torch.tensor([0.0, 127.0, 255.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    out = normalise(crops, [127.0, 100.0, 255.0], [128.0, 27.0, 2.0])
    assert out[0, :, 0, 0].tolist() == pytest.approx([-127 / 128, 1.0, 0.0])
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_logits_are_the_network_on_normalised_crops(record: ModelRecord, crops: torch.Tensor) -> None:
    found = PatchClassifier(record).logits(crops)
    with torch.no_grad():
        expected = random_network(1)(normalise(crops, [127.0] * 3, [128.0] * 3))[:, 0]
    assert found.shape == (5, 24, 24)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_preprocessing_comes_from_the_record(tmp_path: Path, crops: torch.Tensor) -> None:
    plain = PatchClassifier(register_patches(tmp_path / "a")).logits(crops)
    other = PatchClassifier(register_patches(tmp_path / "b", std=[64.0, 64.0, 64.0])).logits(crops)
    assert float((plain - other).abs().max()) > 1e-3
    classifier = PatchClassifier(
        register_patches(tmp_path / "c", crop={"size": 64, "margin": 1.5}, pooling="mean_logit")
    )
    assert classifier.spec == CropSpec(64, 1.5)
    torch.testing.assert_close(classifier.pool(plain), pool(plain, "mean_logit"))


def test_the_same_crops_give_the_same_logits(record: ModelRecord, crops: torch.Tensor) -> None:
    first, again = PatchClassifier(record), PatchClassifier(record)
    assert torch.equal(first.logits(crops), first.logits(crops))
    assert torch.equal(first.logits(crops), again.logits(crops))


def test_a_score_does_not_depend_on_batch_mates(record: ModelRecord, crops: torch.Tensor) -> None:
    together = PatchClassifier(record).logits(crops)
    in_twos = PatchClassifier(record, batch=2).logits(crops)
    alone = torch.cat([PatchClassifier(record).logits(crop[None]) for crop in crops])
    assert float((together - in_twos).abs().max()) < 1e-4
    assert float((together - alone).abs().max()) < 1e-4


def test_maps_bundle_what_belongs_together(record: ModelRecord, crops: torch.Tensor) -> None:
    classifier = PatchClassifier(record)
    logits = classifier.logits(crops)
    transforms = np.arange(30, dtype=float).reshape(5, 2, 3)
    maps = classifier.maps(logits, transforms)
    for i, patch_map in enumerate(maps):
        assert np.array_equal(patch_map.logits, logits[i].numpy())
        assert patch_map.score == pytest.approx(float(pool(logits[i : i + 1], "top_k", 0.25)))
        assert np.array_equal(patch_map.to_crop, transforms[i])
        assert patch_map.crop_size == 96


def test_crops_show_the_face_where_the_template_wants_it(record: ModelRecord) -> None:
    classifier = PatchClassifier(record)
    image = np.full((200, 300, 3), 40, np.uint8)
    points = classifier.spec.points * 0.8 + (120, 60)
    for x, y in points:
        cv2.circle(image, (round(x), round(y)), 3, (250, 250, 250), -1)
    low, high = points.min(0) - 25, points.max(0) + 25
    face = Face(0, 0.0, 0, np.r_[low, high].astype(np.float32), points.astype(np.float32), 1.0, True)
    transforms = classifier.transforms([face, replace(face, frame_index=1)])
    images = np.stack([image, np.zeros_like(image)])
    crops = classifier.crops(images, np.array([0, 1]), transforms)
    assert crops.shape == (2, 3, 96, 96)
    assert float(crops[1].max()) == 0.0
    for x, y in classifier.spec.points:
        assert float(crops[0, :, round(y), round(x)].min()) > 180


# --------------------------------------------------------------------------- unusable weights


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "vgg"},
        {"depth": 2},
        {"depth": 9},
        {"depth": "1"},
        {"pooling": "median"},
        {"crop": {"size": 0, "margin": 1.2}},
        {"crop": 96},
        {"mean": None},
    ],
    ids=str,
)
def test_a_record_that_does_not_fit_is_refused(record: ModelRecord, changes: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="patches-test"):
        PatchClassifier(replace(record, settings=record.settings | changes))


def test_a_record_without_a_setting_is_refused(record: ModelRecord) -> None:
    for key in ("architecture", "depth", "crop", "mean", "std", "pooling", "top_k"):
        settings = {k: v for k, v in record.settings.items() if k != key}
        with pytest.raises(WeightsError, match=key):
            PatchClassifier(replace(record, settings=settings))


def test_missing_and_wrong_weights_are_refused(tmp_path: Path) -> None:
    record = register_patches(tmp_path)
    data = bytearray(record.path.read_bytes())
    data[-1] ^= 1
    record.path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="sha256"):
        PatchClassifier(record)
    record.path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        PatchClassifier(record)


def test_half_precision_weights_are_read_as_float32(tmp_path: Path, crops: torch.Tensor) -> None:
    whole = register_patches(tmp_path)
    expected = PatchClassifier(whole).logits(crops)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in whole.load().items()}
    register(tmp_path, "half", halves, whole.settings)
    found = PatchClassifier(load_registry(tmp_path).get("patches", "half")).logits(crops)
    assert found.dtype == torch.float32
    assert float((found - expected).abs().max()) < 0.05


# --------------------------------------------------------------------------- quality


def test_crop_quality_by_hand() -> None:
    flat = torch.full((3, 64, 64), 90.0)
    board = torch.zeros(64, 64)
    board[::2, ::2] = board[1::2, 1::2] = 100.0
    red = torch.zeros(3, 64, 64)
    red[0] = 200.0
    sharpness, brightness = crop_quality(torch.stack([flat, board.expand(3, -1, -1), red]))
    # on a chequerboard each pixel differs from its four neighbors by 100
    assert sharpness.tolist() == pytest.approx([0, 400, 0], abs=1e-2)
    assert brightness.tolist() == pytest.approx([90, 50, 0.299 * 200], rel=1e-4)


def test_crop_quality_looks_at_the_middle_and_sees_blur(crops: torch.Tensor) -> None:
    framed = crops.clone()
    framed[..., :20, :] = 255.0
    for a, b in zip(crop_quality(crops), crop_quality(framed), strict=True):
        np.testing.assert_allclose(a, b)
    sharpness = [
        crop_quality(
            torch.from_numpy(cv2.GaussianBlur(crops[0].permute(1, 2, 0).numpy(), (0, 0), sigma))
            .permute(2, 0, 1)
            .contiguous()[None]
        )[0][0]
        for sigma in (0.3, 1.0, 3.0)
    ]
    assert sharpness[0] > 1.5 * sharpness[1] > 2 * sharpness[2]


def test_a_head_with_inner_layers_is_loaded(tmp_path: Path, crops: torch.Tensor) -> None:
    network = PatchNetwork("efficientnet_lite0", 1, hidden=(8, 4)).eval()
    torch.nn.init.normal_(network.head[-1].weight)  # type: ignore[index]
    settings = register_patches(tmp_path / "seed").settings
    record = register(tmp_path / "own", "patches-hidden", network.state_dict(), settings | {"hidden": [8, 4]})
    found = PatchClassifier(record).logits(crops)
    with torch.no_grad():
        expected = network(normalise(crops, [127.0] * 3, [128.0] * 3))[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

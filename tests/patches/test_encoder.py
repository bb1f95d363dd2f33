from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.patches.test_vision_transformer import random_encoder
from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec, apply_affine, invert_affine
from vidscan.models import ModelRecord, register
from vidscan.patches.encoder import (
    MEAN,
    REGIONS,
    SPEC,
    STD,
    Encoder,
    EncoderClassifier,
    cells_within,
    describe,
    native_maps,
    native_region_weights,
    region_weights,
    some_region_weights,
)
from vidscan.patches.vision_transformer import PATCH

WIDTH, TAPS = 64, (1, 2)


def register_encoder(
    folder: Path,
    *,
    constant: float | None = None,
    altered: float | None = None,
    native: bool = True,
    seed: int = 3,
) -> ModelRecord:
    """An untrained encoder with two heads for aligned crops, two for ``native`` ones, and that of maps.

    With ``constant`` every crop gets this many deviations, with ``altered`` every patch these log-odds.
    """
    torch.manual_seed(seed)
    size = len(TAPS) * 2 * len(REGIONS) * WIDTH
    weight = torch.zeros(2, size) if constant is not None else torch.randn(2, size) * 0.1
    tensors = dict(random_encoder(TAPS, 16, WIDTH).state_dict())
    tensors |= {"head.weight": weight, "head.bias": torch.full((2,), constant or 0.0)}
    if native:
        other = torch.zeros(2, size) if constant is not None else torch.randn(2, size) * 0.1
        tensors |= {"native.weight": other, "native.bias": torch.full((2,), constant or 0.0)}
    map_weight = torch.randn(len(TAPS), WIDTH) * (altered is None)
    tensors |= {"map.weight": map_weight, "map.bias": torch.tensor(0.5 if altered is None else altered)}
    settings = {
        "kind": "encoder",
        "taps": list(TAPS),
        "crop": asdict(SPEC),
        "mask": {"even": 0.2, "slope": 2.0},
        "mean": list(MEAN),
        "std": list(STD),
    }
    return register(folder, "encoder-test", tensors, settings)


def crops(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, 3, SPEC.size, SPEC.size, generator=generator) * 255


def test_regions_lie_where_the_face_is() -> None:
    weights = region_weights()
    assert weights.shape == (len(REGIONS), 256)
    assert torch.allclose(weights.sum(1), torch.ones(len(REGIONS)))
    places = dict(zip(REGIONS, (weights > 0).reshape(-1, 16, 16), strict=True))
    assert not (places["inner"] & places["border"]).any()
    assert (places["inner"] | places["border"] | places["outside"]).all()
    rows = {name: float(torch.nonzero(place)[:, 0].float().mean()) for name, place in places.items()}
    assert rows["eyes"] < rows["nose"] < rows["mouth"]
    for name in ("mouth", "eyes", "nose"):
        assert (places[name] & places["outside"]).sum() == 0


def test_a_description_is_mean_and_spread_of_the_tokens_of_each_region() -> None:
    tokens = torch.randn(2, 3, 256, 5, generator=torch.Generator().manual_seed(0))
    found = describe(tokens)
    assert found.shape == (2, 3, 2, len(REGIONS), 5)
    mouth = tokens[1, 2][region_weights()[REGIONS.index("mouth")] > 0]
    assert torch.allclose(found[1, 2, 0, REGIONS.index("mouth")], mouth.mean(0), atol=1e-5)
    assert torch.allclose(found[1, 2, 1, REGIONS.index("mouth")], mouth.std(0, correction=0), atol=1e-4)


def test_the_head_that_finds_more_speaks(tmp_path: Path) -> None:
    classifier = EncoderClassifier(register_encoder(tmp_path))
    found = classifier.read(crops(6)).deviations
    described = Encoder(dict(random_encoder(TAPS, 16, WIDTH).state_dict()), TAPS).describe(crops(6))
    each = described.double() @ classifier.weight.double().T + classifier.bias
    assert found == pytest.approx(each.max(1).values.numpy(), abs=1e-3)
    assert np.ptp(found) > 0


def placed(x: float, y: float, side: float, turn: float = 0.0) -> np.ndarray:
    """(1, 2, 3) map to the aligned crop of a face with its middle at ``x``, ``y`` and of ``side`` pixels."""
    scale = SPEC.size / SPEC.margin / side
    turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([turned, 111.5 - turned @ [x, y]])[None]


def test_regions_of_a_native_crop_lie_where_the_face_is() -> None:
    # A face of the aligned crop's own size and place has its regions.
    aligned = placed(200.5, 150.5, 160)
    native = native_maps(aligned, (800, 600))
    weights = native_region_weights(invert_affine(native), aligned)
    assert torch.equal(weights, region_weights()[None])
    # Half as large, and turned: every patch of the mouth lies where the mouth does.
    aligned = placed(400, 300, 80, 0.5)
    native = native_maps(aligned, (800, 600))
    (weights,) = native_region_weights(invert_affine(native), aligned)
    assert torch.allclose(weights.sum(1), torch.ones(len(REGIONS)))
    chosen = torch.nonzero(weights[REGIONS.index("mouth")].reshape(16, 16)).numpy()[:, ::-1]
    in_frame = apply_affine(invert_affine(native), (chosen * PATCH + 6.5)[None])
    in_crop = (apply_affine(aligned, in_frame)[0] + 0.5) / PATCH
    assert 2 <= len(chosen) <= 5  # a quarter of its fifteen patches
    assert ((in_crop > [6, 11]) & (in_crop < [11, 14])).all()


def test_a_region_of_a_tiny_face_is_its_nearest_patch() -> None:
    aligned = placed(400, 300, 12)
    native = native_maps(aligned, (800, 600))
    (weights,) = native_region_weights(invert_affine(native), aligned)
    assert torch.isfinite(weights).all()
    assert (weights[REGIONS.index("nose")] > 0).sum() == 1


def test_descriptions_are_of_each_crop_by_its_own_weights() -> None:
    encoder = Encoder(dict(random_encoder(TAPS, 16, WIDTH).state_dict()), TAPS, batch=2)
    weights = torch.rand(5, len(REGIONS), 256)
    weights /= weights.sum(2, keepdim=True)
    found = encoder.describe(crops(5), weights)
    each = [encoder.describe(crops(5)[i : i + 1], weights[i : i + 1]) for i in range(5)]
    assert torch.allclose(found, torch.cat(each), atol=1e-4)
    assert encoder.describe(crops(5)[:0]).shape == (0, found.shape[1])


def test_native_crops_have_heads_of_their_own(tmp_path: Path) -> None:
    record = register_encoder(tmp_path)
    classifier = EncoderClassifier(record)
    weights = region_weights().expand(3, -1, -1)
    found = classifier.read_native(crops(3), weights)
    described = classifier.encoder.describe(crops(3))
    assert torch.allclose(classifier.encoder.describe(crops(3), weights), described, atol=1e-5)
    each = described @ record.load()["native.weight"].T
    assert found == pytest.approx(each.amax(1).numpy(), abs=1e-3)
    assert found != pytest.approx(classifier.read(crops(3)).deviations, abs=1e-2)
    without = EncoderClassifier(register_encoder(tmp_path / "without", native=False))
    assert classifier.reads_native and not without.reads_native
    with pytest.raises(ValueError, match="no heads for native crops"):
        without.read_native(crops(3), weights)


def test_a_crop_is_judged_alike_alone_and_among_others(tmp_path: Path) -> None:
    classifier = EncoderClassifier(register_encoder(tmp_path))
    together = classifier.read(crops(9))
    for i in (0, 8):
        alone = classifier.read(crops(9)[i : i + 1])
        assert together.deviations[i] == pytest.approx(alone.deviations[0], abs=1e-4)
        assert together.maps[i] == pytest.approx(alone.maps[0], abs=1e-4)


def test_a_map_reads_every_patch_alone(tmp_path: Path) -> None:
    record = register_encoder(tmp_path)
    tensors = record.load()
    found = EncoderClassifier(record).read(crops(2)).maps
    assert found.shape == (2, 16, 16)
    encoder = Encoder(dict(random_encoder(TAPS, 16, WIDTH).state_dict()), TAPS)
    tokens = next(encoder.tokens(crops(2)))  # the third patch of the second row
    assert found[1, 1, 2] == pytest.approx(
        float((tokens[1, :, 18] * tensors["map.weight"]).sum() + 0.5), abs=1e-3
    )


@pytest.mark.parametrize("margin", [1.0, 1.2, 1.4, 1.8])
def test_cells_lie_in_another_crop_where_they_lie_on_the_face(margin: float) -> None:
    spec = CropSpec(size=160, margin=margin)
    cells, grid = cells_within(spec)
    kept = np.arange(16)[cells]
    # Middles of the encoder's patches, in sides of the face from its middle, and back into the other crop.
    on_face = ((kept * 14 + 7) / SPEC.size - 0.5) * SPEC.margin
    in_crop = (on_face / spec.margin + 0.5) * spec.size - 0.5
    assert grid.offset + grid.stride * np.arange(len(kept)) == pytest.approx(in_crop)
    assert in_crop.min() >= -0.5
    assert in_crop.max() <= spec.size - 0.5
    assert len(kept) == min(16, 2 * int((margin / SPEC.margin) * 8 + 0.5))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("head.weight", (7,), "weights"),
        ("head.weight", (2, 7), "weights"),
        ("head.bias", (3,), "2 heads and 3 biases"),
        ("native.weight", (2, 7), "weights"),
        ("native.bias", (3,), "2 heads and 3 biases"),
        ("map.weight", (2, 7), "map"),
        ("map.bias", (3,), "map"),
    ],
)
def test_heads_of_another_size_are_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], message: str
) -> None:
    record = register_encoder(tmp_path)
    tensors = record.load() | {name: torch.zeros(shape)}
    with pytest.raises(WeightsError, match=message):
        EncoderClassifier(register(tmp_path, "encoder-test", tensors, record.settings))


@pytest.mark.parametrize(
    "change", [{"crop": {"size": 224, "margin": 1.2}}, {"mean": None}, {"crop": {}}, {"mask": None}]
)
def test_a_record_of_other_crops_is_refused(tmp_path: Path, change: dict) -> None:
    record = register_encoder(tmp_path)
    with pytest.raises(WeightsError, match="does not fit"):
        EncoderClassifier(register(tmp_path, "encoder-test", record.load(), {**record.settings, **change}))


def test_an_encoder_of_other_depths_is_refused(tmp_path: Path) -> None:
    record = register_encoder(tmp_path)
    with pytest.raises(WeightsError):
        EncoderClassifier(
            register(tmp_path, "encoder-test", record.load(), {**record.settings, "taps": [1, 5]})
        )


def test_some_patches_are_described_as_what_is_left_of_the_regions() -> None:
    tokens = torch.randn(2, 2, 256, 8)
    assert torch.allclose(
        describe(tokens, some_region_weights(torch.arange(256))), describe(tokens), atol=1e-6
    )
    kept = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(256)[:40]))
    found = describe(tokens[:, :, kept], some_region_weights(kept))
    mouth = region_weights()[REGIONS.index("mouth"), kept] > 0
    assert 0 < mouth.sum() < 40
    expected = tokens[:, :, kept][:, :, mouth].mean(2)
    assert torch.allclose(found[:, :, 0, REGIONS.index("mouth")], expected, atol=1e-6)
    # A region of which nothing is left is described as nothing.
    corner = torch.tensor([0, 1])
    assert not describe(tokens[:, :, corner], some_region_weights(corner))[
        :, :, 0, REGIONS.index("mouth")
    ].any()

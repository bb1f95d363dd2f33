from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vidscan.patches.vision_transformer import VisionTransformer, cut, resampled_places, unpacked


def random_encoder(taps: tuple[int, ...] = (1, 2), side: int = 4, width: int = 64) -> VisionTransformer:
    torch.manual_seed(0)
    network = VisionTransformer(taps, side, width)
    for value in network.parameters():
        value.data = torch.randn(value.shape) * 0.1
    return network.eval()


def test_tokens_are_those_of_an_established_implementation() -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(
        "vit_small_patch14_dinov2",
        pretrained=False,
        img_size=56,
        num_classes=0,
        depth=3,
        embed_dim=128,
        num_heads=2,
    ).eval()
    torch.manual_seed(1)
    for value in theirs.parameters():
        value.data = torch.randn(value.shape) * 0.1
    ours = VisionTransformer((1, 3), 4, 128)
    missing = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not missing.missing_keys
    pictures = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        expected = theirs.forward_intermediates(
            pictures, indices=[0, 2], intermediates_only=True, output_fmt="NLC"
        )
        found = ours.eval()(pictures)
    assert found.shape == (2, 2, 16, 128)
    assert torch.allclose(found, torch.stack(expected, 1), atol=1e-4)


def test_matrices_come_back_from_int8_row_by_row() -> None:
    matrix = torch.tensor([[127, -64], [10, 0]], dtype=torch.int8)
    found = unpacked({"a": matrix, "a.scale": torch.tensor([0.5, 2.0]), "b": torch.ones(3).half()})
    assert found["a"].tolist() == [[63.5, -32.0], [20.0, 0.0]]
    assert found["b"].dtype == torch.float32
    assert set(found) == {"a", "b"}


def test_a_cut_encoder_reads_what_the_whole_one_reads() -> None:
    whole = random_encoder((1, 2, 3))
    part = VisionTransformer((1, 2), 4, 64)
    part.load_state_dict(unpacked(cut(whole.state_dict(), (1, 2), 4)))
    pictures = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.allclose(part(pictures), whole(pictures)[:, :2], atol=1e-5)


def test_places_are_resampled_as_a_picture_is() -> None:
    places = torch.randn(1, 1 + 36, 8)
    assert torch.allclose(resampled_places(places, 6), places, atol=1e-5)
    smaller = resampled_places(places, 3)
    grid = places[0, 1:].T.reshape(1, 8, 6, 6)
    expected = functional.interpolate(grid, size=(3, 3), mode="bicubic", antialias=True)
    assert torch.equal(smaller[:, :1], places[:, :1])
    assert torch.allclose(smaller[0, 1:].T.reshape(1, 8, 3, 3), expected, atol=1e-5)

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vidscan.patches.vision_transformer import VisionTransformer, cut, packed, resampled_places, unpacked


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


def test_packed_matrices_are_off_by_half_a_step_at_most() -> None:
    tensors = dict(random_encoder().state_dict())
    tensors["blocks.0.mlp.fc1.weight"][3] = 0  # a row of zeros has no step
    stored = packed(tensors)
    back = unpacked(stored)
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        matrix = stored[name].dtype == torch.int8
        assert matrix == (value.ndim > 1 and name.endswith(".weight")), name
        half = stored[f"{name}.scale"].view(-1, *[1] * (value.ndim - 1)) / 2 if matrix else 0
        assert ((back[name] - value).abs() <= half + 1e-7).all(), name
    # What was int8 already stays to the bit.
    assert all(
        torch.equal(stored[name], value) for name, value in packed(back).items() if "scale" not in name
    )


def test_an_encoder_that_looks_at_some_patches_has_their_tokens() -> None:
    network, pictures = random_encoder(), torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        whole = network(pictures)
        assert torch.allclose(network(pictures, torch.arange(16)), whole, atol=1e-5)
        turned = network(pictures, torch.tensor([5, 0, *range(1, 5), *range(6, 16)]))
        assert torch.allclose(turned[:, :, 0], whole[:, :, 5], atol=1e-5)
        # What is not looked at says nothing.
        some = torch.tensor([3, 4, 9])
        other = pictures.clone()
        other[:, :, 42:, 42:] += 1  # patch 15
        assert torch.equal(network(pictures, some), network(other, some))

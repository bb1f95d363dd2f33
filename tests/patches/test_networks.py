"""Truncated networks: equal to the models they are cut from, local, of the documented geometry."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.patches.fixture_weights import random_network
from vidscan.patches.networks import ARCHITECTURES, EfficientNetLite0, PatchNetwork, ResNet18
from vidscan.patches.xception import WholeXception, Xception, XceptionBlock

STRIDES = {1: 4, 2: 8, 3: 16, 4: 16}
FIELDS = {1: 19, 2: 67, 3: 147, 4: 339}


def shake_norms(module: nn.Module) -> None:
    """Give every batch norm statistics of its own, so that none may be left out or mixed up."""
    generator = torch.Generator().manual_seed(3)
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            count = child.num_features
            child.running_mean = torch.randn(count, generator=generator) * 0.1
            child.running_var = torch.rand(count, generator=generator) + 0.5
            child.weight.data = torch.rand(count, generator=generator) + 0.5
            child.bias.data = torch.randn(count, generator=generator) * 0.1


@pytest.fixture(scope="module")
def timm_lite() -> nn.Module:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    shake_norms(net)
    return net


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (61, 79)], ids=["even", "odd"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_efficientnet_lite_is_timm_cut_short(timm_lite: nn.Module, depth: int, size: tuple[int, int]) -> None:
    ours = EfficientNetLite0(depth).eval()
    theirs = timm_lite.state_dict()
    ours.load_state_dict({name: theirs[name] for name in ours.state_dict()})
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    expected = timm_lite.blocks[: depth + 1](timm_lite.bn1(timm_lite.conv_stem(x)))  # type: ignore
    found = ours(x)
    assert found.shape == (2, ours.channels, -(-size[0] // STRIDES[depth]), -(-size[1] // STRIDES[depth]))
    assert float(expected.std()) > 1e-3  # something to compare
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_efficientnet_lite_receptive_field(depth: int) -> None:
    net = EfficientNetLite0(depth).double().eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            # Positive weights keep all activations within the linear part of ReLU6.
            module.weight.data.fill_(0.3 / module.weight[0].numel())
    size = FIELDS[depth] + 64
    x = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    y = net(x)
    middle = y.shape[-1] // 2
    y[0, 0, middle, middle].backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0) > 0
    columns, rows = torch.where(seen.any(0))[0], torch.where(seen.any(1))[0]
    assert int(columns.max() - columns.min()) + 1 == FIELDS[depth]
    assert int(rows.max() - rows.min()) + 1 == FIELDS[depth]


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2])
def test_a_patch_sees_only_its_neighbourhood(depth: int) -> None:
    net = random_network(2, depth=depth)
    x = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[..., :16, :16] += 3
    moved = (net(x) - net(changed)).abs()[0, 0] > 0
    reach = -(-(16 + FIELDS[depth] // 2 + STRIDES[depth]) // STRIDES[depth])
    assert moved[:2, :2].any()
    assert not moved[reach:].any()
    assert not moved[:, reach:].any()


@torch.no_grad()
@pytest.mark.parametrize(
    ("depth", "channels", "side"), [(1, 128, 24), (2, 256, 12), (3, 728, 6), (4, 728, 6), (5, 728, 6)]
)
def test_xception_shapes(depth: int, channels: int, side: int) -> None:
    net = Xception(depth).eval()
    assert net.channels == channels
    assert net(torch.randn(1, 3, 99, 99)).shape == (1, channels, side, side)


@torch.no_grad()
def test_a_whole_xception_is_as_big_as_published() -> None:
    torch.manual_seed(0)
    net = WholeXception()
    head = (net.channels + 1) * 1000
    assert sum(p.numel() for p in net.parameters()) + head == 22_855_952
    features = net(torch.randn(2, 3, 97, 97))
    assert features.shape == (2, net.channels, 1, 1)
    assert 0.01 < float(features.std()) < 100


def test_the_exit_block_widens_last() -> None:
    first, last = (
        [m for m in XceptionBlock(8, 12, 2, widens_last=late).modules() if isinstance(m, nn.Conv2d)]
        for late in (False, True)
    )
    assert [c.out_channels for c in first[:4]] == [8, 12, 12, 12]
    assert [c.out_channels for c in last[:4]] == [8, 8, 8, 12]


def take_over(ours: list[nn.Module], theirs: list[nn.Module]) -> None:
    """Copy weights from convolutions and batch norms to those in the same place of other networks."""

    def leaves(parts: list[nn.Module]) -> list[nn.Module]:
        kinds = (nn.Conv2d, nn.BatchNorm2d)
        return [module for part in parts for module in part.modules() if isinstance(module, kinds)]

    for mine, other in zip(leaves(ours), leaves(theirs), strict=True):
        mine.load_state_dict(other.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_xception_is_timms_cut_short(depth: int) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("legacy_xception", pretrained=False).eval()
    shake_norms(theirs)
    stem = [theirs.conv1, theirs.bn1, theirs.act1, theirs.conv2, theirs.bn2, theirs.act2]
    blocks = [getattr(theirs, f"block{i}") for i in range(1, depth + 1)]
    ours = Xception(depth).eval()
    take_over(list(ours.body[:6]), stem)
    for mine, other in zip(ours.body[6:-1], blocks, strict=True):
        shortcut = [] if other.skip is None else [other.skip, other.skipbn]
        take_over([mine.body, mine.skip], [other.rep, *shortcut])
    x = torch.randn(2, 3, 99, 83)
    expected = x
    for part in (*stem, *blocks):
        expected = part(expected)
    assert float(expected.clamp_min(0).std()) > 1e-3  # something to compare
    torch.testing.assert_close(ours(x), expected.clamp_min(0), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_resnet_is_torchvisions_cut_short(depth: int) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = resnet18(weights=None).eval()
    shake_norms(theirs)
    layers = [getattr(theirs, f"layer{i}") for i in range(1, depth + 1)]
    ours = ResNet18(depth).eval()
    ours.stem.load_state_dict(
        nn.Sequential(theirs.conv1, theirs.bn1, theirs.relu, theirs.maxpool).state_dict()
    )
    ours.layers.load_state_dict(nn.Sequential(*layers).state_dict())
    x = torch.randn(1, 3, 70, 64)
    expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
    for layer in layers:
        expected = layer(expected)
    assert expected.shape[1] == ours.channels
    torch.testing.assert_close(ours(x), expected)


@torch.no_grad()
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_fresh_head_knows_nothing(architecture: str) -> None:
    logits = PatchNetwork(architecture, 1).eval()(torch.randn(2, 3, 64, 64))
    assert logits.shape[:2] == (2, 1)
    assert logits.ndim == 4
    assert float(logits.abs().max()) == 0.0


@pytest.mark.parametrize(
    ("architecture", "depth"),
    [
        ("efficientnet_lite0", 0),
        ("efficientnet_lite0", 5),
        ("xception", 0),
        ("xception", 6),
        ("resnet18", 5),
        ("resnet18", 0),
        ("vgg", 1),
    ],
)
def test_impossible_networks_are_refused(architecture: str, depth: int) -> None:
    with pytest.raises(ValueError, match=r"not \d|unknown architecture"):
        PatchNetwork(architecture, depth)

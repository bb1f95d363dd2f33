"""Whole networks: the published sizes, one logit a crop, and all that scanning does with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.patches.fixture_weights import random_network, register_patches
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.networks import ARCHITECTURES
from vidscan.patches.whole_networks import WHOLE_NETWORKS, Meso4, MesoInception4, SimpleNet, WholeResNet
from vidscan.patches.xception import WholeXception, XceptionBlock
from vidscan.report.masks import render
from vidscan.types import FaceMap


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("build", "published", "classes", "smaller_grid"),
    [
        # the counts that the authors' Keras models print, for 256 px (a grid of 8 x 8, not 7 x 7)
        (Meso4, 27_977, 1, 16 * 16 * (64 - 49)),
        (MesoInception4, 28_615, 1, 16 * 16 * (64 - 49)),
        (WholeXception, 22_855_952, 1000, 0),
        (lambda: WholeResNet(18), 11_689_512, 1000, 0),
        (lambda: WholeResNet(50), 25_557_032, 1000, 0),
    ],
    ids=["meso4", "mesoinception4", "xception", "resnet18", "resnet50"],
)
def test_networks_are_as_big_as_published(build, published: int, classes: int, smaller_grid: int) -> None:
    net = build()
    assert size(net) + (net.channels + 1) * classes == published - smaller_grid


def test_simplenet_is_what_it_says() -> None:
    assert round(size(SimpleNet()) / 1e6, 2) == 0.39


def test_exit_block_widens_last() -> None:
    first, last = (
        [m for m in XceptionBlock(8, 12, 2, widens_last=late).modules() if isinstance(m, nn.Conv2d)]
        for late in (False, True)
    )
    assert [c.out_channels for c in first[:4]] == [8, 12, 12, 12]
    assert [c.out_channels for c in last[:4]] == [8, 8, 8, 12]


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(WHOLE_NETWORKS))
def test_one_logit_a_crop_of_any_size(name: str) -> None:
    net = random_network(3, name, 0)
    generator = torch.Generator().manual_seed(0)
    for side in (128, 97):
        x = torch.randn(2, 3, side, side, generator=generator)
        logits = net(x)
        assert logits.shape == (2, 1, 1, 1)
        assert torch.isfinite(logits).all()
        assert float((logits[0] - logits[1]).abs()) > 0
        changed = x.clone()
        changed[..., side // 2 : side // 2 + 16, side // 2 : side // 2 + 16] += 4
        assert float((net(changed) - logits).abs().min()) > 0


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(WHOLE_NETWORKS))
def test_random_starts_neither_vanish_nor_explode(name: str) -> None:
    torch.manual_seed(0)
    net = ARCHITECTURES[name](0).train()
    spread = float(net(torch.randn(4, 3, 96, 96)).std())
    assert 0.01 < spread < 100


@torch.no_grad()
@pytest.mark.parametrize("name", ["meso4", "simplenet", "mesoinception4"])
def test_a_registered_baseline_scans(name: str, tmp_path: Path) -> None:
    record = register_patches(
        tmp_path, architecture=name, depth=0, radius=0.75, crop={"size": 64, "margin": 1.2}
    )
    classifier = PatchClassifier(record)
    crops = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 255
    logits = classifier.logits(crops)
    assert logits.shape == (3, 1, 1)
    torch.testing.assert_close(classifier.pool(logits), logits[:, 0, 0])  # whatever the pooling
    maps = classifier.maps(logits, np.tile(np.float64([[1, 0, 0], [0, 1, 0]]), (3, 1, 1)))
    assert [m.score for m in maps] == pytest.approx(logits.flatten().tolist())


def test_a_map_of_one_cell_fills_its_crop() -> None:
    to_crop = np.float64([[1, 0, -10], [0, 1, -20]])
    region = FaceMap(0, np.full((1, 1), 0.6, np.float32), to_crop, 64)
    mask = render((120, 100), [region])
    assert set(np.unique(mask[25:80, 15:70])) == {153}
    assert mask[:18].max() == mask[:, 80:].max() == 0

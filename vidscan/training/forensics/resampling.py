"""Patches whose resampling is known, and the classifiers that learn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vidscan.errors import InputError, SetupError
from vidscan.forensics.resampling_features import (
    CHARACTERISTICS,
    PATCH,
    LearnedResampling,
    ResamplingHeads,
    features,
)
from vidscan.forensics.windows import grey
from vidscan.media import open_video
from vidscan.training.degrade import draw_coder, jpeg
from vidscan.training.transfer import auc

_COARSE = 85
"""JPEG quality below which a patch counts as coarse."""
_REGION = 140
"""Side in pixels of what is resampled: reducing by .55 leaves room for a coded tile."""
_TILE = 76
_HOLDOUT = 5


@dataclass(frozen=True, slots=True)
class ResamplingRecipe:
    """Everything that decides the classifiers.

    Attributes
    ----------
    pictures, per_picture
        Genuine stills, and patches of each.
    passes, learned_passes
        Over the patches, of the six two-layer classifiers and of the network with learned features.
    enlarged, reduced, turned, sheared
        Ranges of factors, degrees and shears.
    untouched
        Chance of a patch that is not resampled.
    quality
        Of the JPEG coding; coarse and fine are drawn alike.
    uncoded
        Chance that a patch is not coded.
    seed
        Of every draw.
    """

    pictures: int = 260
    per_picture: int = 10
    passes: int = 40
    learned_passes: int = 6
    enlarged: tuple[float, float] = (1.1, 2.0)
    reduced: tuple[float, float] = (0.55, 0.92)
    turned: tuple[float, float] = (3.0, 45.0)
    sheared: tuple[float, float] = (0.06, 0.4)
    untouched: float = 0.3
    quality: tuple[int, int] = (50, 100)
    uncoded: float = 0.3
    seed: int = 0


def resampled(
    picture: NDArray[np.uint8],
    *,
    factor: float = 1.0,
    degrees: float = 0.0,
    shear: float = 0.0,
    interpolation: int = cv2.INTER_CUBIC,
    side: int = _TILE,
) -> NDArray[np.uint8]:
    """(side, side, 3) middle of ``picture`` (H, W, 3), scaled, turned clockwise and sheared along rows."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = factor * turn @ np.array([[1, shear], [0, 1]])
    middle = np.array([picture.shape[1] - 1, picture.shape[0] - 1]) / 2
    offset = (side - 1) / 2 - matrix @ middle
    size = (side, side)
    warped = cv2.warpAffine(
        picture, np.c_[matrix, offset], size, flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.uint8)


def make_patches(
    pictures: Sequence[NDArray[np.uint8]], recipe: ResamplingRecipe
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
    """Luminance patches (N, 64, 64), their characteristics (N, 6), and of which picture (N,) each is.

    ``pictures`` (H, W, 3) uint8 must not be resampled themselves: see :func:`pristine`.
    """
    rng = np.random.default_rng(recipe.seed)
    found, labels, owner = [], [], []
    for number, picture in enumerate(pictures):
        for _ in range(recipe.per_picture):
            patch, label = _patch(picture, rng, recipe)
            found.append(patch)
            labels.append(label)
            owner.append(number)
    return np.stack(found), np.array(labels), np.array(owner)


def _patch(
    picture: NDArray[np.uint8], rng: np.random.Generator, recipe: ResamplingRecipe
) -> tuple[NDArray[np.float32], list[bool]]:
    height, width = picture.shape[:2]
    y, x = int(rng.integers(height - _REGION + 1)), int(rng.integers(width - _REGION + 1))
    region = picture[y : y + _REGION, x : x + _REGION]
    sides = (recipe.enlarged, recipe.reduced, recipe.turned, recipe.turned, recipe.sheared)
    kind = -1 if rng.random() < recipe.untouched else int(rng.integers(len(sides)))
    label = [False] + [i == kind for i in range(len(sides))]
    amount = float(rng.uniform(*sides[kind]))
    how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
    if kind < 0:
        edge = (_REGION - _TILE) // 2
        tile = region[edge : edge + _TILE, edge : edge + _TILE]
    elif kind < 2:
        tile = resampled(region, factor=amount, interpolation=how)
    elif kind < 4:
        tile = resampled(region, degrees=amount if kind == 2 else -amount, interpolation=how)
    else:
        tile = resampled(region, shear=float(rng.choice([-1, 1])) * amount, interpolation=how)
    if rng.random() >= recipe.uncoded:
        low, high = recipe.quality
        label[0] = bool(rng.random() < 0.5)
        quality = int(rng.integers(low, _COARSE)) if label[0] else int(rng.integers(_COARSE + 1, high + 1))
        tile = jpeg(tile, quality, draw_coder(rng))
    y, x = (int(v) for v in rng.integers(0, _TILE - PATCH + 1, 2))
    return grey(tile)[y : y + PATCH, x : x + PATCH], label


def pristine(path: Path) -> NDArray[np.uint8] | None:
    """A picture without traces of resampling: 2 x 2 pixels averaged, so that all pixels are alike.

    None where the file cannot be read or is too small.
    """
    try:
        with open_video(path) as source:
            image = next(iter(source)).image(0)
    except (InputError, StopIteration):
        return None
    # Of large pictures the middle: the whole would only cost time.
    height, width = image.shape[:2]
    y, x = max(0, (height - 1600) // 2), max(0, (width - 1600) // 2)
    image = image[y : y + 1600, x : x + 1600]
    height, width = (side // 2 * 2 for side in image.shape[:2])
    if min(height, width) < 2 * _REGION:
        return None
    halved = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    return np.rint(halved).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class LearntResampling:
    """Tensors under ``radon.`` and ``learned.``, and the areas by characteristic on pictures left out."""

    tensors: dict[str, Tensor]
    judged: dict[str, dict[str, float]]
    patches: int


def learn_resampling(
    pictures: Sequence[NDArray[np.uint8]],
    recipe: ResamplingRecipe,
    advance: Callable[[], None] = lambda: None,
) -> LearntResampling:
    """Train both networks on four fifths of ``pictures`` and judge them on the rest.

    Raises SetupError where there are too few pictures to leave some out.
    """
    if len(pictures) < 2 * _HOLDOUT:
        raise SetupError(f"{len(pictures)} genuine stills of at least {2 * _REGION} pixels are too few")
    patches, labels, owner = make_patches(pictures, recipe)
    held = owner % _HOLDOUT == 0
    advance()
    found = features(patches)
    torch.manual_seed(recipe.seed)
    heads = ResamplingHeads()
    centre, scale = found[~held].mean(0), found[~held].std(0) + 1e-6
    heads.centre.copy_(torch.from_numpy(centre))
    heads.scale.copy_(torch.from_numpy(scale))
    tensors: dict[str, Tensor] = {}
    judged: dict[str, dict[str, float]] = {}
    learning = (
        (heads, found, recipe.passes, "radon"),
        (LearnedResampling(), patches, recipe.learned_passes, "learned"),
    )
    for network, inputs, passes, name in learning:
        _fit(network, inputs[~held], labels[~held], passes, recipe.seed)
        scores = _log_odds(network, inputs[held])
        judged[name] = {
            title: auc(scores[~labels[held, i], i], scores[labels[held, i], i])
            for i, title in enumerate(CHARACTERISTICS)
            if labels[held, i].any() and not labels[held, i].all()
        }
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        advance()
    return LearntResampling(tensors, judged, len(patches))


def _fit(
    network: nn.Module, inputs: NDArray[np.float32], labels: NDArray[np.bool_], passes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels).float()
    # Characteristics are rare: each side of each counts alike.
    balance = ((1 - y).sum(0) + 1) / (y.sum(0) + 1)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=2e-2)
    steps = passes * (-(-len(x) // 64))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps + 1)
    network.train()
    for _ in range(passes):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            if len(rows) < 2:
                continue
            loss = functional.binary_cross_entropy_with_logits(network(x[rows]), y[rows], pos_weight=balance)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()


@torch.inference_mode()
def _log_odds(network: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    parts = [network(part) for part in torch.from_numpy(inputs).split(128)]
    return torch.cat(parts).double().numpy()

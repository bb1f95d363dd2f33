"""Genuine crops beside their self-made forgeries: the same frame, the same codec, nothing else between them.

Shiohara & Yamasaki, *Detecting Deepfakes with Self-Blended Images* (CVPR 2022). Published generators leave
the look of their whole panel beside the traces of the forgery; here only the forgery differs, so a head that
learns from both is drawn to the face itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import vidscan.forge.mouth
import vidscan.forge.self_blend
import vidscan.forge.swap
import vidscan.forge.warp  # noqa: F401  (importing a forgery registers it)
from vidscan.digests import hashed
from vidscan.faces.align import CropSpec
from vidscan.forge.base import FORGERIES, Faces
from vidscan.forge.template import mean_landmarks
from vidscan.patches.encoder import SPEC
from vidscan.training.degrade import Degradation, degrade

FORGED_SPEC = CropSpec(size=280, margin=1.75)
"""What is forged: at the encoder's scale, with room beyond its crop."""
VIEW = 264
"""Side in pixels of what is coded, with room for block borders beyond the encoder's crop."""


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """Which forgeries, and what happens to both sides of a pair.

    Attributes
    ----------
    mix
        Chance of each forgery. Faces through a small generator are none of them: with sources left out they
        made the head worse at the whole faces of real generators (docs/experiments.md).
    degradation
        Mild: strong compression hides from the head what it is to learn.
    side
        The view is coded at so many pixels, of 264.
    per_clip
        Spread frames of every genuine clip.
    seed
        Of every draw.
    """

    mix: dict[str, float] = field(
        default_factory=lambda: {
            "self_blend": 2.0,
            "swap": 2.0,
            "mouth": 2.0,
            "face_warp": 2.0,
            "reenact": 2.0,
        }
    )
    degradation: Degradation = field(
        default_factory=lambda: Degradation(
            light=0.0,
            blur=0.0,
            noise=0.0,
            h264=0.8,
            h265=0.0,
            jpeg=0.2,
            crf=(17, 26),
            quality=(80, 98),
            grey=0.0,
            again=0.0,
        )
    )
    side: tuple[int, int] = (170, 264)
    per_clip: int = 3
    seed: int = 0

    def draw_kind(self, rng: np.random.Generator) -> str:
        """One of the forgeries of ``mix``, by its chance."""
        kinds = sorted(self.mix)
        chances = np.array([self.mix[kind] for kind in kinds])
        return kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))]


@dataclass(frozen=True, slots=True)
class OwnPairs:
    """Genuine crops beside their forgeries, all of one ``kind``.

    Attributes
    ----------
    genuine, forged
        (n, 224, 224, 3) RGB.
    masks
        (n, 224, 224) float32, 0..1: how much of each pixel is forged.
    turned
        (n,) bool: both sides are mirrored.
    """

    kind: str
    genuine: NDArray[np.uint8]
    forged: NDArray[np.uint8]
    masks: NDArray[np.float32]
    turned: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Draws:
    """What both sides of a pair, and their mask, share."""

    side: int
    turned: bool
    rng: np.random.Generator


class PairMaker:
    """Forges batches of genuine crops, so that they can be donors to one another.

    Raises ValueError where the recipe names a forgery that does not exist.
    """

    def __init__(self, recipe: PairRecipe) -> None:
        if unknown := sorted(set(recipe.mix) - set(FORGERIES)):
            raise ValueError(f"no such forgery: {', '.join(unknown)}")
        self._recipe = recipe
        self._landmarks = torch.from_numpy(mean_landmarks(FORGED_SPEC))

    def make(
        self, crops: NDArray[np.uint8], names: Sequence[str], landmarks: NDArray[np.floating] | None = None
    ) -> OwnPairs:
        """Pairs of genuine ``crops`` (n, 280, 280, 3) RGB, n >= 2.

        ``names`` (n,) say which crops they are; the same names give the same pairs. ``landmarks`` (n, 478, 2)
        are those of an average aligned face where None.
        """
        recipe = self._recipe
        rng = np.random.default_rng(hashed(str(recipe.seed), *names))
        kind = recipe.draw_kind(rng)
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        points = self._landmarks if landmarks is None else torch.from_numpy(landmarks).float()
        faces = Faces(images, points.expand(len(crops), -1, -1))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        made = FORGERIES[kind](faces, generator)
        forged = made.images.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        genuine, fake = (
            np.stack([self._coded(crop, self._draw(name)) for crop, name in zip(side, names, strict=True)])
            for side in (crops, forged)
        )
        masks = [
            _middle(_turned(_middle(mask, VIEW), self._draw(name)), SPEC.size)
            for mask, name in zip(made.mask[:, 0].numpy(), names, strict=True)
        ]
        turned = np.array([self._draw(name).turned for name in names])
        return OwnPairs(kind, genuine, fake, np.stack(masks), turned)

    def _draw(self, name: str) -> _Draws:
        rng = np.random.default_rng(hashed(str(self._recipe.seed), name))
        side = int(rng.integers(self._recipe.side[0], self._recipe.side[1] + 1))
        return _Draws(side, bool(rng.random() < 0.5), rng)

    def _coded(self, crop: NDArray[np.uint8], draws: _Draws) -> NDArray[np.uint8]:
        """One (224, 224, 3) crop, scaled and coded."""
        size = draws.side, draws.side
        view = _turned(cv2.resize(_middle(crop, VIEW), size, interpolation=cv2.INTER_AREA), draws)
        coded = degrade(np.asarray(view, np.uint8), draws.rng, self._recipe.degradation, VIEW)
        return _middle(coded, SPEC.size)


def _turned(view: NDArray, draws: _Draws) -> NDArray:
    return np.ascontiguousarray(view[:, ::-1]) if draws.turned else view


def _middle(picture: NDArray, side: int) -> NDArray:
    edge = (len(picture) - side) // 2
    return picture[edge:-edge, edge:-edge]

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
_VIEW = 264
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
        self, crops: NDArray[np.uint8], names: Sequence[str]
    ) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8]]:
        """Kind, genuine and forged crops (n, 224, 224, 3) RGB of genuine ``crops`` (n, 280, 280, 3), n >= 2.

        ``names`` (n,) say which crops they are; the same names give the same pairs.
        """
        recipe = self._recipe
        rng = np.random.default_rng(hashed(str(recipe.seed), *names))
        kinds = sorted(recipe.mix)
        chances = np.array([recipe.mix[kind] for kind in kinds])
        kind = kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))]
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        faces = Faces(images, self._landmarks.expand(len(crops), -1, -1))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        forged = FORGERIES[kind](faces, generator).images.clamp(0, 255).round().to(torch.uint8)
        sides = crops, forged.permute(0, 2, 3, 1).numpy()
        genuine, fake = (
            np.stack(
                [
                    self._coded(crop, hashed(str(recipe.seed), name))
                    for crop, name in zip(side, names, strict=True)
                ]
            )
            for side in sides
        )
        return kind, genuine, fake

    def _coded(self, crop: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """One (224, 224, 3) crop, scaled and coded by draws that its twin shares."""
        rng = np.random.default_rng(seed)
        edge, inner = (len(crop) - _VIEW) // 2, (_VIEW - SPEC.size) // 2
        side = int(rng.integers(self._recipe.side[0], self._recipe.side[1] + 1))
        view = cv2.resize(crop[edge:-edge, edge:-edge], (side, side), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            view = np.ascontiguousarray(view[:, ::-1])
        done = degrade(np.asarray(view, np.uint8), rng, self._recipe.degradation, _VIEW)
        return done[inner:-inner, inner:-inner]

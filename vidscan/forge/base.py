"""The interface every forgery shares, and the registry of kinds.

A forgery takes a batch of aligned genuine faces and returns the forged faces and an exact mask. All
of it is batched torch, so the same code runs on a CPU and, thousands a second, on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Faces:
    """A batch of genuine aligned crops.

    Attributes
    ----------
    images
        (N, 3, S, S) float32 RGB, 0..255.
    landmarks
        (N, 478, 2) float32; MediaPipe's face mesh and irises in crop pixels.
    """

    images: Tensor
    landmarks: Tensor

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Faces:
        return Faces(self.images[index], self.landmarks[index])


@dataclass(frozen=True, slots=True)
class Forged:
    """What a forgery returns.

    Attributes
    ----------
    images
        (N, 3, S, S) float32 RGB, 0..255; identical to the input wherever ``mask`` is 0.
    mask
        (N, 1, S, S) float32, 0..1: how much of each pixel is forged.
    """

    images: Tensor
    mask: Tensor


Forgery = Callable[[Faces, torch.Generator], Forged]
"""``forge(faces, generator)``: the generator (on the images' device) makes it repeatable."""

FORGERIES: dict[str, Forgery] = {}

HELD_OUT = frozenset({"spliced_region", "inpainted"})
"""Kinds that no model may train on: they show whether localization carries over (:mod:`.held_out`)."""


def forgery(name: str) -> Callable[[Forgery], Forgery]:
    """Register a forgery under ``name``."""

    def register(function: Forgery) -> Forgery:
        FORGERIES[name] = function
        return function

    return register


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Uniform draws on the generator's device."""
    return torch.rand(*shape, generator=generator, device=generator.device) * (high - low) + low


def chance(generator: torch.Generator, probability: float, *shape: int) -> Tensor:
    """Boolean draws on the generator's device."""
    return torch.rand(*shape, generator=generator, device=generator.device) < probability


def blend(background: Tensor, foreground: Tensor, mask: Tensor) -> Tensor:
    """Alpha blending, (N, 3, S, S) images and (N, 1, S, S) mask."""
    return background + mask * (foreground - background)

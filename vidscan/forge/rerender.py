"""Neural re-rendering of the whole crop, the head, the face or the mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from vidscan.forge.base import Faces, Forged, blend, chance, uniform
from vidscan.forge.even_color import even_colour
from vidscan.forge.filters import gaussian_blur, match_colour
from vidscan.forge.mask_shapes import draw_masks
from vidscan.forge.renderers import Renderer
from vidscan.forge.swap import paste, warped_donors


def _match_sharpness(rendered: Tensor, original: Tensor) -> Tensor:
    """Give the rendering the original's fine-detail energy, so that blur alone is no shortcut."""
    one = torch.full((len(rendered),), 1.0, device=rendered.device)
    detail = rendered - gaussian_blur(rendered, one)
    wanted = original - gaussian_blur(original, one)
    gain = wanted.square().mean((1, 2, 3), keepdim=True).sqrt()
    gain = gain / detail.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-3)
    return rendered + (gain.clamp(1.0, 2.5) - 1) * detail


class Rendering:
    """A set of trained renderers of which one is drawn for each quarter of a batch."""

    def __init__(self, renderers: list[Renderer]) -> None:
        if not renderers:
            raise ValueError("re-rendering needs at least one renderer")
        self.renderers = renderers

    def render(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(N, 3, S, S) through decoders at .6 to 1.15 times their size, in the originals' colors."""
        n = len(images)
        rendered = torch.empty_like(images)
        for part in torch.arange(n, device=images.device).tensor_split(min(4, n)):
            index = int(torch.randint(len(self.renderers), (1,), generator=generator, device=images.device))
            factor = float(uniform(generator, 0.6, 1.15, 1))
            rendered[part] = self.renderers[index].render(images[part], factor)
        everything = torch.ones(n, 1, 1, 1, device=images.device)
        rendered = match_colour(rendered, images, torch.ones_like(images[:, :1]), everything)
        sharp = chance(generator, 0.5, n, 1, 1, 1)
        return torch.where(sharp, _match_sharpness(rendered, images), rendered)


class Rerender(Rendering):
    """The face itself, re-rendered: whole crop, head, face hull or mouth.

    The rendering is mixed with the original (r up to .6) and half the time brought to the original's
    sharpness, so that missing or surplus high frequencies are no shortcut.
    """

    def __call__(self, faces: Faces, generator: torch.Generator) -> Forged:
        images, n, size = faces.images, len(faces), faces.images.shape[-1]
        rendered = even_colour(self.render(images, generator), generator)
        keep = uniform(generator, 0, 0.6, n, 1, 1, 1) * chance(generator, 0.6, n, 1, 1, 1)
        rendered = rendered + keep * (images - rendered)
        weights = {"hull": 3.0, "inner": 2.0, "forehead": 2.0, "lower": 1.0, "lips": 0.5, "polygon": 1.0}
        mask = draw_masks(faces.landmarks, size, generator, weights)
        whole = chance(generator, 0.4, n, 1, 1, 1)
        mask = torch.where(whole, torch.ones_like(mask), mask)
        return Forged(blend(images, rendered, mask).clamp(0, 255), mask)


class DecodedSwap(Rendering):
    """Another person's face out of a decoder, pasted as live face-swapping does."""

    def __call__(self, faces: Faces, generator: torch.Generator) -> Forged:
        return paste(faces, self.render(warped_donors(faces, generator), generator), generator)

"""Small auto-encoders whose decoders leave the traces that generators' decoders leave.

A picture passed through one keeps its content and gains the decoder's up-sampling pattern and lost
micro-texture (AlignedForensics, arXiv 2410.11835; DDA, arXiv 2505.14359). One simulator does not
cover other decoders, so the recipes differ in up-sampler, latent, quantization and loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidscan.models import load_registry, with_weights

Upsampler = Literal["transposed", "nearest", "bilinear", "shuffle"]


@dataclass(frozen=True, slots=True)
class RendererRecipe:
    """How one auto-encoder is built and trained."""

    name: str
    upsampler: Upsampler
    levels: int
    """Halvings of the picture: the latent has side S / 2**levels."""
    latent: int
    """Channels of the latent."""
    width: int
    """Channels at full resolution."""
    loss: Literal["l1", "l2", "gradient", "adversarial"]
    quantised: bool = False
    """Latent rounded to 1/4 steps (straight-through), as a vector-quantised or coded latent is."""


RECIPES: tuple[RendererRecipe, ...] = (
    RendererRecipe("transposed-l1", "transposed", 2, 10, 20, "l1"),
    RendererRecipe("nearest-l2", "nearest", 2, 12, 20, "l2"),
    RendererRecipe("bilinear-gradient", "bilinear", 2, 8, 20, "gradient"),
    RendererRecipe("shuffle-adversarial", "shuffle", 2, 10, 20, "adversarial"),
    RendererRecipe("nearest-deep-adversarial", "nearest", 3, 32, 16, "adversarial"),
    RendererRecipe("transposed-deep-gradient", "transposed", 3, 24, 16, "gradient", quantised=True),
    RendererRecipe("shuffle-quantised", "shuffle", 2, 16, 20, "gradient", quantised=True),
    RendererRecipe("bilinear-deep-l1", "bilinear", 3, 28, 16, "l1"),
)


def _upsample(kind: Upsampler, inputs: int, outputs: int) -> nn.Module:
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
    if kind == "shuffle":
        return nn.Sequential(nn.Conv2d(inputs, outputs * 4, 3, padding=1), nn.PixelShuffle(2))
    up = nn.Upsample(scale_factor=2, mode=kind, align_corners=None if kind == "nearest" else False)
    return nn.Sequential(up, nn.Conv2d(inputs, outputs, 3, padding=1))


class Renderer(nn.Module):
    """Encoder and decoder; (N, 3, H, W) in -1..1 to the same, H and W multiples of ``2**levels``."""

    def __init__(self, recipe: RendererRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        widths = [recipe.width * 2**i for i in range(recipe.levels + 1)]
        encoder: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, padding=1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(widths):
            encoder += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        decoder: list[nn.Module] = [nn.Conv2d(recipe.latent, widths[-1], 3, padding=1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(reversed(widths)):
            decoder += [_upsample(recipe.upsampler, a, b), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(widths[-1], recipe.latent, 3, padding=1))
        self.decoder = nn.Sequential(
            *decoder,
            nn.Conv2d(widths[0], widths[0], 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(widths[0], 3, 3, padding=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # PyTorch's default leaves a ten-layer decoder untrained for hundreds of steps.
                nn.init.kaiming_normal_(module.weight, 0.2)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for last in (self.encoder[-1], self.decoder[-1]):
            nn.init.xavier_normal_(last.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        latent = self.encoder(x)
        if self.recipe.quantised:
            latent = latent + ((latent * 4).round() / 4 - latent).detach()
        return self.decoder(latent)

    @torch.no_grad()
    def render(self, images: Tensor, factor: float) -> Tensor:
        """Pass 0..255 images through at ``factor`` times their size and bring them back."""
        size = images.shape[-1]
        step = 2**self.recipe.levels
        inner = max(step * 4, round(size * factor / step) * step)
        small = F.interpolate(images, (inner, inner), mode="bicubic", antialias=inner < size)
        out = self((small / 127.5 - 1).clamp(-1, 1)) * 127.5 + 127.5
        return F.interpolate(out, (size, size), mode="bicubic", antialias=inner > size).clamp(0, 255)


def shipped_renderer(device: str | torch.device = "cpu") -> Renderer:
    """The renderer that comes with vidscan's weights, for forging where none has been trained.

    Raises
    ------
    WeightsError
        Where it is missing or is not the registered one.
    """
    record = load_registry().get("renderer")
    recipe = RendererRecipe(**record.settings["recipe"])
    return with_weights(lambda: Renderer(recipe), record.load()).to(device)

"""Batched image operations with one draw per image: blur, resampling, warps, membranes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image with its own sigma (pixels); reflecting borders.

    ``images`` (N, C, H, W), ``sigma`` (N,); a sigma below .05 leaves the image as it is.
    """
    radius = max(1, min(int(3 * float(sigma.max()) + 0.5), min(images.shape[-2:]) - 1))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(0.05)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    n, c, h, w = images.shape
    weights = kernel.repeat_interleave(c, 0)
    flat = F.pad(images, (radius,) * 4, mode="reflect").reshape(1, n * c, h + 2 * radius, w + 2 * radius)
    flat = F.conv2d(flat, weights[:, None, None, :], groups=n * c)
    flat = F.conv2d(flat, weights[:, None, :, None], groups=n * c)
    return flat.reshape(n, c, h, w)


def identity_grid(n: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """(N, H, W, 2) sampling grid in pixels: entry (y, x) holds (x, y)."""
    ys, xs = torch.meshgrid(
        torch.arange(size[0], device=device, dtype=torch.float32),
        torch.arange(size[1], device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([xs, ys], -1).expand(n, -1, -1, -1)


def sample(images: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """Read ``images`` (N, C, H, W) at pixel positions ``grid`` (N, h, w, 2); reflecting borders."""
    h, w = images.shape[-2:]
    scale = torch.tensor([2.0 / (w - 1), 2.0 / (h - 1)], device=images.device)
    return F.grid_sample(images, grid * scale - 1, mode=mode, padding_mode="reflection", align_corners=True)


def affine_grid(
    size: tuple[int, int], angle: Tensor, scale: Tensor, shift: Tensor, centre: Tensor | None = None
) -> Tensor:
    """Pixel grid that rotates (radians), scales and shifts (pixels, (N, 2)) about ``centre`` (N, 2)."""
    n = len(angle)
    grid = identity_grid(n, size, angle.device)
    if centre is None:
        centre = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2], device=angle.device).expand(n, 2)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    offset = grid - (centre + shift)[:, None, None]
    x, y = offset.unbind(-1)
    cos, sin = cos[:, None, None], sin[:, None, None]
    return torch.stack([cos * x + sin * y, -sin * x + cos * y], -1) + centre[:, None, None]


def smooth_noise(generator: torch.Generator, n: int, channels: int, size: int, cells: int) -> Tensor:
    """(N, C, size, size) smooth noise of about unit variance with ``cells`` bumps a side."""
    noise = torch.randn(n, channels, cells, cells, generator=generator, device=generator.device)
    return F.interpolate(noise, (size, size), mode="bicubic", align_corners=True)


def resample(images: Tensor, factors: Tensor, down: str = "area", up: str = "bilinear") -> Tensor:
    """Shrink each image by its own factor and enlarge it again, as a low-resolution generator does.

    The factors are rounded to sixteen sizes so that images of one size go together.
    """
    h, w = images.shape[-2:]
    sizes = (h / factors.clamp_min(1)).round().clamp_min(8)
    sizes = ((sizes / (h / 32)).round().clamp_min(1) * (h / 32)).round()
    out = images.clone()
    for size in torch.unique(sizes).tolist():
        chosen = sizes == size
        if size >= h:
            continue
        small = F.interpolate(images[chosen], (int(size), int(size * w / h)), mode=down)
        align = None if up in ("nearest", "area") else False
        out[chosen] = F.interpolate(small, (h, w), mode=up, align_corners=align)
    return out


def membrane(values: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels smoothly from the known ones (pull-push pyramid).

    Added to a pasted patch, the membrane of the border difference is what Poisson blending adds
    (Farbman et al. 2009). ``values`` (N, C, S, S), ``known`` (N, 1, S, S) 0..1.
    """
    levels = [(values * known, known)]
    while min(levels[-1][0].shape[-2:]) > 2:
        v, k = levels[-1]
        levels.append((F.avg_pool2d(v, 2, ceil_mode=True), F.avg_pool2d(k, 2, ceil_mode=True)))
    v, k = levels[-1]
    filled = v / k.clamp_min(1e-6)
    for v, k in reversed(levels[:-1]):
        coarse = F.interpolate(filled, v.shape[-2:], mode="bilinear", align_corners=False)
        weight = k.clamp(0, 1)
        filled = v / k.clamp_min(1e-6) * weight + coarse * (1 - weight)
    return filled


def colour_statistics(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (N, C, 1, 1) of the pixels under ``mask`` (N, 1, S, S)."""
    weight = mask.sum((2, 3), keepdim=True).clamp_min(1)
    mean = (images * mask).sum((2, 3), keepdim=True) / weight
    variance = ((images - mean) ** 2 * mask).sum((2, 3), keepdim=True) / weight
    return mean, (variance + 1).sqrt()


def match_colour(images: Tensor, reference: Tensor, mask: Tensor, strength: Tensor) -> Tensor:
    """Reinhard-style transfer of mean and spread under ``mask``; ``strength`` (N, 1, 1, 1) in 0..1."""
    mean, spread = colour_statistics(images, mask)
    wanted_mean, wanted_spread = colour_statistics(reference, mask)
    ratio = (wanted_spread / spread).clamp(0.6, 1.6)
    return images + strength * ((images - mean) * ratio + wanted_mean - images)

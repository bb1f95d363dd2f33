"""The first blocks of a vision transformer, read at several depths.

DINOv2 (Oquab et al., *DINOv2: Learning Robust Visual Features without Supervision*, TMLR 2024) after the
ViT of Dosovitskiy et al. (ICLR 2021), with layer scale. Parameter names are those of DINOv2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 14
"""Side of a patch in pixels."""
_HEAD = 64
_SCALE = ".scale"


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned gain for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """Attention and MLP, each normalized before and scaled after."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Each patch of pixels as one token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """The blocks up to the deepest that is read.

    Parameters
    ----------
    taps
        Depths read, counted from 1, ascending.
    side
        Patches along a side of the square picture.
    width
        Channels of a token; a head has 64 of them.
    """

    def __init__(self, taps: Sequence[int], side: int = 16, width: int = 384) -> None:
        super().__init__()
        heads = width // _HEAD
        self.taps, self.side = tuple(taps), side
        self.patch_embed = PatchEmbed(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + side**2, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(max(taps)))

    def forward(self, pictures: Tensor, kept: Tensor | None = None) -> Tensor:
        """Patch tokens at every depth read.

        Parameters
        ----------
        pictures
            (N, 3, 14 side, 14 side) float32, normalized.
        kept
            (M,) only these patches are looked at (of :func:`range` ``side ** 2``), all where None: training
            on some of them costs less.

        Returns
        -------
        (N, taps, M or side ** 2, width) tokens, row by row from the top left.
        """
        tokens = self.patch_embed(pictures) + self.pos_embed[:, 1:]
        if kept is not None:
            tokens = tokens[:, kept]
        first = self.cls_token + self.pos_embed[:, :1]
        x = torch.cat([first.expand(len(tokens), -1, -1), tokens], 1)
        read = []
        for depth, block in enumerate(self.blocks, 1):
            x = block(x)
            if depth in self.taps:
                read.append(x[:, 1:])
        return torch.stack(read, 1)


def cut(tensors: Mapping[str, Tensor], taps: Sequence[int], side: int) -> dict[str, Tensor]:
    """What a :class:`VisionTransformer` needs of a whole encoder's tensors, its places resampled.

    Matrices may be int8 with scales by row (see :func:`unpacked`); they stay so.
    """
    depth = max(taps)
    kept = {
        name: value
        for name, value in tensors.items()
        if name.startswith(("patch_embed.", "cls_token"))
        or (name.startswith("blocks.") and int(name.split(".")[1]) < depth)
    }
    return kept | {"pos_embed": resampled_places(tensors["pos_embed"].float(), side)}


def resampled_places(places: Tensor, side: int) -> Tensor:
    """(1, 1 + side ** 2, width) position embedding from (1, 1 + s ** 2, width), class token first."""
    first, grid = places[:, :1], places[:, 1:]
    old = round(grid.shape[1] ** 0.5)
    square = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    moved = F.interpolate(square, size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([first, moved.permute(0, 2, 3, 1).reshape(1, side**2, -1)], 1)


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Float32 tensors: int8 matrices times the scale of their row (``NAME.scale``), the rest as it is."""
    found = {}
    for name, value in tensors.items():
        if name.endswith(_SCALE):
            continue
        scale = tensors.get(name + _SCALE)
        found[name] = value.float() if scale is None else _times(value, scale)
    return found


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a :class:`VisionTransformer` as they are shipped: what :func:`unpacked` takes back.

    Matrices become int8 with a float32 scale by row, the rest keeps its type.
    """
    found = {}
    for name, value in tensors.items():
        if not name.endswith(".weight") or value.ndim < 2:
            found[name] = value
            continue
        scale = (value.flatten(1).abs().amax(1) / 127).clamp(min=1e-12)
        found[name] = _times(value, 1 / scale).round_().to(torch.int8)
        found[name + _SCALE] = scale
    return found


def _times(value: Tensor, scale: Tensor) -> Tensor:
    return value.to(torch.float32, copy=True).mul_(scale.float().view(-1, *[1] * (value.ndim - 1)))

"""Aligned face crops: the resampling, and the way back into the frame.

Training, evaluation and scanning all cut their crops with :func:`align`, so that a network
sees the same picture everywhere. Where a crop lies is told by :mod:`vidscan.faces.geometry`,
whose names this module offers too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.geometry import (
    TEMPLATE,
    TEMPLATE_SIDE,
    CropSpec,
    apply_affine,
    box_transform,
    crop_transform,
    face_transforms,
    invert_affine,
    similarity,
    similarity_scale,
)
from vidscan.types import CellGrid

if TYPE_CHECKING:
    import torch

__all__ = [
    "TEMPLATE",
    "TEMPLATE_SIDE",
    "CropSpec",
    "FrameWindow",
    "align",
    "apply_affine",
    "box_transform",
    "crop_transform",
    "face_transforms",
    "invert_affine",
    "similarity",
    "to_frame",
    "to_window",
]

# --------------------------------------------------------------------------- resampling


def align(
    images: torch.Tensor | Sequence[torch.Tensor],
    frame_index: NDArray[np.integer] | torch.Tensor,
    transforms: NDArray[np.floating],
    spec: CropSpec,
    *,
    rounded: bool = False,
) -> torch.Tensor:
    """Cuts aligned crops out of frames, on the device the frames are on.

    Where the face is larger than the crop, its region is first reduced by an antialiased
    bicubic filter to one frame pixel per crop pixel, and only then turned into place
    (bicubic): a face looks the same whatever its size in the frame. Where it is smaller it is
    enlarged (bicubic). Beyond the frame the border pixel is repeated. The region is cut
    before anything becomes float, so 4K frames cost no more than the faces in them.

    Parameters
    ----------
    images
        (T, H, W, 3) RGB, uint8 or float in 0..255, on any device; or T frames (H, W, 3).
    frame_index
        (N,) which of the T frames each crop comes from.
    transforms
        (N, 2, 3) maps from frame pixels to crop pixels (:func:`crop_transform`).
    spec
        The crop.
    rounded
        On the CPU, reduce uint8 frames in whole gray levels: twice as fast, and off by a quarter of a level
        on average. For what looks at shapes, not at the finest texture.

    Returns
    -------
    (N, 3, size, size) float32 RGB in 0..255 on the device of ``images``.

    Raises
    ------
    ValueError
        Where shapes disagree or a map is not finite.
    """
    import torch

    if isinstance(images, torch.Tensor) and (images.ndim != 4 or images.shape[-1] != 3):
        raise ValueError(f"images must be (T, H, W, 3), got {tuple(images.shape)}")
    maps = np.asarray(transforms, np.float64).reshape(-1, 2, 3)
    frames = [int(i) for i in frame_index]
    if len(frames) != len(maps):
        raise ValueError(f"{len(frames)} frame indices but {len(maps)} transforms")
    if not np.isfinite(maps).all():
        raise ValueError("transforms must be finite")
    device = images[frames[0] if frames else 0].device
    out = torch.empty((len(maps), 3, spec.size, spec.size), dtype=torch.float32, device=device)
    to_image = invert_affine(maps)
    steps = similarity_scale(to_image)  # image pixels per crop pixel
    corners = _corners(to_image, spec.size)
    # Room for the four taps of the cubic, in reduced pixels.
    room = 3 * np.maximum(steps, 1.0)[:, None]
    low, high = (corners.min(axis=1) - room).tolist(), (corners.max(axis=1) + room).tolist()
    for n, frame in enumerate(frames):
        image = images[frame]
        x0, x1 = _span(low[n][0], high[n][0], image.shape[1])
        y0, y1 = _span(low[n][1], high[n][1], image.shape[0])
        to_image[n, :, 2] -= x0, y0
        out[n] = _cut(image[y0:y1, x0:x1], to_image[n], float(steps[n]), spec.size, rounded)
    return out.clamp_(0, 255)


def _cut(
    region: torch.Tensor, to_region: NDArray[np.float64], step: float, size: int, rounded: bool
) -> torch.Tensor:
    """One (3, size, size) float32 crop of the (h, w, 3) region that it lies in; may overshoot 0..255."""
    import torch
    from torch.nn import functional

    h, w = int(region.shape[0]), int(region.shape[1])
    on_cpu = region.device.type == "cpu"
    if not (rounded and on_cpu and region.dtype == torch.uint8 and step > 1):
        region = region.to(torch.float32)
    region = region.permute(2, 0, 1)[None]
    if step > 1:
        # Whole numbers of reduced pixels: the two axes' factors differ a little from `step`,
        # which the coordinates below account for exactly.
        reduced = (max(1, math.ceil(h / step)), max(1, math.ceil(w / step)))
        region = functional.interpolate(
            region.contiguous(memory_format=torch.channels_last if on_cpu else torch.contiguous_format),
            size=reduced,
            mode="bicubic",
            align_corners=False,
            antialias=True,
        )
    # From the crop's pixels to shares of the region, whose outer edges reducing it does not move.
    share = to_region + np.array([[0, 0, 0.5]])
    share /= np.array([[w], [h]])
    return _turned_by_opencv(region[0], share, size) if on_cpu else _turned_by_torch(region, share, size)


def _turned_by_opencv(region: torch.Tensor, share: NDArray[np.float64], size: int) -> torch.Tensor:
    """(3, size, size) bicubic samples of a region (3, h, w), four times as fast as torch on a CPU."""
    import cv2
    import torch

    to_region = share * np.array([[region.shape[2]], [region.shape[1]]])
    to_region[:, 2] -= 0.5
    turned = cv2.warpAffine(
        region.permute(1, 2, 0).float().contiguous().numpy(),
        to_region,
        (size, size),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return torch.from_numpy(turned).permute(2, 0, 1)


def _turned_by_torch(region: torch.Tensor, share: NDArray[np.float64], size: int) -> torch.Tensor:
    """(3, size, size) bicubic samples of a region (1, 3, h, w) on its device."""
    import torch
    from torch.nn import functional

    # Without align_corners -1 and 1 are the outer edges of the region.
    theta = 2 * share
    theta[:, 2] -= 1
    axis = torch.arange(size, dtype=torch.float32, device=region.device)
    gx = float(theta[0, 0]) * axis[None, :] + (float(theta[0, 1]) * axis[:, None] + float(theta[0, 2]))
    gy = float(theta[1, 0]) * axis[None, :] + (float(theta[1, 1]) * axis[:, None] + float(theta[1, 2]))
    grid = torch.stack([gx, gy], dim=-1)[None]
    return functional.grid_sample(region, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]


def _corners(to_frame_px: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(..., 4, 2) outer corners of a crop in the frame, by its (..., 2, 3) map there."""
    end = size - 0.5
    return apply_affine(to_frame_px, np.array([[-0.5, -0.5], [end, -0.5], [-0.5, end], [end, end]]))


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """Whole pixels [first, last) that cover low..high within 0..length-1, at least one."""
    first = min(max(math.floor(low), 0), length - 1)
    last = max(min(math.ceil(high) + 1, length), first + 1)
    return first, last


# --------------------------------------------------------------------------- back to the frame


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """A map over a crop, pasted into the part of a frame that the crop covers.

    Attributes
    ----------
    rows, columns
        The part of the frame.
    values
        (h, w) float32, 0 outside the crop.
    inside
        (h, w) bool, True where the frame's pixel lies in the crop.
    """

    rows: slice
    columns: slice
    values: NDArray[np.float32]
    inside: NDArray[np.bool_]


def to_window(
    values: NDArray[np.floating],
    transform: NDArray[np.floating],
    crop_size: int,
    frame_shape: tuple[int, int],
    grid: CellGrid | None = None,
) -> FrameWindow | None:
    """Pastes a map over the crop back into the frame, smoothly enlarged.

    Parameters
    ----------
    values
        (h, w) grid over the crop. Must be finite.
    transform
        (2, 3) map from frame pixels to crop pixels.
    crop_size
        Side of the crop in pixels.
    frame_shape
        (H, W) of the frame.
    grid
        Where the cells belong. None where they cover the crop from edge to edge: cell (i, j) then has
        the rows i*size/h .. (i+1)*size/h and columns likewise, and belongs to its center.

    Returns
    -------
    FrameWindow or None
        Bicubic between the cells and never beyond the range of ``values``; beyond the outermost cells
        theirs goes on to the crop's edge. None where the crop lies wholly outside the frame.
    """
    import cv2

    height, width = frame_shape
    rows, cols = values.shape
    cells = np.ascontiguousarray(values, np.float32)
    to_crop = np.asarray(transform, np.float64)
    corners = _corners(invert_affine(to_crop), crop_size)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if right < 0 or bottom < 0 or left > width - 1 or top > height - 1:
        return None
    x0, x1 = _span(left, right, width)
    y0, y1 = _span(top, bottom, height)

    x, y = np.arange(x0, x1), np.arange(y0, y1)[:, None]
    crop_x = to_crop[0, 0] * x + to_crop[0, 1] * y + to_crop[0, 2]
    crop_y = to_crop[1, 0] * x + to_crop[1, 1] * y + to_crop[1, 2]
    end = crop_size - 0.5
    within = (crop_x >= -0.5) & (crop_x <= end) & (crop_y >= -0.5) & (crop_y <= end)
    if grid is None:
        cell_x = (crop_x + 0.5) * (cols / crop_size) - 0.5
        cell_y = (crop_y + 0.5) * (rows / crop_size) - 0.5
    else:
        cell_x, cell_y = (crop_x - grid.offset) / grid.stride, (crop_y - grid.offset) / grid.stride
    enlarged = cv2.remap(
        cells,
        cell_x.astype(np.float32),
        cell_y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Cubic interpolation overshoots; a probability must stay one.
    smooth = np.asarray(np.clip(enlarged, cells.min(), cells.max()), np.float32)
    smooth[~within] = 0
    return FrameWindow(slice(y0, y1), slice(x0, x1), smooth, within)


def to_frame(
    values: NDArray[np.floating],
    transform: NDArray[np.floating],
    crop_size: int,
    frame_shape: tuple[int, int],
    grid: CellGrid | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """:func:`to_window`, in a frame of its own.

    Returns
    -------
    pasted
        (H, W) float32, 0 outside the crop.
    inside
        (H, W) bool; True where the frame's pixel lies in the crop.
    """
    pasted = np.zeros(frame_shape, np.float32)
    inside = np.zeros(frame_shape, bool)
    window = to_window(values, transform, crop_size, frame_shape, grid)
    if window is not None:
        pasted[window.rows, window.columns] = window.values
        inside[window.rows, window.columns] = window.inside
    return pasted, inside

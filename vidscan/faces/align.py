"""Aligned face crops: the geometry, the resampling, and the way back into the frame.

Training, evaluation and scanning all cut their crops with :func:`align`, so that a network
sees the same picture everywhere. Coordinates follow :mod:`vidscan.types`: pixel centres are
at whole numbers, x to the right, y down, in the frame as well as in the crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

TEMPLATE_SIDE = 112.0
"""Side in pixels of the canonical face square that :data:`TEMPLATE` is drawn in."""

TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""(5, 2) float64 left eye, right eye, nose tip, left and right mouth corner of the canonical
face (the five-point template of ArcFace, Deng et al. 2019), in pixels of a 112 px square that
holds a frontal face from mid-forehead to chin."""

# How the detector's box lies in the canonical square: medians over 181 frontal portraits. The
# geometric mean of the box's sides varies least (by 3 %).
_SIDE_PER_BOX = 1.23
_BOX_CENTRE = np.array([55.5, 65.2])

# A crop may disagree with the detector's box by this factor; beyond, the points are wrong
# (in profile, or half out of the frame) and the box sets the scale.
_MAX_SCALE_RATIO = 1.5


@dataclass(frozen=True, slots=True)
class CropSpec:
    """What a square crop shows.

    Attributes
    ----------
    size
        Side of the crop in pixels.
    margin
        Side of the crop divided by the side of the face. The face is the 112 px square of
        :data:`TEMPLATE`: 1.0 is tight (mid-forehead to chin, ear to ear), 1.6 holds the
        whole head.
    """

    size: int
    margin: float

    def __post_init__(self) -> None:
        if self.size < 1 or not self.margin > 0:
            raise ValueError(f"CropSpec needs size >= 1 and margin > 0, got {self.size}, {self.margin}")

    @property
    def scale(self) -> float:
        """Crop pixels per template pixel."""
        return self.size / (TEMPLATE_SIDE * self.margin)

    @property
    def points(self) -> NDArray[np.float64]:
        """(5, 2) where the five points of a canonical face lie in the crop, in pixels."""
        return self.from_template(TEMPLATE)

    def from_template(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Maps (..., 2) template pixels to crop pixels; centres of both squares coincide."""
        return (points - (TEMPLATE_SIDE - 1) / 2) * self.scale + (self.size - 1) / 2


# --------------------------------------------------------------------------- geometry


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares similarity (rotation, one scale, translation) from points to points.

    Umeyama (1991) in two dimensions without mirroring, where it has a closed form: with
    centred points as complex numbers the rotation and scale are one complex factor.

    Parameters
    ----------
    source
        (N, K, 2) points.
    target
        (K, 2) or (N, K, 2) points they should land on.

    Returns
    -------
    (N, 2, 3) float64 affine maps. Where all source points coincide the map is NaN.
    """
    src = np.asarray(source, np.float64)
    dst = np.broadcast_to(np.asarray(target, np.float64), src.shape)
    src_mean, dst_mean = src.mean(axis=1), dst.mean(axis=1)
    s, d = src - src_mean[:, None], dst - dst_mean[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = (s**2).sum(axis=(1, 2))
        norm = np.where(norm > 0, norm, np.nan)
        a = (s * d).sum(axis=(1, 2)) / norm
        b = (s[..., 0] * d[..., 1] - s[..., 1] * d[..., 0]).sum(axis=1) / norm
    linear = np.stack([np.stack([a, -b], axis=-1), np.stack([b, a], axis=-1)], axis=-2)
    offset = dst_mean - np.einsum("nij,nj->ni", linear, src_mean)
    return np.concatenate([linear, offset[..., None]], axis=-1)


def crop_transform(
    points: NDArray[np.floating], spec: CropSpec, boxes: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Maps from frame pixels to crop pixels that bring faces into the canonical pose.

    In profile the five points come together sideways, but eyes and mouth stay apart, so the
    least-squares scale changes by some ten percent only. Points that are broken (coinciding
    or not finite) or that disagree with the box are caught only where ``boxes`` is given:
    broken ones take :func:`box_transform`, and a scale off by more than 1.5 is held there.

    Parameters
    ----------
    points
        (N, 5, 2) points in frame pixels, in the order of :class:`vidscan.types.Detection`.
    spec
        The crop.
    boxes
        (N, 4) boxes x0, y0, x1, y1 of the same faces, or None.

    Returns
    -------
    (N, 2, 3) float64.

    Raises
    ------
    ValueError
        Where a shape is wrong, or points are broken and no box is given.
    """
    pts = np.asarray(points, np.float64)
    if pts.ndim != 3 or pts.shape[1:] != (5, 2):
        raise ValueError(f"points must be (N, 5, 2), got {pts.shape}")
    out = similarity(pts, spec.points)
    broken = np.asarray(~np.isfinite(out).all(axis=(1, 2)), bool)
    if boxes is None:
        if broken.any():
            raise ValueError("points coincide or are not finite, and no box was given")
        return out
    fallback = box_transform(boxes, spec)
    if len(fallback) != len(out):
        raise ValueError(f"{len(out)} faces but {len(fallback)} boxes")
    out = np.where(broken[:, None, None], fallback, out)
    ratio = _scale(out) / _scale(fallback)
    correction = np.clip(ratio, 1 / _MAX_SCALE_RATIO, _MAX_SCALE_RATIO) / ratio
    # Rescaling about the crop's centre keeps the pose.
    centre = (spec.size - 1) / 2
    out *= correction[:, None, None]
    out[:, :, 2] += centre * (1 - correction[:, None])
    return out


def box_transform(boxes: NDArray[np.floating], spec: CropSpec) -> NDArray[np.float64]:
    """Upright crops from the detector's boxes alone, for faces whose points cannot be used.

    Parameters
    ----------
    boxes
        (N, 4) x0, y0, x1, y1 in frame pixels.
    spec
        The crop.

    Returns
    -------
    (N, 2, 3) float64 maps from frame pixels to crop pixels, without rotation.
    """
    b = np.asarray(boxes, np.float64).reshape(-1, 4)
    sides = np.maximum(b[:, 2:] - b[:, :2], 1.0)
    side = np.sqrt(sides.prod(axis=1)) * _SIDE_PER_BOX
    scale = spec.size / (spec.margin * side)
    centre = (b[:, :2] + b[:, 2:]) / 2
    out = np.zeros((len(b), 2, 3))
    out[:, 0, 0] = out[:, 1, 1] = scale
    out[:, :, 2] = spec.from_template(_BOX_CENTRE) - scale[:, None] * centre
    return out


def invert_affine(transforms: NDArray[np.floating]) -> NDArray[np.float64]:
    """Inverse of (..., 2, 3) affine maps, float64.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where a map is singular.
    """
    m = np.asarray(transforms, np.float64)
    linear = np.linalg.inv(m[..., :2])
    return np.concatenate([linear, -(linear @ m[..., 2:])], axis=-1)


def apply_affine(transforms: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Maps points: transforms (..., 2, 3) and points (..., K, 2) give (..., K, 2) float64."""
    m = np.asarray(transforms, np.float64)
    return np.asarray(points, np.float64) @ np.swapaxes(m[..., :2], -1, -2) + m[..., None, :, 2]


def _scale(transforms: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) output pixels per input pixel of (N, 2, 3) similarities."""
    return np.sqrt(np.abs(np.linalg.det(np.asarray(transforms, np.float64)[..., :2])))


# --------------------------------------------------------------------------- resampling


def align(
    images: torch.Tensor,
    frame_index: NDArray[np.integer] | torch.Tensor,
    transforms: NDArray[np.floating],
    spec: CropSpec,
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
        (T, H, W, 3) RGB, uint8 or float in 0..255, on any device.
    frame_index
        (N,) which of the T frames each crop comes from.
    transforms
        (N, 2, 3) maps from frame pixels to crop pixels (:func:`crop_transform`).
    spec
        The crop.

    Returns
    -------
    (N, 3, size, size) float32 RGB in 0..255 on the device of ``images``.

    Raises
    ------
    ValueError
        Where shapes disagree or a map is not finite.
    """
    import torch

    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"images must be (T, H, W, 3), got {tuple(images.shape)}")
    maps = np.asarray(transforms, np.float64).reshape(-1, 2, 3)
    frames = [int(i) for i in frame_index]
    if len(frames) != len(maps):
        raise ValueError(f"{len(frames)} frame indices but {len(maps)} transforms")
    if not np.isfinite(maps).all():
        raise ValueError("transforms must be finite")
    out = torch.empty((len(maps), 3, spec.size, spec.size), dtype=torch.float32, device=images.device)
    for n, (frame, to_frame_px) in enumerate(zip(frames, invert_affine(maps), strict=True)):
        out[n] = _cut(images[frame], to_frame_px, spec.size)
    return out.clamp_(0, 255)


def _cut(image: torch.Tensor, to_image: NDArray[np.float64], size: int) -> torch.Tensor:
    """One (3, size, size) float32 crop of one (H, W, 3) image; may overshoot 0..255."""
    import torch
    from torch.nn import functional

    height, width = int(image.shape[0]), int(image.shape[1])
    step = float(_scale(to_image[None])[0])  # image pixels per crop pixel
    end = size - 0.5
    corners = apply_affine(to_image, np.array([[-0.5, -0.5], [end, -0.5], [-0.5, end], [end, end]]))
    # Room for the four taps of the cubic, in reduced pixels.
    room = 3 * max(step, 1.0)
    x0, x1 = _span(corners[:, 0].min() - room, corners[:, 0].max() + room, width)
    y0, y1 = _span(corners[:, 1].min() - room, corners[:, 1].max() + room, height)
    region = image[y0:y1, x0:x1].permute(2, 0, 1).to(torch.float32).contiguous()[None]
    h, w = y1 - y0, x1 - x0
    if step > 1:
        # Whole numbers of reduced pixels: the two axes' factors differ a little from `step`,
        # which the coordinates below account for exactly.
        reduced = (max(1, math.ceil(h / step)), max(1, math.ceil(w / step)))
        region = functional.interpolate(
            region, size=reduced, mode="bicubic", align_corners=False, antialias=True
        )
    # grid_sample without align_corners wants -1 and 1 at the outer edges of the region, which
    # reducing it does not move: (x - x0 + .5) / w * 2 - 1.
    theta = to_image.copy()
    theta[:, 2] -= (x0 - 0.5, y0 - 0.5)
    theta *= np.array([[2 / w], [2 / h]])
    theta[:, 2] -= 1
    axis = torch.arange(size, dtype=torch.float32, device=image.device)
    gx = float(theta[0, 0]) * axis[None, :] + (float(theta[0, 1]) * axis[:, None] + float(theta[0, 2]))
    gy = float(theta[1, 0]) * axis[None, :] + (float(theta[1, 1]) * axis[:, None] + float(theta[1, 2]))
    grid = torch.stack([gx, gy], dim=-1)[None]
    return functional.grid_sample(region, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]


def _span(low: float, high: float, length: int) -> tuple[int, int]:
    """Whole pixels [first, last) that cover low..high within 0..length-1, at least one."""
    first = min(max(math.floor(low), 0), length - 1)
    last = max(min(math.ceil(high) + 1, length), first + 1)
    return first, last


# --------------------------------------------------------------------------- back to the frame


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Which crop pixels the cells of a grid belong to.

    Attributes
    ----------
    stride
        Crop pixels from one cell to the next.
    offset
        Crop pixel, across and down alike, that the first cell belongs to: cell (i, j) belongs to row
        ``offset + i * stride`` and column ``offset + j * stride``.
    """

    stride: float
    offset: float


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
        the rows i*size/h .. (i+1)*size/h and columns likewise, and belongs to its centre.

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
    end = crop_size - 0.5
    corners = apply_affine(
        invert_affine(to_crop), np.array([[-0.5, -0.5], [end, -0.5], [-0.5, end], [end, end]])
    )
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    if right < 0 or bottom < 0 or left > width - 1 or top > height - 1:
        return None
    x0, x1 = _span(left, right, width)
    y0, y1 = _span(top, bottom, height)

    x, y = np.arange(x0, x1), np.arange(y0, y1)[:, None]
    crop_x = to_crop[0, 0] * x + to_crop[0, 1] * y + to_crop[0, 2]
    crop_y = to_crop[1, 0] * x + to_crop[1, 1] * y + to_crop[1, 2]
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

"""Where an aligned crop lies in its frame: the canonical face, and the maps between their pixels.

Coordinates follow :mod:`vidscan.types`: pixel centers are at whole numbers, x to the right, y down, in
the frame as well as in the crop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidscan.types import Face

MIN_FACE = 1 / 12
"""Smallest face looked for, as a share of the frame's short side."""
_MIN_FACE_PX = 40

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
        """Maps (..., 2) template pixels to crop pixels; centers of both squares coincide."""
        return (points - (TEMPLATE_SIDE - 1) / 2) * self.scale + (self.size - 1) / 2


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares similarity (rotation, one scale, translation) from points to points.

    Umeyama (1991) in two dimensions without mirroring, where it has a closed form: with
    centered points as complex numbers the rotation and scale are one complex factor.

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
    src, dst = (
        np.ascontiguousarray(points, np.float64).view(np.complex128)[..., 0] for points in (source, target)
    )
    with np.errstate(invalid="ignore"):  # points may be infinite
        src_mean, dst_mean = src.mean(-1, keepdims=True), dst.mean(-1, keepdims=True)
        centred = src - src_mean
        norm = (centred.real**2 + centred.imag**2).sum(-1)
        factor = (centred.conj() * (dst - dst_mean)).sum(-1) / np.where(norm > 0, norm, np.nan)
        offset = dst_mean[..., 0] - factor * src_mean[..., 0]
    out = np.empty((len(factor), 2, 3))
    out[:, 0, 0] = out[:, 1, 1] = factor.real
    out[:, 1, 0], out[:, 0, 1] = factor.imag, -factor.imag
    out[:, 0, 2], out[:, 1, 2] = offset.real, offset.imag
    return out


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
    ratio = similarity_scale(out) / similarity_scale(fallback)
    correction = np.clip(ratio, 1 / _MAX_SCALE_RATIO, _MAX_SCALE_RATIO) / ratio
    # Rescaling about the crop's center keeps the pose.
    centre = (spec.size - 1) / 2
    out *= correction[:, None, None]
    out[:, :, 2] += centre * (1 - correction[:, None])
    return out


def face_transforms(faces: Sequence[Face], spec: CropSpec) -> NDArray[np.float64]:
    """(N, 2, 3) maps from frame pixels to crop pixels of N faces (:func:`crop_transform`)."""
    if not faces:
        return np.zeros((0, 2, 3))
    points = np.stack([face.points for face in faces])
    return crop_transform(points, spec, np.stack([face.box for face in faces]))


def native_transforms(
    to_crop: NDArray[np.floating], spec: CropSpec, frame: tuple[int, int], largest: float
) -> NDArray[np.float64]:
    """Maps to upright crops of the same faces that keep the frame's own pixels.

    Resampling blurs the finest traces, so these crops neither turn nor enlarge a face; one larger than
    ``largest`` is reduced to that. They keep within the frame as far as it is large enough.

    Parameters
    ----------
    to_crop
        (N, 2, 3) maps from frame pixels to aligned crops (:func:`crop_transform`).
    spec
        Of these and of the new crops.
    frame
        Width and height.
    largest
        Side of a face in pixels, as ``spec`` measures it.

    Returns
    -------
    (N, 2, 3) float64 maps from frame pixels to crop pixels.
    """
    maps = np.asarray(to_crop, np.float64).reshape(-1, 2, 3)
    middle = np.full((len(maps), 1, 2), (spec.size - 1) / 2)
    centre = apply_affine(invert_affine(maps), middle)[:, 0]
    face = spec.size / (spec.margin * similarity_scale(maps))
    scale = np.minimum(1.0, largest / face)
    side = spec.size / scale
    room = np.array(frame, np.float64) - side[:, None]
    first = np.clip(np.round(centre - (side[:, None] - 1) / 2), np.minimum(0, room), np.maximum(0, room))
    # Where the frame is smaller than the crop, it is shown in the middle.
    first = np.where(room < 0, np.round(room / 2), np.floor(first))
    out = np.zeros((len(maps), 2, 3))
    out[:, 0, 0] = out[:, 1, 1] = scale
    out[:, :, 2] = (0.5 - first) * scale[:, None] - 0.5
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


def similarity_scale(transforms: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) output pixels per input pixel of (N, 2, 3) similarities."""
    return np.sqrt(np.abs(np.linalg.det(np.asarray(transforms, np.float64)[..., :2])))


def smallest_face_px(width: int, height: int, min_face: float = MIN_FACE) -> int:
    """Smallest face (side of its box in pixels) looked for in frames of this size; never under 40."""
    return max(math.ceil(min_face * min(width, height)), _MIN_FACE_PX)

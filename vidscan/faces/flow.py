"""Following a face from one frame to the next by optical flow, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.faces.geometry import TEMPLATE, CropSpec, apply_affine, invert_affine, similarity

_FRAME_SIDE = 640
"""Frames are followed at this long side in pixels: enough for a face of 1/12 of the short side."""
_GRID = np.concatenate([TEMPLATE, np.stack(np.meshgrid(*[np.linspace(26, 86, 6)] * 2), -1).reshape(-1, 2)])
"""(41, 2) what is followed, in template pixels: the five points and a grid over eyes, nose, mouth."""
_TEMPLATE_SPEC = CropSpec(size=112, margin=1.0)
_LOOK = CropSpec(size=32, margin=1.1)


@dataclass(frozen=True, slots=True)
class SmallFrame:
    """A frame scaled down for following.

    ``rgb`` is (h, w, 3) and ``grey`` (h, w), both uint8; ``scale`` is the number of its pixels
    per pixel of the full frame.
    """

    rgb: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    scale: float

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> SmallFrame:
        """Scales (H, W, 3) RGB uint8 down to a long side of 640 px, never up."""
        scale = min(1.0, _FRAME_SIDE / max(image.shape[:2]))
        if scale < 1:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return cls(image, np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8), scale)

    def from_full(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., 2) full-frame pixels to this frame's: edges coincide, centers do not."""
        return (np.asarray(points, np.float64) + 0.5) * self.scale - 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """What a face looks like: an aligned thumbnail, its brightness taken out, and its color."""

    thumb: NDArray[np.float32]
    """(1024,) float32 of zero mean and unit length (all zero where the face is flat)."""
    chroma: NDArray[np.float64]
    """(2,) share of red and of green in the mean color."""

    @classmethod
    def of(cls, frame: SmallFrame, points: NDArray[np.floating]) -> Look:
        """The look of the face at (5, 2) full-frame points."""
        to_crop = similarity(frame.from_full(points)[None], _LOOK.points)[0]
        if not np.isfinite(to_crop).all():
            return cls(np.zeros(_LOOK.size**2, np.float32), np.full(2, 1 / 3))
        crop = cv2.warpAffine(
            frame.rgb,
            to_crop,
            (_LOOK.size, _LOOK.size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        crop = cv2.GaussianBlur(crop.astype(np.float32), (5, 5), 1.2)
        grey = crop.mean(axis=2).ravel()
        grey -= grey.mean()
        # A floor under the contrast: noise on a flat area resembles nothing.
        thumb = np.asarray(grey / max(float(np.linalg.norm(grey)), 4.0 * _LOOK.size), np.float32)
        mean = crop.mean(axis=(0, 1), dtype=np.float64) + 8.0
        return cls(thumb, mean[:2] / mean.sum())

    def likeness(self, other: Look) -> float:
        """1 for the same picture, around .5 for two people, less for anything else."""
        tint = float(np.abs(self.chroma - other.chroma).max())
        # Light may tint a face a little.
        return float(self.thumb @ other.thumb) - 5.0 * max(0.0, tint - 0.03)

    def blended(self, newer: Look, weight: float) -> Look:
        """This look with ``weight`` (0..1) of a newer one, to keep up with pose and light."""
        thumb = (1 - weight) * self.thumb + weight * newer.thumb
        norm = float(np.linalg.norm(thumb))
        return Look(
            np.asarray(thumb / norm if norm > 0 else thumb, np.float32),
            (1 - weight) * self.chroma + weight * newer.chroma,
        )


def follow(
    before: SmallFrame, after: SmallFrame, faces: list[NDArray[np.floating]]
) -> list[NDArray[np.float64] | None]:
    """How faces move from one frame to the next.

    Pyramidal Lucas-Kanade flow (Bouguet 2000) of a grid over each face, there and back; what
    does not return to where it started is dropped, and a similarity is fitted robustly to the
    rest.

    Parameters
    ----------
    before, after
        Two frames of one size.
    faces
        The (5, 2) points of each face in ``before``, full-frame pixels.

    Returns
    -------
    For each face the (2, 3) map of full-frame pixels from ``before`` to ``after``, None where it
    was lost.
    """
    if not faces:
        return []
    to_template = similarity(np.stack(faces), _TEMPLATE_SPEC.points)
    found = [np.isfinite(m).all() and abs(np.linalg.det(m[:, :2])) > 1e-9 for m in to_template]
    full = [
        apply_affine(invert_affine(m), _GRID) if ok else None
        for m, ok in zip(to_template, found, strict=True)
    ]
    known = [p for p in full if p is not None]
    if not known:
        return [None] * len(faces)
    start = before.from_full(np.concatenate(known)).astype(np.float32)[:, None]
    there, ok_there = _flow(before.grey, after.grey, start)
    back, ok_back = _flow(after.grey, before.grey, there)
    returned = ok_there & ok_back
    returned &= np.linalg.norm(back - start, axis=2).ravel() < 1.0
    moves: list[NDArray[np.float64] | None] = []
    row = 0
    for points in full:
        if points is None:
            moves.append(None)
            continue
        rows = slice(row, row + len(_GRID))
        row += len(_GRID)
        moves.append(_fit(start[rows, 0], there[rows, 0], returned[rows], before.scale))
    return moves


def _flow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where (K, 1, 2) points of one gray frame are in the next, and which (K,) were found."""
    guess = points.copy()
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, guess, winSize=(17, 17), maxLevel=3)
    return np.asarray(moved, np.float32), np.asarray(found).ravel() > 0


def _fit(
    source: NDArray[np.float32], target: NDArray[np.float32], good: NDArray[np.bool_], scale: float
) -> NDArray[np.float64] | None:
    """The (2, 3) similarity in full-frame pixels behind most of the good flow vectors, or None."""
    if good.sum() < 0.4 * len(good):
        return None
    side = float(np.ptp(source, axis=0).max())
    move, inliers = cv2.estimateAffinePartial2D(
        source[good], target[good], method=cv2.RANSAC, ransacReprojThreshold=max(0.75, 0.02 * side)
    )
    if move is None or inliers.sum() < 0.4 * len(good):
        return None
    zoom = float(np.hypot(move[0, 0], move[1, 0]))
    if not 0.75 < zoom < 1.33:
        return None
    # Small pixels p are full-frame pixels P with p = s (P + edge).
    out = np.array(move, np.float64)
    edge = np.full(2, 0.5 - 0.5 / scale)
    out[:, 2] = out[:, :2] @ edge - edge + out[:, 2] / scale
    return out

"""A forgery that stays on a face while the face moves, and the way back into the frame."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.faces.align import CropSpec, align, apply_affine, crop_transform, to_frame
from vidscan.forge.base import Faces, Forgery
from vidscan.forge.template import fitted_landmarks
from vidscan.forge.tracks import TrackPath

MARGIN = 2.0
_SIDES = (96, 640)
"""Smallest and largest side of a crop in pixels; in between it has the frame's own resolution."""
_EDGE = 0.08
"""Share of the crop's side over which a forgery that fills the crop fades out."""
_GAP_S = 0.3
"""A face that was away for longer is smoothed afresh."""
_LABEL_S = 0.04
"""Time constant in seconds by which a labeler's landmarks are smoothed."""

Labeller = Callable[[NDArray[np.uint8]], "NDArray[np.float32] | None"]
"""(S, S, 3) RGB uint8 crop -> (478, 2) landmarks in its pixels, or None where it finds no face."""

Companion = Callable[[Faces, float], "Faces | None"]
"""The second face of the batch, given the present one and its time; None while there is none."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A frame after one forgery.

    Attributes
    ----------
    image
        (H, W, 3) RGB uint8; the frame as it was wherever ``mask`` is 0.
    mask
        (H, W) uint8; 255 times the share of each pixel that is forged.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


class Jitter:
    """What trembles in a forgery from frame to frame: first-order autoregressive noise.

    ``step`` gives (5,) values of unit variance whose correlation falls to 1/e in .4 seconds.
    """

    _MEMORY_S = 0.4

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._state = self._rng.standard_normal(5)
        self._time_s: float | None = None

    def step(self, time_s: float) -> NDArray[np.float64]:
        if self._time_s is not None:
            keep = math.exp(-(time_s - self._time_s) / self._MEMORY_S)
            self._state = keep * self._state + math.sqrt(1 - keep**2) * self._rng.standard_normal(5)
        self._time_s = time_s
        return self._state


class Past:
    """Remembers a face for ``delay_s`` seconds and gives it back then."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._kept: deque[tuple[float, Tensor, Tensor]] = deque()

    def __call__(self, faces: Faces, time_s: float) -> Faces | None:
        self._kept.append((time_s, faces.images.round().to(torch.uint8), faces.landmarks))
        wanted = time_s - self._delay_s + 1e-6
        while len(self._kept) > 1 and self._kept[1][0] <= wanted:
            self._kept.popleft()
        then, images, landmarks = self._kept[0]
        return Faces(images.float(), landmarks) if then <= wanted else None


def crop_spec(track: TrackPath) -> CropSpec:
    """A crop for the whole track, of about the frame's own resolution."""
    side = float(np.median(track.sides)) * MARGIN
    return CropSpec(int(np.clip(round(side / 16) * 16, *_SIDES)), MARGIN)


def cut_face(
    image: NDArray[np.uint8],
    points: NDArray[np.float64],
    to_crop: NDArray[np.float64],
    spec: CropSpec,
    device: torch.device,
    label: Labeller | None,
) -> Faces:
    """One aligned face with its landmarks: the labeler's, else an average face's on the points.

    ``image`` (H, W, 3) RGB uint8; ``points`` (5, 2) in its pixels; ``to_crop`` (2, 3).
    """
    crop = align(torch.from_numpy(image[None]).to(device), np.zeros(1, np.int64), to_crop[None], spec)
    found = None
    if label is not None:
        found = label(crop[0].permute(1, 2, 0).round().to(torch.uint8).cpu().numpy())
    if found is None:
        found = fitted_landmarks(apply_affine(to_crop, points), spec)
    return Faces(crop, torch.from_numpy(found)[None].to(device))


class TrackForger:
    """Forges one face through a clip; frames have to come in order.

    The forgery's generator is seeded alike for each frame and it is given one face at a time, so that it
    draws the same every time, in coordinates of the crop: mask, color, warp and generator pattern stick
    to the face. Strength (3 %) and place (.3 % of the face) tremble a little, correlated in time, as what
    is composited frame by frame does.

    Parameters
    ----------
    track
        Where the face is, smoothed.
    forgery
        Forges the first face of a batch.
    seed
        Of the draw and of the trembling.
    device
        Where it is forged.
    companion
        Gives the second face of the batch, where the forgery wants one.
    label
        Finds landmarks on crops.
    """

    def __init__(
        self,
        track: TrackPath,
        forgery: Forgery,
        seed: int,
        device: torch.device,
        companion: Companion | None = None,
        label: Labeller | None = None,
    ) -> None:
        self._track, self._forgery, self._seed, self._device = track, forgery, seed, device
        self._companion, self._label = companion, label
        self._spec = crop_spec(track)
        self._to_crop = crop_transform(track.points, self._spec, track.boxes)
        self._window = _window(self._spec.size).to(device)
        self._jitter = Jitter(seed)
        self._landmarks: Tensor | None = None
        self._seen_s = -math.inf

    def forge(self, image: NDArray[np.uint8], index: int, time_s: float, active: bool) -> Layer | None:
        """Forge the face in frame ``index``; None where there is none or it is not its turn (``active``).

        Every frame has to be shown, also those to be left alone: some forgeries live on what was before.
        """
        row = int(np.searchsorted(self._track.frames, index))
        if row == len(self._track.frames) or self._track.frames[row] != index:
            return None
        if not active and not isinstance(self._companion, Past):
            return None
        to_crop = self._to_crop[row]
        faces = cut_face(image, self._track.points[row], to_crop, self._spec, self._device, self._label)
        faces = self._steadied(faces, time_s)
        batch = faces
        if self._companion is not None:
            other = self._companion(faces, time_s)
            if other is None:
                return None
            batch = Faces(
                torch.cat([faces.images, other.images]), torch.cat([faces.landmarks, other.landmarks])
            )
        if not active:
            return None
        wander = self._jitter.step(time_s)
        batch.landmarks[:1] = self._trembling(batch.landmarks[:1], wander)
        generator = torch.Generator(self._device).manual_seed(self._seed)
        forged = self._forgery(batch, generator)
        share = self._window * (1 - 0.03 * min(2.0, abs(float(wander[4]))))
        change = torch.cat([forged.images[:1] - faces.images, forged.mask[:1]], 1) * share
        return self._back(image, change[0].cpu().numpy(), to_crop)

    def _steadied(self, faces: Faces, time_s: float) -> Faces:
        """With a labeler's landmarks averaged over the last frames."""
        if self._label is None:
            return faces
        landmarks, away_s = faces.landmarks, time_s - self._seen_s
        if self._landmarks is not None and away_s < _GAP_S:
            landmarks = torch.lerp(self._landmarks, landmarks, 1 - math.exp(-away_s / _LABEL_S))
        self._landmarks, self._seen_s = landmarks, time_s
        return Faces(faces.images, landmarks)

    def _trembling(self, landmarks: Tensor, wander: NDArray[np.float64]) -> Tensor:
        """Landmarks shifted and scaled by .3 % of the face and turned by .2 degrees."""
        face = self._spec.size / self._spec.margin
        angle, scale = math.radians(0.2) * float(wander[2]), 1 + 0.003 * float(wander[3])
        turn = scale * torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], device=self._device
        )
        shift = torch.tensor(0.003 * face * wander[:2], dtype=torch.float32, device=self._device)
        centre = landmarks.mean(1, keepdim=True)
        return (landmarks - centre) @ turn.T + centre + shift

    def _back(
        self, image: NDArray[np.uint8], change: NDArray[np.float32], to_crop: NDArray[np.float64]
    ) -> Layer:
        """Add the difference, not the crop: resampling then leaves no trace outside the mask."""
        shape = (image.shape[0], image.shape[1])
        red, green, blue, share = (to_frame(plane, to_crop, self._spec.size, shape)[0] for plane in change)
        mask = np.rint(share * 255).astype(np.uint8)
        difference = np.stack([red, green, blue], -1)
        difference[mask == 0] = 0
        return Layer(_rounded(image + difference), mask)


class FrameForger:
    """Forges whole frames, those that show a face; one draw for the clip.

    Parameters
    ----------
    frames
        Indexes of the frames that show a face.
    forgery
        One that needs no landmarks.
    seed
        Of the draw.
    device
        Where it is forged.
    """

    def __init__(self, frames: NDArray[np.int64], forgery: Forgery, seed: int, device: torch.device) -> None:
        self._frames, self._forgery, self._seed, self._device = frames, forgery, seed, device

    def forge(self, image: NDArray[np.uint8], index: int, time_s: float, active: bool) -> Layer | None:
        """Forge frame ``index``; None where it shows no face or it is not its turn (``active``)."""
        row = int(np.searchsorted(self._frames, index))
        if not active or row == len(self._frames) or self._frames[row] != index:
            return None
        whole = torch.from_numpy(image).permute(2, 0, 1)[None].float().to(self._device)
        generator = torch.Generator(self._device).manual_seed(self._seed)
        forged = self._forgery(Faces(whole, whole.new_zeros(1, 478, 2)), generator)
        mask = (forged.mask[0, 0] * 255).round().to(torch.uint8).cpu().numpy()
        return Layer(_rounded(forged.images[0].permute(1, 2, 0).cpu().numpy()), mask)


def _rounded(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _window(size: int) -> Tensor:
    """(1, 1, size, size): 1, falling smoothly to 0 at the borders."""
    away = torch.minimum(torch.arange(size), torch.arange(size).flip(0)) / (_EDGE * size)
    ramp = away.clamp(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return torch.minimum(ramp[:, None], ramp[None, :])[None, None]

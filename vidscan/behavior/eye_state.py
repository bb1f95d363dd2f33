"""Open or shut: a small CNN over eye crops, followed by an LSTM over time.

The idea is that of Li, Chang & Lyu, *In Ictu Oculi: Exposing AI Created Fake Videos by Detecting Eye
Blinking* (WIFS 2018): whether an eye is shut shows in how it came to be so. Theirs is a VGG16 per frame;
this network has 70 thousand weights, and sees the person's right eye and the mirrored left one as two
samples of the same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidscan.color import luminance
from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec, align, similarity
from vidscan.faces.face_model import OUTER_EYE_CORNERS
from vidscan.models import ModelRecord, with_weights

CORNERS = np.array([[OUTER_EYE_CORNERS[0], 39], [OUTER_EYE_CORNERS[1], 42]])
"""iBUG indices of the outer and inner corner of the left and right eye as seen in the image."""

MOST_STATES = 64
"""Tracks whose past is kept: tracks end without a word, and a long film has thousands."""

_CONTRAST_FLOOR = 8.0
"""Grey levels: crops flatter than this are noise, which must not be stretched to a picture."""


@dataclass(frozen=True, slots=True)
class EyeSpec:
    """What an eye crop shows: wider than high, by an even number of pixels."""

    height: int = 24
    width: int = 40
    span: float = 2.0
    """Width of the crop as a multiple of the distance between the eye's corners."""

    def __post_init__(self) -> None:
        if not (0 < self.height <= self.width and (self.width - self.height) % 2 == 0 and self.span > 0):
            raise ValueError(f"not an eye crop: {self.height} x {self.width}, span {self.span}")

    @property
    def corners(self) -> NDArray[np.float64]:
        """(2, 2) where the outer and the inner corner lie in the crop, in pixels."""
        middle = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        half = np.array([self.width / self.span / 2, 0.0])
        return np.stack([middle - half, middle + half])


EYE_SPEC = EyeSpec()


# --------------------------------------------------------------------------- crops


def eye_transforms(landmarks: NDArray[np.floating], spec: EyeSpec = EYE_SPEC) -> NDArray[np.float64]:
    """Maps from image pixels to eye crop pixels.

    Parameters
    ----------
    landmarks
        (N, 68, 2) or (N, 68, 3) iBUG order, image pixels.
    spec
        The crop. Corners lie level, the outer one to the left: the right eye as seen in the image is
        mirrored.

    Returns
    -------
    (N, 2, 2, 3) float64, left and right eye as seen in the image; NaN where the landmarks are or where the
    corners coincide.
    """
    corners = np.asarray(landmarks, np.float64)[:, CORNERS, :2]
    mirror = np.array([[1.0, 1.0], [-1.0, 1.0]])  # x, y of either eye
    maps = similarity((corners * mirror[:, None]).reshape(-1, 2, 2), spec.corners).reshape(-1, 2, 2, 3)
    maps[..., :2] *= mirror[:, None]
    return maps


def eye_crops(
    images: Tensor | NDArray[np.uint8] | Sequence[Tensor],
    index: NDArray[np.integer],
    landmarks: NDArray[np.floating],
    spec: EyeSpec = EYE_SPEC,
) -> Tensor:
    """Cuts both eyes out of frames, antialiased, on the device the frames are on.

    Parameters
    ----------
    images
        (T, H, W, 3) RGB uint8, or float in 0..255; or T tensors (H, W, 3).
    index
        (N,) which of the T frames each face is in.
    landmarks
        (N, 68, 2) or (N, 68, 3) iBUG order, pixels of the frames; NaN where the face was lost.
    spec
        The crop.

    Returns
    -------
    (N, 2, 24, 40) float32 gray 0..255: left and right eye as seen in the image, the right one mirrored. NaN
    where the face was lost.

    Raises
    ------
    ValueError
        Where shapes disagree.
    """
    frames = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
    if len(index) != len(landmarks):
        raise ValueError(f"{len(index)} frame indices but {len(landmarks)} faces")
    maps = eye_transforms(landmarks, spec).reshape(-1, 2, 3)
    which = np.repeat(np.asarray(index, np.int64), 2)
    found = np.isfinite(maps).all(axis=(1, 2))
    # Aligned crops are square: the eye's rows are the middle of one.
    square = maps[found]
    above = (spec.width - spec.height) // 2
    square[:, 1, 2] += above
    whole = align(frames, which[found], square, CropSpec(spec.width, 1.0), rounded=True)
    crops = whole[:, :, above : above + spec.height]
    out = torch.full((len(maps), spec.height, spec.width), torch.nan, device=crops.device)
    out[torch.from_numpy(found).to(out.device)] = luminance(crops)[:, 0]
    return out.view(-1, 2, spec.height, spec.width)


def normalise_eyes(crops: Tensor) -> Tensor:
    """(..., H, W) gray 0..255 to mean 0 and deviation 1 each: light and skin do not matter.

    Training and scanning both call this.
    """
    mean = crops.mean((-2, -1), keepdim=True)
    spread = (crops - mean).square().mean((-2, -1), keepdim=True).sqrt()
    return (crops - mean) / (spread + _CONTRAST_FLOOR)


# --------------------------------------------------------------------------- the network


class EyeNetwork(nn.Module):
    """Log-odds that an eye is shut, frame by frame, from what was seen of it so far.

    Parameters
    ----------
    channels
        Of the convolutions, each of which halves the crop's sides.
    features
        Of a crop, which the LSTM and the head see.
    hidden
        State of the LSTM.
    spec
        The crop.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (16, 32, 48),
        features: int = 48,
        hidden: int = 48,
        spec: EyeSpec = EYE_SPEC,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, height, width = 1, spec.height, spec.width
        for outputs in channels:
            kernel = 5 if inputs == 1 else 3
            layers += [
                nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            inputs, height, width = outputs, (height + 1) // 2, (width + 1) // 2
        self.look = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(inputs * height * width, features), nn.ReLU()
        )
        self.recall = nn.LSTM(features, hidden, batch_first=True)
        self.head = nn.Linear(features + hidden, 1)

    def forward(
        self, crops: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Follow B eyes over T frames.

        Parameters
        ----------
        crops
            (B, T, 1, 24, 40) gray 0..255.
        state
            What an earlier call returned for the same eyes; None at their first frame.

        Returns
        -------
        tuple
            (B, T) log-odds, and the state to go on from.
        """
        batch, time = crops.shape[:2]
        seen = self.look(normalise_eyes(crops.flatten(0, 1))).view(batch, time, -1)
        recalled, state = self.recall(seen, state)
        return self.head(torch.cat([seen, recalled], -1))[..., 0], state


class EyeState:
    """The trained network over tracks as they come in, chunk by chunk.

    Parameters
    ----------
    record
        Registry record of kind ``blink``.
    device
        ``cpu`` or ``cuda[:n]``.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """

    def __init__(self, record: ModelRecord, device: str = "cpu") -> None:
        settings = record.settings
        try:
            self.spec = EyeSpec(**settings["crop"])
            shape = tuple(settings["channels"]), settings["features"], settings["hidden"]
            network = with_weights(lambda: EyeNetwork(*shape, self.spec), record.load())
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"registry record of {record.name} does not fit its weights: {error}"
            ) from error
        self.network = network.to(device)
        self.record, self.device = record, device
        self._states: dict[int, tuple[Tensor, Tensor]] = {}

    def anew(self) -> EyeState:
        """The same network without a track: each clip takes its own."""
        fresh = copy(self)
        fresh._states = {}
        return fresh

    def crops(
        self,
        images: Tensor | NDArray[np.uint8] | Sequence[Tensor],
        index: NDArray[np.integer],
        landmarks: NDArray[np.floating],
    ) -> Tensor:
        """:func:`eye_crops` as the record's crop wants them."""
        return eye_crops(images, index, landmarks, self.spec)

    def read(
        self,
        images: Tensor | NDArray[np.uint8] | Sequence[Tensor],
        index: NDArray[np.integer],
        landmarks: NDArray[np.floating],
        tracks: Sequence[int],
    ) -> NDArray[np.float32]:
        """Go on with every track that is seen in some frames.

        Parameters
        ----------
        images, index, landmarks
            As :func:`eye_crops` takes them, in time order within each track.
        tracks
            (N,) whose face each is.

        Returns
        -------
        (N, 2) as :meth:`update` gives them.
        """
        crops, whose = self.crops(images, index, landmarks), np.asarray(tracks)
        out = np.empty((len(whose), 2), np.float32)
        for track_id in dict.fromkeys(tracks):
            rows = np.flatnonzero(whose == track_id)
            out[rows] = self.update(track_id, crops[torch.from_numpy(rows).to(crops.device)])
        return out

    @torch.no_grad()
    def update(self, track_id: int, crops: Tensor) -> NDArray[np.float32]:
        """Go on with a track.

        However a track is cut into chunks, the answer is the same. A track after which
        :data:`MOST_STATES` others were seen begins anew.

        Parameters
        ----------
        track_id
            Whose eyes these are.
        crops
            (T, 2, 24, 40) as :func:`eye_crops` gives them, in time order.

        Returns
        -------
        (T, 2) probabilities that the left and right eye as seen in the image are shut; NaN where the crops
        are: such frames do not count.
        """
        out = np.full(crops.shape[:2], np.nan, np.float32)
        seen = ~crops.isnan().flatten(1).any(1)
        if seen.any():
            eyes = crops[seen].to(self.device).transpose(0, 1)[:, :, None]
            logits, self._states[track_id] = self.network(eyes, self._states.pop(track_id, None))
            if len(self._states) > MOST_STATES:
                del self._states[next(iter(self._states))]
            out[seen.cpu().numpy()] = logits.sigmoid().T.cpu().numpy()
        return out

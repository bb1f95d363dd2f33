"""Dense landmarks, action units, eyes, gaze and head rotation of tracked faces, on any device.

Frames in which the network does not see a face in its place are marked lost: NaN, never a guess.
Nothing is smoothed over time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.errors import WeightsError
from vidscan.faces.align import CropSpec, align, apply_affine, crop_transform, face_transforms, invert_affine
from vidscan.faces.face_model import EYES
from vidscan.faces.landmark_network import GAZE_SCALE, SIZE, LandmarkNetwork, NetworkOutput
from vidscan.faces.rotation import euler_degrees
from vidscan.faces.texture import band_levels
from vidscan.faces.units import MAX_INTENSITY, UNITS
from vidscan.fusion import fuse_batch_norm
from vidscan.models import ModelRecord, with_weights
from vidscan.types import Face, FaceSeries

LOST = 0.5
"""Confidence below which the landmarks of a frame are marked lost."""
_OFF_CENTRE = 0.07
_OFF_SCALE = 0.12
_OFF_ROLL = math.radians(10)
_OUTPUT = tuple(field.name for field in fields(NetworkOutput))
_FIVE = (*EYES, slice(30, 31), slice(48, 49), slice(54, 55))


@dataclass(frozen=True, slots=True)
class FaceReadings:
    """What the networks say of N faces; the fields are those of :class:`vidscan.types.FaceSeries`.

    ``shut`` is another network's (:class:`vidscan.behavior.eye_state.EyeState`), who adds it.
    """

    landmarks: NDArray[np.float32]
    confidence: NDArray[np.float32]
    units: NDArray[np.float32]
    openness: NDArray[np.float32]
    rotation: NDArray[np.float32]
    gaze: NDArray[np.float32]
    texture: NDArray[np.float32]
    shut: NDArray[np.float32] | None = None

    def rows(self, index: list[int]) -> FaceReadings:
        """The readings of some of the faces."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {name: value[index] for name, value in values.items() if value is not None}
        return FaceReadings(**values)


class LandmarkReader:
    """Reads faces with a trained landmark network, as its registry record says.

    Parameters
    ----------
    record
        Registry record of kind ``landmarks``.
    device
        ``cpu`` or ``cuda[:n]``.
    batch
        Faces at once.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """

    def __init__(self, record: ModelRecord, device: str = "cpu", batch: int = 32) -> None:
        try:
            network = with_weights(LandmarkNetwork, record.load())
            crop = record.settings["crop"]
            self.spec = CropSpec(size=crop["size"], margin=crop["margin"])
            if self.spec.size != SIZE:
                raise ValueError(f"crops of {self.spec.size} pixels, not {SIZE}")
            if record.settings["units"] != list(UNITS):
                raise ValueError("other action units")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"registry record of {record.name} does not fit its weights: {error}"
            ) from error
        fuse_batch_norm(network)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.record, self.device, self.batch = record, device, batch

    @torch.no_grad()
    def output(self, crops: Tensor) -> NetworkOutput:
        """The network's answer to crops (N, 3, S, S) RGB 0..255, on the CPU; landmarks in crop pixels."""
        parts = [
            self.network(part.to(self.device).contiguous(memory_format=torch.channels_last))
            for part in crops.split(self.batch)
        ]
        found = {name: torch.cat([getattr(p, name).float().cpu() for p in parts]) for name in _OUTPUT}
        size = self.spec.size
        found["landmarks"] = found["landmarks"] * size + torch.tensor([(size - 1) / 2, (size - 1) / 2, 0.0])
        return NetworkOutput(**found)

    def read(
        self,
        images: Tensor | NDArray[np.uint8] | Sequence[Tensor],
        index: NDArray[np.int64],
        faces: list[Face],
    ) -> FaceReadings:
        """Read ``faces`` in frames (T, H, W, 3) RGB uint8; ``index`` (N,) says which frame each is in.

        Frames may also be T tensors (H, W, 3) on the reader's device.

        A face that turns out to lie off the middle of its crop is cut once more, where its own landmarks
        say that it is: tracking need not be as exact as detection.
        """
        to_crop = face_transforms(faces, self.spec)
        frames = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
        if isinstance(frames, Tensor):
            frames = frames.to(self.device)
        crops = align(frames, index, to_crop, self.spec)
        out = self.output(crops)
        again = np.flatnonzero(self._off_centre(out))
        if len(again):
            own = apply_affine(invert_affine(to_crop[again]), five_points(out.landmarks[again].numpy()))
            to_crop[again] = crop_transform(own, self.spec)
            crops[again] = align(frames, index[again], to_crop[again], self.spec)
            second = self.output(crops[again])
            for name in _OUTPUT:
                getattr(out, name)[again] = getattr(second, name)
        return self._readings(out, to_crop, band_levels(crops, self.spec.size / self.spec.margin))

    def _off_centre(self, out: NetworkOutput) -> NDArray[np.bool_]:
        """(N,) crops whose face lies elsewhere, is of another size, or is turned."""
        back = crop_transform_of(five_points(out.landmarks.numpy()), self.spec)
        scale = np.hypot(back[:, 0, 0], back[:, 1, 0])
        roll = np.arctan2(back[:, 1, 0], back[:, 0, 0])
        centre = np.full((len(back), 1, 2), (self.spec.size - 1) / 2)
        shift = np.abs(apply_affine(back, centre) - centre).max((1, 2)) / (self.spec.size / self.spec.margin)
        off = (shift > _OFF_CENTRE) | (np.abs(np.log(scale)) > _OFF_SCALE) | (np.abs(roll) > _OFF_ROLL)
        # Where there is no face there is nothing to follow; a wild answer is no face either.
        return np.asarray(off & (out.confidence.numpy() > 0) & (shift < 0.6) & (np.abs(np.log(scale)) < 0.7))

    def _readings(
        self, out: NetworkOutput, to_crop: NDArray[np.float64], texture: NDArray[np.float32]
    ) -> FaceReadings:
        inverse = invert_affine(to_crop)
        scale = np.hypot(inverse[:, 0, 0], inverse[:, 1, 0])
        places = out.landmarks.numpy().astype(np.float64)
        flat = apply_affine(inverse, places[..., :2])
        depth = places[..., 2] * scale[:, None]
        depth -= depth.mean(1, keepdims=True)
        landmarks = np.concatenate([flat, depth[..., None]], axis=2)
        # The crop was turned; the head was not.
        turn = np.arctan2(inverse[:, 1, 0], inverse[:, 0, 0])
        roll = np.zeros((len(turn), 3, 3))
        roll[:, 0, 0] = roll[:, 1, 1] = np.cos(turn)
        roll[:, 0, 1], roll[:, 1, 0] = -np.sin(turn), np.sin(turn)
        roll[:, 2, 2] = 1.0
        confidence = torch.sigmoid(out.confidence).numpy()
        lost = confidence < LOST
        fields = {
            "landmarks": landmarks,
            "units": out.units.numpy().clip(0, MAX_INTENSITY),
            "openness": out.openness.numpy().clip(0, 1),
            "rotation": euler_degrees(roll @ out.rotation.numpy().astype(np.float64)),
            "gaze": out.gaze.numpy() * GAZE_SCALE,
            "texture": texture,
        }
        arrays = {name: np.array(value, np.float32) for name, value in fields.items()}
        for value in arrays.values():
            value[lost] = np.nan
        return FaceReadings(confidence=confidence, **arrays)


def five_points(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 5, 2) detector's points from (N, 68, 2 or 3) landmarks: eyes, nose tip, mouth corners."""
    points = np.asarray(landmarks, np.float64)[..., :2]
    return np.stack([points[:, part].mean(1) for part in _FIVE], axis=1)


def crop_transform_of(points: NDArray[np.float64], spec: CropSpec) -> NDArray[np.float64]:
    """:func:`vidscan.faces.align.crop_transform`, with the identity for points that coincide."""
    spread = points.std(axis=1).max(axis=1)
    safe = np.where(spread[:, None, None] > 1e-3, points, spec.points[None])
    return crop_transform(safe, spec)


class SeriesBuilder:
    """Collects the readings of one track into a :class:`FaceSeries`."""

    def __init__(self) -> None:
        self._faces: list[Face] = []
        self._readings: list[FaceReadings] = []

    def add(self, faces: list[Face], readings: FaceReadings) -> None:
        """The next rows, in time order."""
        self._faces += faces
        self._readings.append(readings)

    def forget_before(self, time_s: float) -> None:
        """Drop the readings that end before a time; whole ones, as they were added."""
        while len(self._readings) > 1 and self._faces[len(self._readings[0].confidence) - 1].time_s < time_s:
            del self._faces[: len(self._readings.pop(0).confidence)]

    def series(self, track_id: int) -> FaceSeries:
        """Everything that is held."""
        return FaceSeries(
            track_id=track_id,
            frames=np.array([face.frame_index for face in self._faces], np.int64),
            times=np.array([face.time_s for face in self._faces], np.float64),
            **{f.name: self._joined(f.name) for f in fields(FaceReadings)},
        )

    def _joined(self, name: str) -> Any:
        """One field of all readings; None where none of them has it."""
        values = [getattr(reading, name) for reading in self._readings]
        return None if all(value is None for value in values) else np.concatenate(values)

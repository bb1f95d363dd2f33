"""Frames of a clip, and aligned crops of the faces in them, as trainers read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidscan.errors import InputError
from vidscan.faces.align import CropSpec, align, apply_affine, crop_transform, invert_affine
from vidscan.faces.detect import Detector
from vidscan.faces.geometry import native_transforms
from vidscan.forge.template import mean_landmarks
from vidscan.media import open_video
from vidscan.patches.encoder import LARGEST, SPEC, native_region_weights
from vidscan.types import Detection, Face, FrameChunk


def spread_frames(path: Path, count: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """``count`` frames spread evenly over a clip; see :func:`frames_at`."""
    return frames_at(path, tuple(np.linspace(0.05, 0.95, count).tolist()))


def frames_at(path: Path, shares: Sequence[float]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames with their indices at ascending ``shares`` (0..1) of a clip's duration, decoded in order.

    Random access is far slower in clips with few key frames.
    """
    taken = 0
    with open_video(path) as source:
        wanted = np.array(shares) * (source.info.duration_s or 0.0)
        for chunk in source:
            for index, image in _pick(chunk, wanted, taken):
                taken += 1
                yield index, image
            if taken >= len(wanted):
                return


def _pick(
    chunk: FrameChunk, wanted: NDArray[np.float64], taken: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for i, time in enumerate(chunk.times):
        if taken < len(wanted) and time >= wanted[taken]:
            taken += 1
            yield chunk.first_index + i, chunk.image(i)


def area(face: Detection | Face) -> float:
    """Pixels that the box of a face covers."""
    return float(np.prod(face.box[2:] - face.box[:2]))


def largest_by_frame(faces: Iterable[Face]) -> list[Face]:
    """Of every frame the face of largest area."""
    best: dict[int, Face] = {}
    for face in faces:
        held = best.get(face.frame_index)
        if held is None or area(face) > area(held):
            best[face.frame_index] = face
    return list(best.values())


def cut(image: NDArray[np.uint8], face: Detection | Face, spec: CropSpec) -> Tensor:
    """(1, 3, S, S) float 0..255: the aligned crop of a face in a frame (H, W, 3) RGB."""
    to_crop = crop_transform(face.points[None], spec, face.box[None])
    return align(torch.from_numpy(image[None]), np.zeros(1, np.int64), to_crop, spec)


def picture(crop: Tensor) -> NDArray[np.uint8]:
    """A crop of :func:`cut` as a picture (S, S, 3)."""
    return crop[0].permute(1, 2, 0).round().to(torch.uint8).numpy()


def largest_face(
    image: NDArray[np.uint8], detector: Detector, spec: CropSpec
) -> tuple[NDArray[np.uint8], float] | None:
    """The largest face of a frame (H, W, 3) RGB: its crop (S, S, 3), and the side of its box in frame pixels.

    None where there is no face.
    """
    found = detector.detect(image[None])[0][:1]
    return next(((picture(cut(image, face, spec)), round(area(face) ** 0.5, 1)) for face in found), None)


def faces_at(
    path: Path, shares: Sequence[float], detector: Detector
) -> Iterator[tuple[NDArray[np.uint8], Detection]]:
    """The largest face and its frame (H, W, 3) at ``shares`` of a clip; none from where it cannot be read."""
    try:
        for _, image in frames_at(path, shares):
            for face in detector.detect(image[None])[0][:1]:
                yield image, face
    except InputError:
        return


def crops_at(path: Path, shares: Sequence[float], detector: Detector, spec: CropSpec) -> Iterator[Tensor]:
    """Crops (:func:`cut`) of the faces of :func:`faces_at`."""
    for image, face in faces_at(path, shares, detector):
        yield cut(image, face, spec)


@dataclass(frozen=True, slots=True)
class NativeCrop:
    """A face in its frame's own pixels (:func:`vidscan.patches.encoder.native_maps`).

    Attributes
    ----------
    crop
        (1, 3, S, S) float 0..255.
    to_aligned
        (2, 3) map from its pixels to those of the encoder's aligned crop.
    """

    crop: Tensor
    to_aligned: NDArray[np.float64]

    def weights(self) -> Tensor:
        """(1, 6, 256) what counts in which region of the encoder's crop in its middle."""
        edge = (self.crop.shape[-1] - SPEC.size) // 2
        return native_region_weights(np.array([[[1.0, 0.0, edge], [0.0, 1.0, edge]]]), self.to_aligned[None])

    def landmarks(self) -> NDArray[np.float64]:
        """(478, 2) landmarks of an average face where this one lies, in pixels of the crop."""
        return apply_affine(invert_affine(self.to_aligned), mean_landmarks(SPEC).astype(np.float64))


def native_crop(image: NDArray[np.uint8], face: Detection | Face, spec: CropSpec) -> NativeCrop:
    """The native crop of a face in a frame (H, W, 3) RGB; ``spec`` is the encoder's or a wider one."""
    height, width = image.shape[:2]
    native = native_transforms(
        crop_transform(face.points[None], spec, face.box[None]), spec, (width, height), LARGEST
    )
    crop = align(torch.from_numpy(image[None]), np.zeros(1, np.int64), native, spec)
    aligned = crop_transform(face.points[None], SPEC, face.box[None])[0]
    back = invert_affine(native)[0]
    offset = apply_affine(aligned, back[None, :, 2])[0]
    return NativeCrop(crop, np.column_stack([aligned[:, :2] @ back[:, :2], offset]))

"""MTCNN (Zhang et al. 2016): three small networks, each of which looks closer at what the last one kept.

The networks and the cascade are those of facenet-pytorch, whose weights they take and whose boxes they give;
without torchvision, which takes longer to import than a picture takes to scan.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vidscan.errors import WeightsError
from vidscan.faces.geometry import MIN_FACE, smallest_face_px
from vidscan.models import ModelRecord, with_weights
from vidscan.types import Detection

_CELL = 12
"""Side of what the first network sees, in pixels, every second pixel."""
_MAX_BATCH_PIXELS = {"cpu": 2_000_000, "cuda": 24_000_000}
"""Scaled pixels looked at together; bounds the memory (about 200 bytes a pixel)."""
_MAX_CANDIDATES = 512
"""Candidates given to a network at once; bounds its memory."""


# --------------------------------------------------------------------------- the networks


class _Stage(nn.Module):
    """Convolutions, a dense layer where ``dense`` names one, and the heads; names as in facenet-pytorch."""

    def __init__(
        self,
        convolutions: list[tuple[int, int]],
        pools: list[int],
        dense: tuple[int, int] | None,
        heads: list[int],
    ) -> None:
        super().__init__()
        inputs = 3
        for number, (outputs, kernel) in enumerate(convolutions, 1):
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, kernel))
            self.add_module(f"prelu{number}", nn.PReLU(outputs))
            inputs = outputs
        self._pools, self._depth, self._heads = pools, len(convolutions), len(heads)
        last = self._depth + 1
        self._dense = f"dense{last}" if dense else ""
        if dense:
            self.add_module(self._dense, nn.Linear(*dense))
            self.add_module(f"prelu{last}", nn.PReLU(dense[1]))
            last += 1
        self._head = f"dense{last}_" if dense else f"conv{last}_"
        for number, outputs in enumerate(heads, 1):
            head = nn.Linear(dense[1], outputs) if dense else nn.Conv2d(inputs, outputs, 1)
            self.add_module(f"{self._head}{number}", head)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) in -1..1 to the probability of a face and what the other heads say."""
        layers: dict[str, Any] = dict(self.named_children())
        for number in range(1, self._depth + 1):
            x = layers[f"prelu{number}"](layers[f"conv{number}"](x))
            if number <= len(self._pools):
                x = F.max_pool2d(x, self._pools[number - 1], 2, ceil_mode=True)
        if self._dense:
            # Columns before rows: the order of the framework these weights first came from.
            x = layers[self._dense](x.permute(0, 3, 2, 1).flatten(1))
            x = layers[f"prelu{self._depth + 1}"](x)
        face, *others = (layers[f"{self._head}{number}"](x) for number in range(1, self._heads + 1))
        return (face.softmax(1)[:, 1], *others)


class Networks(nn.Module):
    """The proposing, the refining and the last network, under the names that the weights have."""

    def __init__(self) -> None:
        super().__init__()
        self.pnet = _Stage([(10, 3), (16, 3), (32, 3)], [2], None, [2, 4])
        self.rnet = _Stage([(28, 3), (48, 3), (64, 2)], [3, 3], (576, 128), [2, 4])
        self.onet = _Stage([(32, 3), (64, 3), (64, 3), (128, 2)], [3, 3, 2], (1152, 256), [2, 4, 10])


# --------------------------------------------------------------------------- the detector


class MTCNN:
    """Finds faces as :class:`vidscan.faces.detect.Detector` promises.

    Frames are scaled down so that the smallest face of interest is just large enough for
    MTCNN: searching for smaller ones would cost most of the time and find mostly noise.

    Parameters
    ----------
    record
        Registry record of kind ``detector``. ``network_face_px`` is the smallest face the first network is
        run for, in pixels of the scaled frame, and ``scaled_face_px`` what the smallest face of interest
        measures there: a little more, since a face at the very limit is found in some frames and lost in
        others. ``max_side`` bounds the scaled frame's longest side: wide pictures lose their smallest faces
        rather than their speed. ``thresholds`` are the networks', ``threshold`` the least confidence
        reported, ``factor`` the step from one scale to the next.
    device
        ``cpu`` or ``cuda[:n]``.
    min_face
        Smallest face looked for, as a share of the frame's short side.

    Raises
    ------
    WeightsError
        Where the record or the weights are not usable.
    """

    def __init__(self, record: ModelRecord, device: str = "cpu", *, min_face: float = MIN_FACE) -> None:
        settings = record.settings
        try:
            self.networks = with_weights(Networks, record.load())
            self._network_face_px = float(settings["network_face_px"])
            self._scaled_face_px = float(settings["scaled_face_px"])
            self._thresholds = [float(value) for value in settings["thresholds"]]
            self._threshold, self._factor = float(settings["threshold"]), float(settings["factor"])
            self._max_side = float(settings["max_side"])
            if not (len(self._thresholds) == 3 and 0 < self._factor < 1):
                raise ValueError("three thresholds, and a factor under 1, are needed")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"registry record of {record.name} does not fit its weights: {error}"
            ) from error
        self.networks.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.record, self.device, self.min_face = record, torch.device(device), min_face

    def detect(
        self, images: NDArray[np.uint8], near: NDArray[np.floating] | None = None
    ) -> list[list[Detection]]:
        """See :meth:`vidscan.faces.detect.Detector.detect`."""
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be (T, H, W, 3) uint8, got {images.shape} {images.dtype}")
        height, width = images.shape[1:3]
        scaled_width, scaled_height = self._scaled_size(width, height)
        if min(scaled_width, scaled_height) < self._scaled_face_px:
            return [[] for _ in images]
        limit = _MAX_BATCH_PIXELS.get(self.device.type, _MAX_BATCH_PIXELS["cpu"])
        batch = max(1, limit // (scaled_width * scaled_height))
        found: list[list[Detection]] = []
        # Boxes vary around the true size; far below it there is mostly noise.
        smallest = 0.8 * smallest_face_px(width, height, self.min_face) * scaled_width / width
        ratio = np.array([width / scaled_width, height / scaled_height])
        if near is not None:
            near = (np.asarray(near, np.float64) + 0.5) / np.tile(ratio, 2)
        for start in range(0, len(images), batch):
            scaled = np.stack(
                [_scale(image, scaled_width, scaled_height) for image in images[start : start + batch]]
            )
            found += [self._full_resolution(*faces, ratio, smallest) for faces in self._run(scaled, near)]
        return found

    def _scaled_size(self, width: int, height: int) -> tuple[int, int]:
        smallest = smallest_face_px(width, height, self.min_face)
        scale = min(1.0, self._scaled_face_px / smallest, self._max_side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _full_resolution(
        self, boxes: NDArray, points: NDArray, confidence: NDArray, ratio: NDArray, smallest: float
    ) -> list[Detection]:
        size = boxes[:, 2:] - boxes[:, :2]
        keep = np.isfinite(boxes).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
        keep &= (confidence >= self._threshold) & (size > 0).all(axis=1)
        keep &= size.prod(axis=1) >= smallest**2
        boxes, points, confidence = boxes[keep], points[keep], confidence[keep]
        chosen = _without_duplicates(boxes, confidence)
        # MTCNN's boxes measure from the frame's edge, its points half a pixel more (measured:
        # mirrored pictures give mirrored faces only so). Scaling keeps edges where they are,
        # and in vidscan whole numbers are pixel centers.
        boxes = boxes * np.tile(ratio, 2) - 0.5
        points = (points - 0.5) * ratio - 0.5
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return [
            Detection(boxes[i].astype(np.float32), points[i].astype(np.float32), float(confidence[i]))
            for i in sorted(chosen, key=lambda i: (-area[i], boxes[i, 0], boxes[i, 1]))
        ]

    # ----------------------------------------------------------------------- the cascade

    @torch.inference_mode()
    def _run(
        self, batch: NDArray[np.uint8], near: NDArray[np.floating] | None = None
    ) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Equal-sized frames (T, h, w, 3): boxes (N, 4), points (N, 5, 2), confidence (N,) of each frame."""
        frames = _Sums(batch, self.device)
        boxes, image = self._propose(frames) if near is None else self._known(near, len(batch))
        boxes, image, crops = frames.crops(_square(boxes), image, 24)
        face, shift = self._look(self.networks.rnet, crops)
        keep = face > self._thresholds[1]
        boxes, image, face, shift = boxes[keep], image[keep], face[keep], shift[keep]
        best = _suppress(boxes, face, image, 0.7)
        boxes, image = _refined(boxes[best], shift[best]), image[best]
        boxes, image, crops = frames.crops(_square(boxes), image, 48)
        face, shift, places = self._look(self.networks.onet, crops)
        keep = face > self._thresholds[2]
        boxes, image, face, shift = boxes[keep], image[keep], face[keep], shift[keep]
        size = boxes[:, 2:] - boxes[:, :2] + 1
        points = places[keep].view(-1, 2, 5).transpose(1, 2) * size[:, None] + boxes[:, None, :2] - 1
        boxes = _refined(boxes, shift)
        best = _suppress(boxes, face, image, 0.7, of_smaller=True)
        rows = [best[(image[best] == frame).cpu()] for frame in range(len(batch))]
        whole, five, sure = (value.double().cpu().numpy() for value in (boxes, points, face))
        return [(whole[row], five[row], sure[row]) for row in (r.numpy() for r in rows)]

    def _propose(self, frames: _Sums) -> tuple[Tensor, Tensor]:
        """Candidates (N, 4) in the frames, over all scales, and which frame each (N,) is in."""
        height, width = frames.height, frames.width
        found = []
        scale = _CELL / self._network_face_px
        while min(height, width) * scale >= _CELL:
            size = (int(height * scale + 1), int(width * scale + 1))
            face, shift = self.networks.pnet(_normalised(frames.scaled(size)))
            at = (face >= self._thresholds[0]).nonzero()
            image, score = at[:, 0], face[at.unbind(1)]
            corner = at[:, 1:].flip(1).float()
            first = ((2 * corner + 1) / scale).floor()
            boxes = torch.cat([first, ((2 * corner + _CELL) / scale).floor()], dim=1)
            shift = shift.permute(0, 2, 3, 1)[at.unbind(1)]
            best = _suppress(boxes, score, image, 0.5)
            found.append((boxes[best], score[best], image[best], shift[best]))
            scale *= self._factor
        boxes, score, image, shift = (torch.cat(values) for values in zip(*found, strict=True))
        best = _suppress(boxes, score, image, 0.7)
        boxes, image = boxes[best], image[best]
        return boxes + shift[best] * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2), image

    def _known(self, boxes: NDArray[np.floating], count: int) -> tuple[Tensor, Tensor]:
        """The same candidates (K, 4) in each of ``count`` frames, as :meth:`_propose` gives them."""
        found = torch.from_numpy(np.tile(boxes.astype(np.float32), (count, 1))).to(self.device)
        return found, torch.arange(count, device=self.device).repeat_interleave(len(boxes))

    def _look(self, network: nn.Module, crops: Tensor) -> tuple[Tensor, ...]:
        parts = [network(_normalised(part)) for part in crops.split(_MAX_CANDIDATES)]
        return tuple(torch.cat(values) for values in zip(*parts, strict=True))


class _Sums:
    """Frames as sums over everything above and to the left: averages over any areas cost the same.

    They are those of torch's adaptive average pooling, which the networks were trained with, at a tenth of
    its cost.

    Parameters
    ----------
    frames
        (T, h, w, 3) uint8.
    device
        Where averages are taken.
    """

    def __init__(self, frames: NDArray[np.uint8], device: torch.device) -> None:
        self.height, self.width = frames.shape[1:3]
        sums = np.stack([np.asarray(cv2.integral(frame), np.int32) for frame in frames])
        self._sums = torch.from_numpy(sums).to(device)

    def scaled(self, size: tuple[int, int]) -> Tensor:
        """(T, 3, *size) float32: every frame as a whole, of fewer pixels."""
        device = self._sums.device
        top, bottom = _cells(torch.tensor([self.height], device=device), size[0])
        left, right = _cells(torch.tensor([self.width], device=device), size[1])
        bands = self._sums[:, bottom[0]] - self._sums[:, top[0]]
        sums = bands[:, :, right[0]] - bands[:, :, left[0]]
        means = sums.float() / (bottom - top)[:, :, None, None] / (right - left)[:, None, :, None]
        return means.permute(0, 3, 1, 2)

    def crops(self, boxes: Tensor, image: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """The boxes (N, 4) that lie in their frames (N,), those frames, the content (M, 3, side, side)."""
        corners = boxes.trunc().long()
        first = corners[:, :2].clamp(min=1) - 1
        last = corners[:, 2:].minimum(corners.new_tensor([self.width, self.height]))
        inside = (last > first).all(1)
        boxes, image, first, last = boxes[inside], image[inside], first[inside], last[inside]
        size = last - first
        (left, right), (top, bottom) = _cells(size[:, 0], side), _cells(size[:, 1], side)
        x, y = first[:, :1], first[:, 1:]

        def above(rows: Tensor, columns: Tensor) -> Tensor:
            whole = (image[:, None] * (self.height + 1) + y + rows) * (self.width + 1) + x
            return self._sums.view(-1, 3)[whole[:, :, None] + columns[:, None, :]]

        sums = above(bottom, right) - above(top, right) - above(bottom, left) + above(top, left)
        means = sums.float() / (bottom - top)[:, :, None, None] / (right - left)[:, None, :, None]
        return boxes, image, means.permute(0, 3, 1, 2)


def _cells(lengths: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, count) where each of ``count`` cells of (N,) lengths begins and ends; neighbors may share one."""
    cell = torch.arange(count, device=lengths.device)
    return cell * lengths[:, None] // count, -(-(cell + 1) * lengths[:, None] // count)


def _scale(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if image.shape[1] == width and image.shape[0] == height:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _normalised(pixels: Tensor) -> Tensor:
    return ((pixels - 127.5) * 0.0078125).contiguous(memory_format=torch.channels_last)


def _square(boxes: Tensor) -> Tensor:
    """(N, 4) boxes made square about their middles."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    first = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([first, first + side], dim=1)


def _refined(boxes: Tensor, shift: Tensor) -> Tensor:
    """(N, 4) boxes with their corners moved by shares (N, 4) of their sides."""
    return boxes + shift * (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)


def _suppress(
    boxes: Tensor, scores: Tensor, image: Tensor, threshold: float, *, of_smaller: bool = False
) -> Tensor:
    """Rows left, surest first, when a box goes that a surer one of its frame covers by ``threshold``.

    Cover is the intersection over the union; ``of_smaller``, over the smaller box, counting the last pixel.
    """
    place, edge = boxes.cpu().numpy(), np.float32(of_smaller)
    frame = image.cpu().numpy()
    area = np.prod(place[:, 2:] - place[:, :2] + edge, axis=1)
    left = np.argsort(-scores.cpu().numpy(), kind="stable")
    chosen: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        chosen.append(int(best))
        corner = np.maximum(place[best, :2], place[left, :2])
        size = np.minimum(place[best, 2:], place[left, 2:]) - corner + edge
        shared = np.prod(np.maximum(size, 0), axis=1)
        whole = np.minimum(area[best], area[left]) if of_smaller else area[best] + area[left] - shared
        left = left[(shared <= np.float32(threshold) * whole) | (frame[left] != frame[best])]
    return torch.tensor(chosen, dtype=torch.long, device=boxes.device)


def _without_duplicates(boxes: NDArray, confidence: NDArray) -> list[int]:
    """Rows left when of two boxes that cover each other by half the surer one wins.

    Cover is the intersection over the smaller box, so a box inside another one goes too;
    MTCNN's own suppression leaves those up to a cover of .7.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    chosen: list[int] = []
    for i in np.lexsort((-area, -confidence)):
        overlap = [
            np.clip(np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2]), 0, None)
            for j in chosen
        ]
        if all(np.prod(o) <= 0.5 * min(area[i], area[j]) for o, j in zip(overlap, chosen, strict=True)):
            chosen.append(int(i))
    return chosen

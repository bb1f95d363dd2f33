"""Face detection: MTCNN (Zhang et al. 2016, facenet-pytorch) over batches of frames."""

from __future__ import annotations

import math
import warnings

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from numpy.typing import NDArray

from vidscan.types import Detection

_NETWORK_FACE_PX = 20
"""Smallest face MTCNN's first network is run for, in pixels of the scaled frame."""
_SCALED_FACE_PX = 24
"""What the smallest face of interest measures in the scaled frame: a little more than the
network's limit, since a face at the very limit is found in some frames and lost in others."""
_MAX_BATCH_PIXELS = {"cpu": 2_000_000, "cuda": 24_000_000}
"""Scaled pixels given to MTCNN at once; bounds its memory (about 200 bytes a pixel)."""


def smallest_face_px(width: int, height: int, min_face: float = 1 / 12, min_face_px: int = 40) -> int:
    """Smallest face (side of its box in pixels) looked for in frames of this size."""
    return max(math.ceil(min_face * min(width, height)), min_face_px)


class FaceDetector:
    """Finds faces and their five points.

    Frames are scaled down so that the smallest face of interest is just large enough for
    MTCNN: searching for smaller ones would cost most of the time and find mostly noise.

    Parameters
    ----------
    device
        Where the networks run.
    min_face
        Smallest face looked for, as a share of the frame's short side.
    min_face_px
        ... and never less than this, in full-resolution pixels.
    threshold
        Detections of lower confidence (0..1) are dropped.
    max_side
        Longest side of the scaled frame in pixels; wide pictures lose their smallest faces
        rather than their speed.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        min_face: float = 1 / 12,
        min_face_px: int = 40,
        threshold: float = 0.9,
        max_side: int = 960,
    ) -> None:
        self.device = torch.device(device)
        self.min_face = min_face
        self.min_face_px = min_face_px
        self.threshold = threshold
        self.max_side = max_side
        with warnings.catch_warnings():
            # facenet-pytorch loads its own weights without weights_only, which some versions
            # of torch remark upon.
            warnings.simplefilter("ignore")
            self._mtcnn = MTCNN(keep_all=True, min_face_size=_NETWORK_FACE_PX, device=self.device).eval()

    def detect(self, images: NDArray[np.uint8]) -> list[list[Detection]]:
        """Finds the faces of every frame.

        Parameters
        ----------
        images
            (T, H, W, 3) RGB uint8.

        Returns
        -------
        T lists of detections in full-resolution pixels, largest face first; empty where there
        is no face. The same frames give the same faces.

        Raises
        ------
        ValueError
            Where ``images`` is not (T, H, W, 3) uint8.
        """
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be (T, H, W, 3) uint8, got {images.shape} {images.dtype}")
        height, width = images.shape[1:3]
        scaled_width, scaled_height = self._scaled_size(width, height)
        if min(scaled_width, scaled_height) < _SCALED_FACE_PX:
            return [[] for _ in images]
        limit = _MAX_BATCH_PIXELS.get(self.device.type, _MAX_BATCH_PIXELS["cpu"])
        batch = max(1, limit // (scaled_width * scaled_height))
        found: list[list[Detection]] = []
        # Boxes vary around the true size; far below it there is mostly noise.
        smallest = 0.8 * self.smallest_face_px(width, height) * scaled_width / width
        ratio = np.array([width / scaled_width, height / scaled_height])
        for start in range(0, len(images), batch):
            scaled = np.stack(
                [self._scale(image, scaled_width, scaled_height) for image in images[start : start + batch]]
            )
            found += [self._full_resolution(*faces, ratio, smallest) for faces in self._run(scaled)]
        return found

    def smallest_face_px(self, width: int, height: int) -> int:
        """Smallest face looked for in frames of this size, with this detector's settings."""
        return smallest_face_px(width, height, self.min_face, self.min_face_px)

    def _scaled_size(self, width: int, height: int) -> tuple[int, int]:
        scale = min(
            1.0,
            _SCALED_FACE_PX / self.smallest_face_px(width, height),
            self.max_side / max(width, height),
        )
        return max(1, round(width * scale)), max(1, round(height * scale))

    @staticmethod
    def _scale(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        if image.shape[1] == width and image.shape[0] == height:
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def _run(self, batch: NDArray[np.uint8]) -> list[tuple[NDArray, NDArray, NDArray]]:
        """MTCNN on equal-sized frames: boxes (N, 4), points (N, 5, 2), confidence (N,) each."""
        try:
            boxes, confidences, points = self._mtcnn.detect(batch, landmarks=True)
        except (IndexError, RuntimeError) as error:
            if isinstance(error, torch.cuda.OutOfMemoryError):
                raise
            # A candidate that lies wholly outside its frame derails the batch inside
            # facenet-pytorch: only that frame is given up.
            if len(batch) == 1:
                return [_NOTHING]
            return [faces for frame in batch for faces in self._run(frame[None])]
        return [
            _NOTHING
            if b is None
            # Rows come as object arrays where all frames have equally many faces.
            else (np.asarray(b, np.float64), np.asarray(p, np.float64), np.asarray(c, np.float64))
            for b, p, c in zip(boxes, points, confidences, strict=True)
        ]

    def _full_resolution(
        self, boxes: NDArray, points: NDArray, confidence: NDArray, ratio: NDArray, smallest: float
    ) -> list[Detection]:
        size = boxes[:, 2:] - boxes[:, :2]
        keep = np.isfinite(boxes).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
        keep &= (confidence >= self.threshold) & (size > 0).all(axis=1)
        keep &= size.prod(axis=1) >= smallest**2
        boxes, points, confidence = boxes[keep], points[keep], confidence[keep]
        chosen = _without_duplicates(boxes, confidence)
        # MTCNN's boxes measure from the frame's edge, its points half a pixel more (measured:
        # mirrored pictures give mirrored faces only so). Scaling keeps edges where they are,
        # and in vidscan whole numbers are pixel centres.
        boxes = boxes * np.tile(ratio, 2) - 0.5
        points = (points - 0.5) * ratio - 0.5
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return [
            Detection(boxes[i].astype(np.float32), points[i].astype(np.float32), float(confidence[i]))
            for i in sorted(chosen, key=lambda i: (-area[i], boxes[i, 0], boxes[i, 1]))
        ]


_NOTHING = (np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0))


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

"""Makes the two example clips, genuine.mp4 and manipulated.mp4, from one public-domain portrait.

    python examples/make_examples.py [--out FOLDER]

The portrait is NASA's picture of the astronaut Eileen Collins, which comes with scikit-image
(``pip install scikit-image``; in vidscan's ``dev`` extra). A virtual camera pans, turns and zooms over
it, and every frame gets its own sensor noise. The second clip has the same camera and the same noise,
but from 1 to 4 seconds the face is blended with an altered copy of itself, its edges moving with the
face. Beside it lies what is known of the forgery: manipulated.json, and the mask at one instant.

The forgery is an easy one, picked for demonstrations and tests: it says nothing about accuracy.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

import vidscan.forge.self_blend  # noqa: F401  (importing a forgery registers it)
from vidscan.faces.align import CropSpec, align, crop_transform
from vidscan.faces.detect import load_detector
from vidscan.forge.base import FORGERIES, Faces
from vidscan.forge.template import mean_landmarks
from vidscan.media.writer import VideoWriter, write_png

SIDE, FPS, SECONDS = 480, 25, 6.0
START_S, END_S, MASK_S = 1.0, 4.0, 3.0
"""The face is forged from START_S up to, not including, END_S; the mask is that of MASK_S."""
NOISE = 1.6
"""Standard deviation of the sensor noise in gray levels."""
CRF = 21.0
KIND, SEED = "self_blend", 28
"""The draw was picked from forty-five by looking at them, with the encoder's scores in view: its forgery
is plain to the eye without being a caricature. That makes it a demonstration, not a measurement."""
SPEC = CropSpec(size=352, margin=2.2)


@dataclass(frozen=True)
class Still:
    """A portrait, its forged twin, and how much of each pixel is forged (0..1), all (H, W[, 3]) float32."""

    genuine: NDArray[np.float32]
    forged: NDArray[np.float32]
    mask: NDArray[np.float32]


def forge_still(image: NDArray[np.uint8], kind: str = KIND, seed: int = SEED) -> Still:
    """Forge the largest face of a picture, leaving every pixel outside the mask as it was."""
    face = load_detector().detect(image[None])[0][0]
    to_crop = crop_transform(face.points[None], SPEC, face.box[None])
    crop = align(torch.from_numpy(image[None]), np.zeros(1, np.int64), to_crop, SPEC)
    faces = Faces(crop, torch.from_numpy(mean_landmarks(SPEC))[None])
    forged = FORGERIES[kind](faces, torch.Generator().manual_seed(seed))

    height, width = image.shape[:2]

    def back(values: torch.Tensor) -> NDArray[np.float32]:
        """(1, C, S, S) crop -> (H, W, C) portrait, 0 beyond the crop."""
        array = values[0].permute(1, 2, 0).numpy()
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(array, to_crop[0], (width, height), flags=flags), np.float32)

    # Only the difference is brought back, so that resampling leaves no trace of its own.
    genuine = image.astype(np.float32)
    changed = np.clip(genuine + back(forged.images - crop), 0, 255)
    return Still(genuine, changed, back(forged.mask))


def camera(time_s: float) -> NDArray[np.float64]:
    """(2, 3) map from frame pixels to portrait pixels: slow, smooth, never quite repeating."""
    phase = 2 * np.pi * time_s
    zoom = 1.28 + 0.08 * np.sin(0.13 * phase)
    angle = np.deg2rad(2.5 * np.sin(0.17 * phase + 0.5))
    centre = np.array([232 + 18 * np.sin(0.11 * phase), 206 + 8 * np.sin(0.19 * phase + 1)])
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, centre - linear @ np.full(2, (SIDE - 1) / 2)])


def see(picture: NDArray[np.float32], time_s: float) -> NDArray[np.float32]:
    """What the camera sees of a picture at one instant, (SIDE, SIDE[, 3])."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    size = (SIDE, SIDE)
    seen = cv2.warpAffine(picture, camera(time_s), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def frame(still: Still, index: int, *, manipulated: bool) -> NDArray[np.uint8]:
    """One frame of either clip; noise depends on the index alone, so both clips share it."""
    time_s = index / FPS
    source = still.forged if manipulated and START_S <= time_s < END_S else still.genuine
    noise = np.random.default_rng((SEED, index)).normal(0, NOISE, (SIDE, SIDE, 3))
    return np.clip(see(source, time_s) + noise, 0, 255).round().astype(np.uint8)


def make(folder: Path) -> None:
    """Write both clips, and what is known of the forgery, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    still = forge_still(np.ascontiguousarray(astronaut()))
    for name, manipulated in (("genuine", False), ("manipulated", True)):
        path = folder / f"{name}.mp4"
        with VideoWriter(path, SIDE, SIDE, fps=FPS, crf=CRF, preset="slow") as writer:
            for index in range(round(SECONDS * FPS)):
                writer.write(frame(still, index, manipulated=manipulated))
    mask = np.clip(see(still.mask, MASK_S) * 255, 0, 255).round().astype(np.uint8)
    write_png(folder / "manipulated_mask.png", mask)
    truth = {
        "forgery": KIND,
        "start_s": START_S,
        "end_s": END_S,
        "mask": {"file": "manipulated_mask.png", "time_s": MASK_S},
    }
    (folder / "manipulated.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()

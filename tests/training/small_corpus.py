"""A corpus that trains in seconds, and an encoder to start from that is small and untrained."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from safetensors.torch import save_file
from skimage.data import astronaut

from tests.manifests import write_manifest
from tests.patches.test_vision_transformer import random_encoder
from vidscan.media.writer import VideoWriter, write_png

SOURCES = 6


def picture(number: int, *, forged: bool) -> np.ndarray:
    """The portrait at 320 px; forged ones are smooth and greenish, as no camera makes them."""
    rng = np.random.default_rng(number)
    face = cv2.resize(astronaut()[0:320, 64:384], (320, 320)).astype(np.float32)
    if forged:
        face = cv2.GaussianBlur(face, (0, 0), 2.5) + np.array([0, 14, 0], np.float32)
    return np.clip(face * rng.uniform(0.9, 1.05) + rng.normal(0, 2, face.shape), 0, 255).astype(np.uint8)


def small_corpus(folder: Path) -> Path:
    """Six sources, each with a genuine and a forged still and clip."""
    rows = []
    for source in range(SOURCES):
        for forged in (False, True):
            for kind in ("image", "video"):
                name = f"{source}-{'fake' if forged else 'real'}.{'png' if kind == 'image' else 'mp4'}"
                shown = picture(10 * source + 2 * forged + (kind == "video"), forged=forged)
                if kind == "image":
                    write_png(folder / name, shown)
                else:
                    with VideoWriter(folder / name, 320, 320, fps=10, crf=18) as writer:
                        for _ in range(5):
                            writer.write(shown)
                label = "fake" if forged else "real"
                who = f",method{source},faceswap" if forged else f"person{source},,"
                rows.append(f"train,{label},{name},{kind},repo{source},{who},,")
    return write_manifest(folder, *rows)


def small_start(path: Path) -> Path:
    """Three blocks of width 64 as the encoder's first ones, written to ``path``."""
    save_file({k: v.contiguous() for k, v in random_encoder((1, 2, 3), 16).state_dict().items()}, path)
    return path

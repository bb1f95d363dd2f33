"""A label store of noise and random faces: small, and everything in it varies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vidscan.faces.align import apply_affine, similarity
from vidscan.faces.face_model import FACE_MODEL
from vidscan.faces.landmarks import five_points
from vidscan.faces.rotation import rotation_matrix
from vidscan.training.labels import LABEL_SPEC, LabelRow
from vidscan.training.teacher import BLENDSHAPES


def label_landmarks(model: np.ndarray = FACE_MODEL) -> np.ndarray:
    """(68, 3) float32 a face of the model's shape in the middle of a labeled crop."""
    fit = similarity(five_points(FACE_MODEL[None]), LABEL_SPEC.points)
    scale = np.hypot(*fit[0, :, 0])
    flat = apply_affine(fit, model[None, :, :2])[0]
    return np.concatenate([flat, scale * model[:, 2:]], 1).astype(np.float32)


def store_arrays(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 255, (rows, 12, 12, 3), np.uint8)
    crops = tiles.repeat(16, 1).repeat(16, 2)
    models = FACE_MODEL + rng.normal(0, 0.03, (rows, 68, 3))
    return {
        "crops": crops,
        "coded": 255 - crops,
        "landmarks": np.stack([label_landmarks(model) for model in models]),
        "blendshapes": rng.uniform(0, 0.25, (rows, len(BLENDSHAPES))).astype(np.float32),
        "rotation": rotation_matrix(rng.uniform(-25, 25, (rows, 3))).astype(np.float32),
    }


def write_store(folder: Path, held_out: int = 8) -> tuple[dict[str, np.ndarray], list[LabelRow]]:
    """Four pictures, two clips of three frames each, and pictures of people held out."""
    rows = [LabelRow(f"{i}.jpg", f"still{i}", "r", "photo", False, 0, 0.0, 90.0) for i in range(4)]
    rows += [
        LabelRow(f"c{i}.mp4", f"p{i}", "r", "video", False, k, k / 25, 90.0)
        for i in range(2)
        for k in range(3)
    ]
    rows += [LabelRow(f"h{i}.jpg", f"held{i}", "r", "photo", True, 0, 0.0, 90.0) for i in range(held_out)]
    arrays = store_arrays(len(rows))
    folder.mkdir(parents=True)
    for name, value in arrays.items():
        np.save(folder / f"{name}.npy", value)
    (folder / "names.json").write_text(json.dumps(BLENDSHAPES), encoding="utf-8")
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    return arrays, rows

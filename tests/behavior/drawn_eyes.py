"""Drawn faces: two eyes whose lids close to order, with their landmarks, and a label store of such clips."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from vidscan.training.labels import LabelRow
from vidscan.training.teacher import BLENDSHAPES

SIDE = 192
_CENTRES = np.array([[66.0, 80.0], [126.0, 80.0]])
_HALF_WIDTH, _HALF_HEIGHT = 12.0, 6.0


def blinks_at(times: np.ndarray, starts: list[float], length: float = 0.24, depth: float = 1.0) -> np.ndarray:
    """(T,) closure with a raised cosine of ``length`` seconds from every start."""
    phase = (times[:, None] - np.array(starts)) / length
    inside = (phase > 0) & (phase < 1)
    return depth * np.where(inside, 0.5 - 0.5 * np.cos(2 * np.pi * phase), 0.0).sum(1)


def eye_landmarks(closure: np.ndarray, side: float = SIDE) -> np.ndarray:
    """(T, 68, 3) landmarks of faces whose eyes are closed by ``closure`` (T, 2); shut lids stay apart."""
    points = np.zeros((len(closure), 68, 3))
    points[:, :, :2] = np.linspace(0.2, 0.8, 68)[:, None] * SIDE
    for eye in range(2):
        lid = _HALF_HEIGHT * (1 - 0.85 * closure[:, eye])
        for place, (x, y) in enumerate([(-1, 0), (-0.4, -1), (0.4, -1), (1, 0), (0.4, 1), (-0.4, 1)]):
            points[:, 36 + 6 * eye + place, 0] = _CENTRES[eye, 0] + x * _HALF_WIDTH
            points[:, 36 + 6 * eye + place, 1] = _CENTRES[eye, 1] + y * lid
    scale = side / SIDE
    points[..., :2] = (points[..., :2] + 0.5) * scale - 0.5
    return points


def draw_face(
    closure: np.ndarray, skin: tuple[int, int, int] = (205, 160, 130), side: int = SIDE
) -> np.ndarray:
    """(side, side, 3) RGB uint8 picture of a face whose two eyes are closed by ``closure`` (2,)."""
    scale = side / SIDE
    image = np.full((side, side, 3), skin, np.uint8)
    for eye, shut in enumerate(closure):
        centre = (_CENTRES[eye] + 0.5) * scale - 0.5
        opening = np.zeros((side, side), np.uint8)
        size = (_HALF_WIDTH * scale, max(_HALF_HEIGHT * (1 - float(shut)), 0.6) * scale)
        cv2.ellipse(opening, _subpixel(centre), _subpixel(size), 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
        ball = np.full((side, side, 3), (235, 235, 230), np.uint8)
        cv2.circle(ball, _subpixel(centre), round(5 * scale * 16), (60, 40, 30), -1, cv2.LINE_AA, 4)
        share = opening[..., None].astype(np.float32) / 255
        image = (image * (1 - share) + ball * share).round().astype(np.uint8)
    return image


def _subpixel(pair: np.ndarray | tuple[float, float]) -> tuple[int, int]:
    return round(float(pair[0]) * 16), round(float(pair[1]) * 16)


def write_label_store(folder: Path, people: int = 4, frames: int = 60, fps: float = 25.0) -> Path:
    """One clip a person, two blinks each, and a portrait at the end."""
    rng = np.random.default_rng(0)
    times = np.arange(frames) / fps
    crops, landmarks, shapes, rows = [], [], [], []
    for person in range(people):
        starts = [0.3 + 0.1 * rng.random(), 1.2 + 0.5 * rng.random()]
        closure = np.repeat(blinks_at(times, starts, 0.3)[:, None], 2, 1)
        skin = tuple(rng.integers(90, 220, 3).tolist())
        for i, (time, shut) in enumerate(zip(times, closure, strict=True)):
            crops.append(draw_face(shut, skin))
            rows.append(LabelRow(f"{person}.mp4", f"p{person}", "r", "video", False, i, float(time), 90.0))
        landmarks.append(eye_landmarks(closure))
        shape = np.full((frames, len(BLENDSHAPES)), 0.1)
        shape[:, BLENDSHAPES.index("eyeBlinkRight")] = closure[:, 0]
        shape[:, BLENDSHAPES.index("eyeBlinkLeft")] = closure[:, 1]
        shapes.append(shape)
    crops.append(crops[0])
    landmarks.append(landmarks[0][:1])
    shapes.append(shapes[0][:1])
    rows.append(LabelRow("portrait.jpg", "p9", "r", "photo", False, 0, 0.0, 90.0))
    folder.mkdir(parents=True)
    for name in ("crops", "coded"):
        np.save(folder / f"{name}.npy", np.stack(crops))
    np.save(folder / "landmarks.npy", np.concatenate(landmarks).astype(np.float32))
    np.save(folder / "blendshapes.npy", np.concatenate(shapes).astype(np.float32))
    np.save(folder / "rotation.npy", np.tile(np.eye(3, dtype=np.float32), (len(rows), 1, 1)))
    (folder / "names.json").write_text(json.dumps(BLENDSHAPES), encoding="utf-8")
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    return folder

"""Setting the verdict's thresholds on genuine people that no gradient saw.

Each held-out person gives one clip and so one statistic: a genuine clip's own frames, or a portrait
under a slowly moving virtual camera, at a random size, through a real encoder. The people are a fixed
fifth of the train identities (:data:`vidscan.training.corpus.HOLDOUT_SHARE`).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vidscan.errors import SetupError
from vidscan.media.writer import reencode
from vidscan.models import ModelRecord, register
from vidscan.patches.classifier import PatchClassifier, crop_quality
from vidscan.training.degrade import Degradation, Geometry, draw_geometry, look
from vidscan.training.store import STORE_SPEC, Store
from vidscan.verdict.aggregate import statistic
from vidscan.verdict.calibration import ScoreScale

_FRAMES = 24
_FPS = 8.0
_QUALITY_PERCENTILE = 0.5


def virtual_clip(
    crops: NDArray[np.uint8],
    rng: np.random.Generator,
    degradation: Degradation,
    spec_size: int,
    margin: float,
) -> NDArray[np.uint8]:
    """(T, S, S, 3) network crops of one person as a compressed clip would show them.

    ``crops`` (n, 352, 352, 3): one portrait, filmed for three seconds by a drifting camera with sensor
    noise, or the frames of a clip.
    """
    import cv2

    view = STORE_SPEC.size * margin / STORE_SPEC.margin
    base = draw_geometry(rng, degradation, STORE_SPEC.size, view)
    frames = len(crops) if len(crops) > 1 else _FRAMES
    drift = np.cumsum(rng.normal(0, 0.4, (frames, 2)), 0)
    noise = rng.uniform(0, 2.5)
    side = base.side - base.side % 2
    pictures = []
    for t in range(frames):
        matrix = base.to_view.copy()
        matrix[:, 2] += drift[t]
        frame = look(crops[t % len(crops)], Geometry(matrix, side, base.flip)).astype(np.float32)
        pictures.append(np.clip(frame + rng.normal(0, noise, frame.shape), 0, 255).astype(np.uint8))
    crf = int(rng.integers(degradation.crf[0], degradation.crf[1] + 1))
    coded = reencode(np.stack(pictures), codec="libx264", crf=crf, preset="veryfast")
    return np.stack([cv2.resize(f, (spec_size, spec_size), interpolation=cv2.INTER_LINEAR) for f in coded])


def genuine_statistics(
    store: Store, classifier: PatchClassifier, *, seed: int = 0, degradation: Degradation | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) clip statistic and (n,) sharpness, one a held-out genuine person."""
    people: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, row in enumerate(store.rows):
        if row.genuine and row.held_out:
            people[row.identity][row.file].append(i)
    found = []
    for number, (_, files) in enumerate(tqdm(sorted(people.items()), desc="calibration", disable=None)):
        rng = np.random.default_rng((seed, number))
        rows = list(files.values())[int(rng.integers(len(files)))]
        clip = virtual_clip(
            store.crops[rows],
            rng,
            degradation or Degradation(),
            classifier.spec.size,
            classifier.spec.margin,
        )
        crops = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
        scores = classifier.pool(classifier.logits(crops)).numpy()
        value = statistic(np.arange(len(scores)) / _FPS, scores)
        found.append((value, float(np.median(crop_quality(crops)[0]))))
    statistics, sharpness = np.array(found).T
    return statistics, sharpness


def calibrate(
    store: Store,
    patches: ModelRecord,
    weights: Path,
    name: str,
    *,
    manipulated_fpr: float = 0.01,
    uncertain_fpr: float = 0.05,
    min_face_px: float = 48.0,
    min_brightness: float = 25.0,
) -> ModelRecord:
    """Fit the score's scale and the quality limits, and register them as ``name``.

    Raises
    ------
    SetupError
        Where too few people are held out for the rates asked for.
    """
    classifier = PatchClassifier(patches)
    values, sharpness = genuine_statistics(store, classifier)
    bin_name = "held-out train people, codec-degraded"
    try:
        scale = ScoreScale.fit(
            values, manipulated_fpr=manipulated_fpr, uncertain_fpr=uncertain_fpr, bin_name=bin_name
        )
    except ValueError as error:
        raise SetupError(f"the corpus has too few people to calibrate on: {error}") from error
    limits = [
        min_face_px,
        float(np.percentile(sharpness, _QUALITY_PERCENTILE)),
        # Not a percentile of the people: a dark complexion is not a dark picture.
        min_brightness,
    ]
    tensors = {
        "statistics": torch.from_numpy(scale.statistics),
        "thresholds": torch.tensor([scale.uncertain, scale.manipulated], dtype=torch.float64),
        "limits": torch.tensor(limits, dtype=torch.float64),
    }
    record: dict[str, Any] = {
        "kind": "verdict",
        "patches": patches.name,
        "target_fpr": manipulated_fpr,
        "uncertain_fpr": uncertain_fpr,
        "bin": bin_name,
        "people": len(values),
        "limits": {"min_face_px": limits[0], "min_sharpness": limits[1], "min_brightness": limits[2]},
    }
    return register(weights, name, tensors, record)

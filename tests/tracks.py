"""Made-up tracks with evidence of every group, as genuine people's vary; and shifted as forgeries are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vidscan.behavior.spans import spans
from vidscan.behavior.windows import DESCRIBERS
from vidscan.patches.parts import PARTS
from vidscan.types import BehaviorWindow, FaceEvidence, Track
from vidscan.verdict.groups import GROUPS

FPS = 4.0


def make_faces(
    times: Sequence[float] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    parts: Sequence[float] | np.ndarray = (),
    *,
    face_px: float = 120.0,
    sharpness: float = 9.0,
    brightness: float = 110.0,
) -> tuple[FaceEvidence, ...]:
    """Analysed faces at ``times``; ``parts`` (6,) is what each part's patches say in every one."""
    told = tuple(float(v) for v in parts)
    return tuple(
        FaceEvidence(
            round(t * 24), float(t), (0.0, 0.0, 9.0, 9.0), float(s), face_px, sharpness, brightness, told
        )
        for t, s in zip(times, scores, strict=True)
    )


def make_track(
    seed: int,
    *,
    seconds: float = 6.0,
    track_id: int = 0,
    shift: float = 0.0,
    absent: Sequence[str] = (),
    face_px: float = 120.0,
    sharpness: float = 9.0,
) -> Track:
    """A track of one person, ``seed``.

    ``shift`` moves what is judged towards forgeries by so many of its spreads; ``absent`` names groups
    without enough material.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(0, seconds + 1e-9, 1 / FPS)
    scores = -3 + rng.normal() + shift + rng.normal(0, 0.5, len(times))
    parts = -3 + rng.normal(0, 0.5, len(PARTS)) + shift * (np.array(list(PARTS)) == "mouth")
    end_s = float(times[-1])
    windows = tuple(
        BehaviorWindow(a, b, _behavior(rng, shift, absent)) for a, b in spans(float(times[0]), end_s)
    )
    faces = make_faces(times, scores, parts, face_px=face_px, sharpness=sharpness)
    if "encoder" not in absent:
        own = np.random.default_rng((seed, 1))
        level = own.normal() + shift
        faces = tuple(replace(face, encoder=level + own.normal(0, 0.3)) for face in faces)
    return Track(track_id, faces, len(times) * 6, float(times[0]), end_s, windows)


def _behavior(
    rng: np.random.Generator, shift: float, absent: Sequence[str]
) -> dict[str, dict[str, float] | None]:
    """Every feature of behavior: positive, spread by a fifth; low where forgeries move less."""
    found: dict[str, dict[str, float] | None] = {}
    for group in DESCRIBERS:
        sign = 1.0 if group in ("flicker", "blink") else -1.0
        level = 0.2 * sign * shift
        found[group] = {name: float(np.exp(rng.normal(level, 0.2))) for name in GROUPS[group].features}
        if group in absent:
            found[group] = None
    return found

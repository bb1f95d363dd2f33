"""The encoder looks at some of the analyzed faces, and what it says reaches the evidence and the verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.patches.fixture_weights import register_patches
from tests.patches.test_encoder import register_encoder
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.encoder import EncoderClassifier
from vidscan.stages import EncoderStage, FaceBatch, PatchStage, Turns
from vidscan.types import Face, FrameChunk, FrameFaces

FPS = 10.0


def batch(first: int, count: int, tracks: tuple[int, ...] = (0,)) -> FaceBatch:
    rng = np.random.default_rng(first)
    images = rng.integers(0, 255, (count, 120, 120, 3), np.uint8)
    times = (first + np.arange(count)) / FPS
    points = np.array([[45, 50], [75, 50], [60, 65], [50, 80], [70, 80]], np.float32)
    faces = [
        Face(first + i, float(times[i]), track, np.array([35, 30, 85, 95], np.float32), points, 0.99, True)
        for i in range(count)
        for track in tracks
    ]
    complete: list[FrameFaces] = []
    return FaceBatch(FrameChunk(first, times, images), faces, 1, complete, "cpu")


@pytest.fixture
def stages(tmp_path: Path) -> tuple[PatchStage, EncoderStage]:
    patches = PatchStage(PatchClassifier(register_patches(tmp_path)), Turns(5.0))
    return patches, EncoderStage(patches, EncoderClassifier(register_encoder(tmp_path)), 0.5)


def test_it_looks_every_second_at_first_and_then_at_its_rate(
    stages: tuple[PatchStage, EncoderStage],
) -> None:
    patches, encoder = stages
    for first in range(0, 120, 40):
        for stage in stages:
            stage.add(batch(first, 40))
    looked = sorted(frame / FPS for frame, _ in encoder.deviations)
    assert looked == pytest.approx([0, 1, 2, 3, 4, 6, 8, 10])
    assert {frame for frame, _ in encoder.deviations} <= {f.frame_index for f in patches.evidence[0]}


def test_chunks_make_no_difference(tmp_path: Path) -> None:
    def run(size: int) -> dict[tuple[int, int], float]:
        patches = PatchStage(PatchClassifier(register_patches(tmp_path)), Turns(5.0))
        encoder = EncoderStage(patches, EncoderClassifier(register_encoder(tmp_path)), 0.5)
        whole = batch(0, 40, (0, 1))
        for first in range(0, 40, size):
            chunk = FrameChunk(
                first, whole.chunk.times[first : first + size], whole.chunk.images[first : first + size]
            )
            own = [f for f in whole.faces if first <= f.frame_index < first + size]
            part = FaceBatch(chunk, own, 1, [], "cpu")
            patches.add(part)
            encoder.add(part)
        return encoder.deviations

    small, large = run(7), run(40)
    assert small.keys() == large.keys()
    assert list(small.values()) == pytest.approx([large[k] for k in small], abs=1e-4)


def test_only_the_faces_it_looked_at_carry_its_deviations(stages: tuple[PatchStage, EncoderStage]) -> None:
    patches, encoder = stages
    for stage in stages:
        stage.add(batch(0, 15))
    faces = encoder.joined(0, patches.evidence[0])
    assert [f.time_s for f in faces if f.encoder is not None] == pytest.approx([0.0, 1.0])
    assert len(faces) == len(patches.evidence[0])
    assert faces[0].encoder == encoder.deviations[0, 0]

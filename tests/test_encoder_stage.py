"""The encoder looks at some of the analyzed faces, and what it says reaches the evidence and the verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.patches.fixture_weights import register_patches, register_verdict
from tests.patches.test_encoder import register_encoder
from vidscan.faces.align import face_transforms
from vidscan.patches.classifier import PatchClassifier
from vidscan.patches.encoder import SPEC, EncoderClassifier, EncoderReading
from vidscan.patches.vision_transformer import PATCH
from vidscan.report.masks import render
from vidscan.stages import EncoderStage, FaceBatch, FrameStage, PatchStage, Turns
from vidscan.types import Face, FrameChunk, FrameFaces, FrameMaps
from vidscan.verdict.judge import load_judge

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


def test_looks_are_at_both_kinds_of_crop_and_then_at_each_in_turn(tmp_path: Path) -> None:
    patches = PatchStage(PatchClassifier(register_patches(tmp_path)), Turns(5.0))
    encoder = EncoderStage(patches, EncoderClassifier(register_encoder(tmp_path)), 0.5)
    read, read_native = encoder.classifier.read, encoder.classifier.read_native
    seen: dict[str, list[torch.Tensor]] = {"aligned": [], "native": []}

    def aligned(crops: torch.Tensor) -> EncoderReading:
        seen["aligned"] += list(crops)
        return EncoderReading(np.full(len(crops), 1.0), read(crops).maps)

    def native(crops: torch.Tensor, weights: torch.Tensor) -> NDArray[np.float64]:
        seen["native"] += list(crops)
        assert read_native(crops, weights).shape == (len(crops),)
        return np.full(len(crops), 4.0)

    encoder.classifier.read = aligned  # type: ignore[method-assign]
    encoder.classifier.read_native = native  # type: ignore[method-assign]
    whole = batch(0, 80)
    for stage in (patches, encoder):
        stage.add(whole)
    found = [encoder.deviations[frame, 0] for frame in (0, 10, 20, 30, 40, 60)]
    assert found == [2.5, 4.0, 1.0, 4.0, 1.0, 4.0]
    assert len(encoder.deviations) == 6
    # The frame is smaller than a native crop: it lies in its middle, as it is.
    shown = seen["native"][0][:, 52:172, 52:172].permute(1, 2, 0).numpy()
    assert np.array_equal(shown, whole.chunk.images[0])
    assert len(seen["aligned"]) == 3 and len(seen["native"]) == 4


def test_without_native_heads_every_look_is_aligned(tmp_path: Path) -> None:
    patches = PatchStage(PatchClassifier(register_patches(tmp_path)), Turns(5.0))
    encoder = EncoderStage(patches, EncoderClassifier(register_encoder(tmp_path, native=False)), 0.5)
    for stage in (patches, encoder):
        stage.add(batch(0, 80))
    assert sorted(frame for frame, _ in encoder.deviations) == [0, 10, 20, 30, 40, 60]


def test_looks_a_little_late_do_not_add_up(tmp_path: Path) -> None:
    patches = PatchStage(PatchClassifier(register_patches(tmp_path)), Turns(1.6))
    encoder = EncoderStage(patches, EncoderClassifier(register_encoder(tmp_path)), 1.0)
    for stage in (patches, encoder):
        stage.add(batch(0, 60))
    assert sorted(frame / FPS for frame, _ in encoder.deviations) == pytest.approx([0, 1.3, 2.5, 3.2, 4.4, 5])


def test_a_track_is_looked_at_three_times_in_its_first_second_and_then_at_the_rate() -> None:
    turns = Turns(0.5)
    first = [face.frame_index / FPS for face in turns.choose(batch(0, 30))]
    assert first == [0, 0.4, 0.8, 2]
    chosen = turns.choose(batch(30, 30, (0, 1)))
    times = {track: [f.frame_index / FPS for f in chosen if f.track_id == track] for track in (0, 1)}
    assert times == {0: [4], 1: [3, 3.4, 3.8, 4]}
    assert turns.frames == 8


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


def test_for_masks_it_looks_every_second_and_judges_as_before(
    stages: tuple[PatchStage, EncoderStage],
) -> None:
    patches, encoder = stages
    plain = EncoderStage(patches, encoder.classifier, 0.5)
    encoder.mapped = True
    mapped = []
    for first in range(0, 120, 40):
        for stage in (patches, encoder, plain):
            stage.add(batch(first, 40))
        mapped += [frame / FPS for frame, _ in encoder.maps]
        assert all(cells.shape == (16, 16) for cells in encoder.maps.values())
    assert sorted(mapped) == pytest.approx(range(12))
    assert encoder.deviations == plain.deviations


class Sink:
    """Takes the frames of masks."""

    def __init__(self) -> None:
        self.frames: list[FrameMaps] = []

    def write(self, frame: FrameMaps) -> None:
        self.frames.append(frame)


def masks(
    stages: tuple[PatchStage, EncoderStage], tmp_path: Path, count: int, looks: list[NDArray[np.float32]]
) -> list[FrameMaps]:
    """Masks of a face in ``count`` frames, in which the encoder finds ``looks`` (16, 16) by turns."""
    patches, encoder = stages
    encoder.mapped = True
    left = iter(looks)

    def read(crops: torch.Tensor) -> EncoderReading:
        return EncoderReading(np.zeros(len(crops)), np.stack([next(left) for _ in crops]))

    encoder.classifier.read = read  # type: ignore[method-assign]
    judge = load_judge(register_verdict(tmp_path / "verdict"), 0.01, 0.05)
    sink = Sink()
    frames = FrameStage(patches, encoder, judge, sink)  # type: ignore[arg-type]
    whole = batch(0, count)
    complete = [FrameFaces(face.frame_index, face.time_s, (face,)) for face in whole.faces]
    for stage in (patches, encoder, frames):
        stage.add(FaceBatch(whole.chunk, whole.faces, 1, complete, "cpu"))
    assert len(sink.frames) == len(frames.reports) == count
    return sink.frames


@pytest.mark.parametrize("cell", [(3, 5), (12, 8), (7, 13)])
def test_a_patch_lights_up_where_it_lies_in_the_frame(
    stages: tuple[PatchStage, EncoderStage], tmp_path: Path, cell: tuple[int, int]
) -> None:
    hot = np.full((16, 16), -9, np.float32)
    hot[cell] = 9
    (frame,) = masks(stages, tmp_path, 1, [hot])
    drawn = render(frame.shape, frame.faces)
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    # The middle of the patch in the encoder's own crop, and from there straight to the frame.
    middle = np.array([cell[1], cell[0]]) * PATCH + (PATCH - 1) / 2
    to_crop = face_transforms(batch(0, 1).faces, SPEC)[0]
    x, y = np.linalg.solve(to_crop[:, :2], middle - to_crop[:, 2])
    assert (column, row) == pytest.approx((x, y), abs=1)
    assert drawn.max() > 250
    assert np.median(drawn) == 0


def test_a_mask_keeps_a_fifth_of_what_was_seen_a_second_before(
    stages: tuple[PatchStage, EncoderStage], tmp_path: Path
) -> None:
    looks = [np.full((16, 16), value, np.float32) for value in (0.2, 1.2)]
    frames = masks(stages, tmp_path, 15, looks)
    odds = [np.log(p / (1 - p)) for f in frames if (p := f.faces[0].probability.astype(float)).any()]
    # The record's even odds are .2 and its slope is 2.
    assert odds[0] == pytest.approx(0.0, abs=1e-4)
    assert odds[9] == pytest.approx(0.0, abs=1e-4)
    assert odds[10] == pytest.approx(2 * 0.8, abs=1e-4)
    assert odds[14] == pytest.approx(2 * 0.8, abs=1e-4)
    # In between the map moves along; frames are told from those in which the face was only followed.
    assert [f.interpolated for f in frames] == [i % 2 == 1 for i in range(15)]

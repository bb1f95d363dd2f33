"""The shipped networks and a whole scan on a GPU, beside the same on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from samples.clips import make_clip
from tests.corpus import shipped_registry
from tests.test_scanner import HEIGHT, moving_face, without_times
from vidscan.scanner import Scanner
from vidscan.types import Report

DEVICE = "cuda"

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(scope="module")
def cpu() -> Scanner:
    shipped_registry()
    return Scanner(device="cpu")


@pytest.fixture(scope="module")
def gpu() -> Scanner:
    shipped_registry()
    return Scanner(device=DEVICE)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("cuda") / "face.mp4", moving_face(60), options={"crf": "18"})


@pytest.fixture(scope="module")
def report(gpu: Scanner, clip: Path) -> Report:
    return gpu.scan(clip, frames=True)


def test_the_detector_finds_the_same_faces(cpu: Scanner, gpu: Scanner) -> None:
    images = moving_face(6)
    for ours, theirs in zip(gpu.detector.detect(images), cpu.detector.detect(images), strict=True):
        assert len(ours) == len(theirs) == 1
        np.testing.assert_allclose(ours[0].box, theirs[0].box, atol=0.5)
        np.testing.assert_allclose(ours[0].points, theirs[0].points, atol=0.5)


def test_networks_answer_alike(cpu: Scanner, gpu: Scanner) -> None:
    def crops(size: int) -> torch.Tensor:
        faces = torch.from_numpy(moving_face(3)[:, :, 100 : 100 + HEIGHT]).permute(0, 3, 1, 2).float()
        return torch.nn.functional.interpolate(faces, (size, size), mode="bilinear", antialias=True)

    patches = crops(cpu.classifier.spec.size)
    np.testing.assert_allclose(gpu.classifier.logits(patches), cpu.classifier.logits(patches), atol=0.05)
    assert cpu.encoder is not None and gpu.encoder is not None
    looks = crops(cpu.encoder.spec.size)
    ours, theirs = gpu.encoder.read(looks), cpu.encoder.read(looks)
    np.testing.assert_allclose(ours.deviations, theirs.deviations, atol=0.02)
    np.testing.assert_allclose(ours.maps, theirs.maps, atol=0.1)
    assert cpu.reader is not None and gpu.reader is not None
    faces = crops(cpu.reader.spec.size)
    np.testing.assert_allclose(
        gpu.reader.output(faces).landmarks, cpu.reader.output(faces).landmarks, atol=0.2
    )


def test_a_scan_says_the_same(cpu: Scanner, clip: Path, report: Report) -> None:
    expected = cpu.scan(clip, frames=True)
    assert report.error is None and report.verdict.label == expected.verdict.label
    assert report.verdict.score == pytest.approx(expected.verdict.score, abs=0.02)
    assert [(t.start_s, t.end_s, t.frames) for t in report.tracks] == [
        (t.start_s, t.end_s, t.frames) for t in expected.tracks
    ]
    ours, theirs = (
        {(f.index, f.track_id): f.score for f in r.frames if f.score is not None} for r in (report, expected)
    )
    assert ours.keys() == theirs.keys() and ours
    assert max(abs(ours[key] - theirs[key]) for key in ours) < 0.03


def test_the_same_device_says_the_same_twice(gpu: Scanner, clip: Path, report: Report) -> None:
    assert without_times(gpu.scan(clip, frames=True)) == without_times(report)

"""Kept evidence is that of the models and settings that gathered it, and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.patches.fixture_weights import make_weights
from tests.tracks import make_faces
from vidscan import models
from vidscan.models import ModelRecord
from vidscan.training.evidence import ClipEvidence, as_unseen, gather_all
from vidscan.training.reading import Reading
from vidscan.types import ScanSettings, Track


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_weights(tmp_path / "weights")
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the evidence files, one for each time that a clip is read."""
    (tmp_path / "a.mp4").write_bytes(b"a clip")
    names: list[str] = []

    def gather(task: Reading) -> None:
        task.target.write_text('{"bits_per_pixel": null, "tracks": []}')
        names.append(task.target.name)

    monkeypatch.setattr("vidscan.training.evidence._gather", gather)
    return names


def change(folder: Path, kind: str) -> None:
    """Another model of that kind under the same name."""
    record = models.load_registry(folder).get(kind)
    tensors = record.load()
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    models.register(folder, record.name, tensors | {name: tensors[name] + 1}, record.settings)


def read(tmp_path: Path, settings: ScanSettings | None = None) -> None:
    gather_all(tmp_path, ["a.mp4"], tmp_path / "evidence", jobs=1, settings=settings)


@pytest.mark.parametrize("kind", ["patches", "landmarks", "blink"])
def test_another_reading_model_reads_again(
    kind: str, weights: Path, tmp_path: Path, gathered: list[str]
) -> None:
    read(tmp_path)
    read(tmp_path)
    assert len(gathered) == 1
    change(weights, kind)
    read(tmp_path)
    assert len(set(gathered)) == 2


def test_another_verdict_reads_nothing_again(weights: Path, tmp_path: Path, gathered: list[str]) -> None:
    read(tmp_path)
    change(weights, "verdict")
    read(tmp_path)
    assert len(gathered) == 1


def test_other_rates_read_nothing_again(weights: Path, tmp_path: Path, gathered: list[str]) -> None:
    read(tmp_path)
    read(tmp_path, ScanSettings(target_fpr=0.05, uncertain_fpr=0.1))
    assert len(gathered) == 1


def test_another_rule_for_blinks_reads_again_and_leaves_the_network_out(
    weights: Path, tmp_path: Path, gathered: list[str]
) -> None:
    read(tmp_path)
    read(tmp_path, ScanSettings(blink_rule="ear"))
    assert len(set(gathered)) == 2
    change(weights, "blink")
    read(tmp_path, ScanSettings(blink_rule="ear"))
    assert len(gathered) == 2


def test_what_the_encoder_learnt_from_counts_as_if_it_were_new() -> None:
    record = ModelRecord("encoder", "encoder", Path("x"), "", {"left_out": {"median": 1.0, "deviation": 2.0}})
    seen = [clip([v, v + 0.2, None]) for v in (-6.0, -5.0, -4.5, -4.0, -1.0)]
    moved = as_unseen(seen, record)
    levels = np.array(
        [np.mean([f.encoder for f in c.tracks[0].faces if f.encoder is not None]) for c in moved]
    )
    assert np.median(levels) == pytest.approx(1.0)
    assert levels.std() == pytest.approx(2.0)
    assert np.all(np.diff(levels) > 0)
    assert moved[0].tracks[0].faces[2].encoder is None


def test_without_an_encoder_nothing_is_moved() -> None:
    seen = [clip([0.5]), clip([None])]
    assert as_unseen(seen, None) == seen
    empty = ModelRecord("encoder", "encoder", Path("x"), "", {"left_out": {"median": 1.0, "deviation": 2.0}})
    assert as_unseen([clip([None])], empty) == [clip([None])]


def clip(values: list[float | None]) -> ClipEvidence:
    faces = make_faces(np.arange(len(values)), np.zeros(len(values)))
    told = tuple(replace(face, encoder=value) for face, value in zip(faces, values, strict=True))
    return ClipEvidence("a.mp4", (Track(0, told, len(told), 0.0, float(len(told))),), None)

"""Kept evidence is that of the models and settings that gathered it, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.patches.fixture_weights import make_weights
from vidscan import models
from vidscan.training.evidence import gather_all
from vidscan.training.reading import Reading
from vidscan.training.unseen import KIND, parts_unseen
from vidscan.types import ScanSettings


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


def test_evidence_by_heads_that_never_saw_a_part_is_kept_apart(
    weights: Path, tmp_path: Path, gathered: list[str]
) -> None:
    def of_part(part: int | None) -> None:
        parts = {} if part is None else {"a.mp4": part}
        gather_all(tmp_path, ["a.mp4"], tmp_path / "evidence", jobs=1, parts=parts)

    models.register(weights, "apart", {"x": torch.zeros(1)}, {"kind": KIND})
    for part in (None, 0, 1, 0, None):
        of_part(part)
    assert len(gathered) == len(set(gathered)) == 3
    models.register(weights, "apart", {"x": torch.ones(1)}, {"kind": KIND})
    of_part(None)
    assert len(gathered) == 3
    of_part(0)
    assert len(set(gathered)) == 4


def test_without_an_encoder_train_clips_are_read_as_any_other(
    weights: Path, tmp_path: Path, gathered: list[str]
) -> None:
    read(tmp_path)
    parts = parts_unseen(tmp_path, models.load_registry())
    gather_all(tmp_path, ["a.mp4"], tmp_path / "evidence", jobs=1, parts=parts)
    assert len(gathered) == 1

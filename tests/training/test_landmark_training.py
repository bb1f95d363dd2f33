"""The landmark trainer runs, goes on where it stopped, and what it registers can be read with."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.manifests import entry, write_manifest
from tests.training.label_stores import write_store
from vidscan.errors import NoFaceError, SetupError
from vidscan.faces.landmark_network import SIZE, LandmarkNetwork, NetworkOutput
from vidscan.faces.landmarks import LandmarkReader
from vidscan.faces.rotation import rotation_matrix
from vidscan.faces.units import UNITS
from vidscan.models import load_registry
from vidscan.training.checkpoint import CHECKPOINT
from vidscan.training.expression import expression
from vidscan.training.labels import Labels, _coded, build_labels
from vidscan.training.landmark_augment import Batch, centre_cut
from vidscan.training.landmark_run import label_corpus
from vidscan.training.landmarks import (
    LabelledFaces,
    LandmarkRecipe,
    LandmarkTrainer,
    export_landmarks,
    landmark_loss,
    to_pixels,
    train_landmarks,
    validate,
)

RECIPE = LandmarkRecipe(name="tiny", faces=12, batch=4, warmup=4)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "store"
    write_store(path)
    return path


@pytest.fixture(scope="module")
def faces(folder: Path) -> LabelledFaces:
    return LabelledFaces([Labels.open(folder)], RECIPE.pictures)


@pytest.fixture(scope="module")
def trained(faces: LabelledFaces, tmp_path_factory: pytest.TempPathFactory) -> tuple[LandmarkTrainer, Path]:
    run = tmp_path_factory.mktemp("run")
    trainer = LandmarkTrainer(RECIPE)
    assert len(list(train_landmarks(trainer, faces, run, every=4))) == 3
    return trainer, run


def validation(faces: LabelledFaces) -> Batch:
    return centre_cut(faces.batch(faces.validation, np.zeros(len(faces.validation), bool)))


def truth(batch: Batch) -> NetworkOutput:
    """What a perfect network says of a batch."""
    middle = torch.tensor([(SIZE - 1) / 2, (SIZE - 1) / 2, 0.0])
    return NetworkOutput(
        landmarks=(batch.landmarks - middle) / SIZE,
        units=batch.units,
        openness=batch.openness,
        gaze=batch.gaze,
        rotation=batch.rotation,
        confidence=batch.face * 40 - 20,
    )


# --------------------------------------------------------------------------- label stores


def test_a_store_is_opened_as_it_was_written(tmp_path: Path) -> None:
    arrays, rows = write_store(tmp_path / "store")
    labels = Labels.open(tmp_path / "store")
    assert labels.rows == rows
    for name, value in arrays.items():
        found = getattr(labels, name)
        assert found.dtype == value.dtype
        assert np.array_equal(found, value), name


def test_the_codec_is_drawn_by_the_name_of_the_file() -> None:
    crops = np.random.default_rng(0).integers(60, 200, (3, 64, 64, 3), np.uint8)
    first = _coded(crops, "one.mp4")
    assert first.shape == crops.shape and first.dtype == np.uint8
    assert np.array_equal(first, _coded(crops, "one.mp4"))
    assert not np.array_equal(first, _coded(crops, "two.mp4"))
    assert not np.array_equal(first, crops)


def test_files_without_a_face_cannot_be_labelled(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but no picture")
    entries = [entry(name, "anna", kind="photo") for name in ("broken.png", "missing.png")]
    with pytest.raises(NoFaceError, match="no face to label in the 2") as error:
        build_labels(tmp_path, entries, tmp_path / "store", None)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert not (tmp_path / "store" / "rows.jsonl").exists()


@pytest.mark.parametrize("kind", ["clips", "pictures"])
def test_a_corpus_may_lack_clips_or_pictures_but_not_both(kind: str, tmp_path: Path) -> None:
    row = {"clips": "train,real,a.mp4,video,r,anna,,,,", "pictures": "train,real,a.jpg,photo,r,anna,,,,"}
    write_manifest(tmp_path, row[kind])
    arrays, _ = write_store(tmp_path / "work" / f"labels-{kind}")
    (store,) = label_corpus(tmp_path, tmp_path / "no teacher", tmp_path / "work")
    assert np.array_equal(store.crops, arrays["crops"])
    write_manifest(tmp_path)
    with pytest.raises(SetupError, match="no genuine file"):
        label_corpus(tmp_path, tmp_path / "no teacher", tmp_path / "work")


# --------------------------------------------------------------------------- batches


def test_batches_pair_crops_with_their_labels(folder: Path, faces: LabelledFaces) -> None:
    labels = Labels.open(folder)
    places = [(0, 5), (0, 0)]
    found = faces.batch(places, np.array([False, True]))
    target = expression(labels.landmarks, labels.blendshapes)
    assert np.array_equal(found.crops[0].permute(1, 2, 0).numpy(), labels.crops[5])
    assert np.array_equal(found.crops[1].permute(1, 2, 0).numpy(), labels.coded[0])
    for name in ("landmarks", "units", "openness", "gaze"):
        assert np.array_equal(getattr(found, name).numpy(), getattr(target, name)[[5, 0]])
    assert np.array_equal(found.rotation.numpy(), labels.rotation[[5, 0]])


def test_people_held_out_are_never_drawn(folder: Path, faces: LabelledFaces) -> None:
    rows = Labels.open(folder).rows
    held = [i for i, row in enumerate(rows) if row.held_out]
    assert [i for _, i in faces.validation] == held
    seen = faces.draw(150, np.random.default_rng(0)).landmarks.numpy()
    labels = Labels.open(folder).landmarks
    drawn = {i for i in range(len(rows)) if (seen == labels[i]).all((1, 2)).any()}
    assert drawn == set(range(len(rows))) - set(held)


def test_clips_or_pictures_alone_are_enough_to_draw_from(folder: Path) -> None:
    labels = Labels.open(folder)
    for kind in ("video", "photo"):
        own = {i for i, row in enumerate(labels.rows) if row.kind == kind and not row.held_out}
        rows = [replace(row, held_out=i not in own) for i, row in enumerate(labels.rows)]
        only = LabelledFaces([replace(labels, rows=rows)], pictures=0.5)
        seen = only.draw(60, np.random.default_rng(0)).landmarks.numpy()
        assert {i for i in range(len(rows)) if (seen == labels.landmarks[i]).all((1, 2)).any()} == own
    nobody = [replace(row, held_out=True) for row in labels.rows]
    with pytest.raises(SetupError, match="nobody to train on"):
        LabelledFaces([replace(labels, rows=nobody)], pictures=0.5)


# --------------------------------------------------------------------------- loss and measures


def test_the_truth_has_no_loss_and_anything_else_has(faces: LabelledFaces) -> None:
    batch, spread = validation(faces), torch.from_numpy(faces.spread)
    right = truth(batch)
    assert torch.allclose(to_pixels(right.landmarks), batch.landmarks, atol=1e-3)
    assert float(landmark_loss(right, batch, spread)) == pytest.approx(0, abs=1e-4)
    for name in (f.name for f in fields(NetworkOutput)):
        wrong = replace(right, **{name: -getattr(right, name) + 0.1})
        assert float(landmark_loss(wrong, batch, spread)) > 0.01, name


def test_labels_of_what_is_no_face_do_not_count(faces: LabelledFaces) -> None:
    batch, spread = validation(faces), torch.from_numpy(faces.spread)
    batch = replace(batch, face=torch.tensor([1.0, 0.0] * 4))
    wrong = truth(batch)
    for name in ("landmarks", "units", "openness", "gaze", "rotation"):
        value = getattr(wrong, name).clone()
        value[1::2] += 3
        wrong = replace(wrong, **{name: value})
    assert float(landmark_loss(wrong, batch, spread)) == pytest.approx(0, abs=1e-4)
    sure = replace(wrong, confidence=torch.full((8,), 20.0))
    assert float(landmark_loss(sure, batch, spread)) > 1


def test_validation_of_a_perfect_and_of_a_turned_reader(faces: LabelledFaces) -> None:
    right = truth(validation(faces))
    found = validate(lambda crops: right, faces)  # type: ignore[arg-type]
    assert found["nme"] == pytest.approx(0, abs=1e-5)
    assert found["angle"] < 0.1
    for name in ("units", "worst_unit", "openness", "gaze"):
        assert found[name] == pytest.approx(1), name
    turn = torch.from_numpy(rotation_matrix(np.array([0.0, 12.0, 0.0]))).float()
    units = right.units.clone()
    units[:, 3] = -units[:, 3]
    corners = right.landmarks[:, 45] - right.landmarks[:, 36]
    shifted = right.landmarks + 0.1 * torch.tensor([1.0, 0, 0]) * corners.norm(dim=1)[:, None, None]
    wrong = replace(right, rotation=turn @ right.rotation, units=units, landmarks=shifted)
    found = validate(lambda crops: wrong, faces)  # type: ignore[arg-type]
    assert found["angle"] == pytest.approx(12, abs=0.01)
    assert found["nme"] == pytest.approx(0.1, abs=1e-4)
    assert found["worst_is"] == UNITS[3] and found["worst_unit"] == pytest.approx(-1)


def test_figures_that_nothing_can_be_said_of_are_left_out(
    folder: Path, faces: LabelledFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = truth(validation(faces))
    still = replace(right, units=right.units * 0 + 0.3, gaze=right.gaze * 0)
    found = validate(lambda crops: still, faces)  # type: ignore[arg-type]
    assert found["units"] == found["worst_unit"] == found["gaze"] == 0
    assert found["openness"] == pytest.approx(1)

    batch = faces.batch

    def asleep(*args: Any) -> Batch:
        drawn = batch(*args)
        return replace(drawn, openness=drawn.openness * 0, units=drawn.units * torch.eye(len(UNITS))[5])

    monkeypatch.setattr(faces, "batch", asleep)
    found = validate(lambda crops: right, faces)  # type: ignore[arg-type]
    assert "openness" not in found
    assert found["worst_is"] == UNITS[5] and found["worst_unit"] == found["units"] == pytest.approx(1)
    assert np.isfinite(list(found.values())).all()
    labels = Labels.open(folder)
    known = [replace(row, held_out=False) for row in labels.rows]
    everybody = LabelledFaces([replace(labels, rows=known)], pictures=0.5)
    assert validate(lambda crops: right, everybody) == {}  # type: ignore[arg-type]


# --------------------------------------------------------------------------- training


def test_a_run_logs_and_moves_the_weights(trained: tuple[LandmarkTrainer, Path]) -> None:
    trainer, run = trained
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["faces"] for line in lines] == [4, 8, 12] and trainer.seen == 12
    assert all(np.isfinite(value) for line in lines for value in line.values())
    fresh = LandmarkTrainer(RECIPE).net
    for (name, one), other in zip(trainer.net.named_parameters(), fresh.parameters(), strict=True):
        assert not torch.equal(one, other), name
    assert not list(run.glob("*.part"))


def test_a_stopped_run_goes_on_to_the_same_weights(
    trained: tuple[LandmarkTrainer, Path], faces: LabelledFaces, tmp_path: Path
) -> None:
    straight, _ = trained
    lines = train_landmarks(LandmarkTrainer(RECIPE), faces, tmp_path, every=4)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    torch.rand(7)  # the global generator is elsewhere by then
    resumed = LandmarkTrainer(RECIPE)
    resumed.resume(tmp_path / CHECKPOINT)
    assert resumed.seen == 4
    list(train_landmarks(resumed, faces, tmp_path, every=4))
    for net in ("net", "average"):
        wanted = getattr(straight, net).state_dict()
        for name, value in getattr(resumed, net).state_dict().items():
            assert torch.equal(value, wanted[name]), f"{net} {name}"


def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    with pytest.raises(SetupError, match="cannot go on"):
        LandmarkTrainer(RECIPE).resume(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(SetupError, match="cannot go on"):
        LandmarkTrainer(RECIPE).resume(path)


def test_what_was_trained_is_registered_and_reads(
    trained: tuple[LandmarkTrainer, Path], faces: LabelledFaces, tmp_path: Path
) -> None:
    trainer, _ = trained
    record = export_landmarks(trainer, faces, tmp_path / "weights")
    assert load_registry(tmp_path / "weights").get("landmarks", "tiny") == record
    assert record.settings["faces_seen"] == 12
    assert record.settings["recipe"]["batch"] == 4
    measured = validate(trainer.average, faces)
    assert record.settings["held_out"] == {k: pytest.approx(v, abs=1e-4) for k, v in measured.items()}
    crops = validation(faces).crops
    found = LandmarkReader(record).output(crops)
    network: LandmarkNetwork = trainer.average
    with torch.no_grad():
        wanted = network(crops)
    assert torch.allclose(found.landmarks, to_pixels(wanted.landmarks), atol=0.1)
    assert torch.allclose(found.rotation, wanted.rotation, atol=5e-3)
    assert torch.allclose(found.openness, wanted.openness, atol=5e-3)

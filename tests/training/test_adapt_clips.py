"""From fakes on disk to a weights folder that scans with the adapted head."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from tests.corpus import needs_weights, shipped_registry
from tests.patches.test_encoder import register_encoder
from vidscan.cli.app import run
from vidscan.errors import NoFaceError, SetupError
from vidscan.media.writer import write_png
from vidscan.models import ModelRecord, load_registry, register, update_record
from vidscan.patches.encoder import EncoderClassifier
from vidscan.training.adapt import KIND, LinearHead, Memory
from vidscan.training.adapt_clips import adapt_to

pytestmark = needs_weights


def face(number: int, *, forged: bool) -> np.ndarray:
    rng = np.random.default_rng(number)
    picture = astronaut()[0:320, 64:384].astype(np.float32) * rng.uniform(0.9, 1.05)
    if forged:
        picture = cv2.GaussianBlur(picture, (0, 0), 3) + np.array([0, 20, 0], np.float32)
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fakes")
    for number in range(3):
        write_png(folder / f"{number}.png", face(number, forged=True))
    return sorted(folder.glob("*.png"))


def remember(folder: Path, encoder: ModelRecord, sha256: str) -> None:
    """A memory of random crops, on which the encoder's head says next to nothing."""
    rng = np.random.default_rng(0)
    tensors = encoder.load()
    head = LinearHead(tensors["head.weight"][0].numpy(), float(tensors["head.bias"][0]))
    features = rng.normal(size=(40, len(head.weight))).astype(np.float32)
    memory = Memory.of(features, np.arange(40) % 2 == 1, np.ones(40), np.arange(40) // 2 % 4, head, 16)
    alone = {"median": 1.0, "deviation": 2.0}
    settings = {"kind": KIND, "encoder_sha256": sha256, "left_out": alone}
    register(folder, "memory", memory.tensors(), settings)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    detector = load_registry().get("detector")
    register(folder, detector.name, detector.load(), detector.settings)
    encoder = register_encoder(folder)
    update_record(
        folder, encoder.name, encoder.settings | {"left_out": {"median": 0.5, "deviation": 1.0, "clips": 9}}
    )
    register(folder, "verdict-a", {"x": torch.zeros(1)}, {"kind": "verdict", "encoder": encoder.name})
    register(folder, "verdict-b", {"x": torch.zeros(1)}, {"kind": "verdict"})
    remember(folder, encoder, encoder.sha256)
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(folder))
    return folder


def test_a_new_folder_holds_the_adapted_encoder(
    weights: Path, fakes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in weights.iterdir()}
    out = tmp_path / "adapted"
    names = [str(path) for path in fakes]
    write_png(tmp_path / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    assert run(["adapt", *names, str(tmp_path / "wall.png"), "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fakes"] == 3 and told["encoder"] == "encoder-test-adapted"
    assert told["left_out"] == [str(tmp_path / "wall.png")]
    assert told["after"] > told["before"]
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before

    registry = load_registry(out)
    assert registry.get("verdict", "verdict-a").settings["encoder"] == "encoder-test-adapted"
    assert "encoder" not in registry.get("verdict", "verdict-b").settings
    adapted = EncoderClassifier(registry.get("encoder"))
    shipped = EncoderClassifier(load_registry(weights).get("encoder"))
    crops = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 255
    assert torch.equal(adapted.encoder.describe(crops), shipped.encoder.describe(crops))
    # In aligned crops alone genuine clips lie twice as far apart, about 1: brought to 1 about .5.
    assert torch.allclose(adapted.weight[1], shipped.weight[1] / 2)
    assert torch.allclose(adapted.bias[1], 0.5 + (shipped.bias[1] - 1) / 2)
    assert not torch.allclose(adapted.weight[0], shipped.weight[0])
    assert shipped.reads_native and not adapted.reads_native

    assert run(["adapt", *names, "-o", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


def test_genuine_files_of_the_source_are_read_as_well(
    weights: Path, fakes: list[Path], tmp_path: Path
) -> None:
    write_png(tmp_path / "genuine.png", face(9, forged=False))
    plain = adapt_to(fakes, tmp_path / "plain")
    beside = adapt_to(fakes, tmp_path / "beside", genuine=[tmp_path / "genuine.png"])
    assert plain.before == beside.before
    assert plain.after is not None and beside.after is not None and plain.after != beside.after
    one = adapt_to(fakes[:1], tmp_path / "one")
    assert one.after is None and one.fakes == 1


def test_what_cannot_be_adapted(weights: Path, fakes: list[Path], tmp_path: Path) -> None:
    write_png(tmp_path / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(NoFaceError, match="none of 2 fakes"):
        adapt_to([tmp_path / "wall.png", tmp_path / "missing.mp4"], tmp_path / "out")
    with pytest.raises(SetupError, match="exists"):
        adapt_to(fakes, tmp_path)
    remember(weights, load_registry(weights).get("encoder"), "another")
    with pytest.raises(SetupError, match="memory of another encoder"):
        adapt_to(fakes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_shipped_memory_is_of_the_shipped_encoder() -> None:
    registry = shipped_registry()
    assert registry.get(KIND).settings["encoder_sha256"] == registry.get("encoder").sha256

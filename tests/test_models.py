"""The weight store: the first registry counts, and nothing but the registered bytes is loaded."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vidscan import models
from vidscan.errors import SetupError, WeightsError
from vidscan.models import load_registry, register, update_record, weights_folder, with_weights


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a": torch.randn(3, 4, generator=generator),
        "half": torch.randn(5, generator=generator).half(),
        "count": torch.tensor(7),
        "double": torch.tensor([1 + 2.0**-40], dtype=torch.float64),
    }


def test_register_round_trip(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    folder = tmp_path / "new"
    record = register(folder, "first", tensors, {"kind": "patches", "depth": 2})
    again = load_registry(folder).get("patches")
    assert again == record
    assert again.settings["depth"] == 2
    assert again.path == folder / "first.safetensors"
    assert again.sha256 == hashlib.sha256(again.path.read_bytes()).hexdigest()
    assert (again.ref.name, again.ref.sha256) == ("first", again.sha256)
    loaded = again.load()
    assert torch.equal(loaded["a"], tensors["a"])
    assert loaded["half"].dtype == torch.float32
    assert torch.equal(loaded["half"], tensors["half"].float())
    assert loaded["count"].dtype == torch.int64
    assert loaded["double"].dtype == torch.float64
    assert torch.equal(loaded["double"], tensors["double"])
    assert not list(folder.glob("*.part"))


def test_a_network_takes_its_weights_without_drawing_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    drawn = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.LSTM(5, 6))
    record = register(tmp_path, "n", dict(drawn.half().state_dict()), {"kind": "any"})
    state = torch.get_rng_state()

    def make() -> torch.nn.Sequential:
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.LSTM(5, 6))

    made = with_weights(make, record.load())
    assert torch.equal(torch.get_rng_state(), state)
    assert not made.training and not any(p.requires_grad for p in made.parameters())
    for name, value in drawn.float().state_dict().items():
        torch.testing.assert_close(made.state_dict()[name], value, rtol=0, atol=0)
    crops, rows = torch.rand(2, 3, 8, 8), torch.rand(7, 1, 5)
    torch.testing.assert_close(made[:2](crops), drawn.eval()[:2](crops))
    torch.testing.assert_close(made[2](rows)[0], drawn[2](rows)[0])
    with pytest.raises(RuntimeError):
        with_weights(lambda: torch.nn.Linear(2, 2), record.load())


def test_the_last_registered_is_the_default_and_others_stay(tmp_path: Path, tensors: dict) -> None:
    register(tmp_path, "one", tensors, {"kind": "patches"})
    register(tmp_path, "two", tensors, {"kind": "patches"})
    register(tmp_path, "v", tensors, {"kind": "verdict"})
    registry = load_registry(tmp_path)
    assert registry.get("patches").name == "two"
    assert registry.get("patches", "one").name == "one"
    assert registry.get("verdict").name == "v"


def test_update_record_replaces_settings(tmp_path: Path, tensors: dict) -> None:
    record = register(tmp_path, "one", tensors, {"kind": "patches", "depth": 1})
    update_record(tmp_path, "one", record.settings | {"depth": 3})
    assert load_registry(tmp_path).get("patches").settings["depth"] == 3
    load_registry(tmp_path).get("patches").verify()


@pytest.mark.parametrize(("kind", "name"), [("patches", "nosuch"), ("patches", "v"), ("blink", "")])
def test_a_model_that_is_not_there(tmp_path: Path, tensors: dict, kind: str, name: str) -> None:
    register(tmp_path, "one", tensors, {"kind": "patches"})
    register(tmp_path, "v", tensors, {"kind": "verdict"})
    with pytest.raises(WeightsError, match=f"no {kind} model") as caught:
        load_registry(tmp_path).get(kind, name)
    assert ("have: one" in str(caught.value)) == (kind == "patches")


def test_other_bytes_are_refused(tmp_path: Path, tensors: dict) -> None:
    record = register(tmp_path, "one", tensors, {"kind": "patches"})
    data = bytearray(record.path.read_bytes())
    data[-3] ^= 4
    record.path.write_bytes(bytes(data))
    for call in (record.verify, record.load):
        with pytest.raises(WeightsError, match="not the registered ones"):
            call()


def test_a_missing_file_is_refused(tmp_path: Path, tensors: dict) -> None:
    record = register(tmp_path, "one", tensors, {"kind": "patches"})
    record.path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        load_registry(tmp_path).get("patches").load()


def test_a_registered_file_that_is_no_safetensors(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"not tensors at all")
    digest = hashlib.sha256(b"not tensors at all").hexdigest()
    record = update_record(tmp_path, "x", {"kind": "patches", "file": "x.safetensors", "sha256": digest})
    record.verify()
    with pytest.raises(WeightsError, match="cannot be read"):
        record.load()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"format": 1, "defaults": {}}',
        '{"format": 1, "models": {"a": {}}, "defaults": {}}',
        '{"format": 1, "models": [], "defaults": {}}',
        b"\xff\xfe\x00",
    ],
    ids=repr,
)
def test_a_broken_registry_is_refused(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "registry.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError, match="cannot read"):
        load_registry(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(json.dumps({"format": 2, "models": {}, "defaults": {}}))
    with pytest.raises(WeightsError, match="has format 2"):
        load_registry(tmp_path)


def test_weights_errors_are_setup_errors_with_a_code() -> None:
    assert issubclass(WeightsError, SetupError)
    assert WeightsError.code == "weights"


def test_the_environment_chooses_the_folder(
    tmp_path: Path, tensors: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tmp_path / "w", "one", tensors, {"kind": "patches"})
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path / "w"))
    assert weights_folder() == tmp_path / "w"
    assert load_registry().get("patches").name == "one"
    # a wrong folder is an error, not a reason to take other weights
    monkeypatch.setenv("VIDSCAN_WEIGHTS", str(tmp_path / "elsewhere"))
    with pytest.raises(WeightsError, match="elsewhere"):
        weights_folder()


def test_package_then_checkout(tmp_path: Path, tensors: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDSCAN_WEIGHTS", raising=False)
    package = tmp_path / "vidscan"
    package.mkdir()
    monkeypatch.setattr(models, "__file__", str(package / "models.py"))
    with pytest.raises(WeightsError, match="no weights found"):
        weights_folder()
    register(tmp_path / "weights", "checkout", tensors, {"kind": "patches"})
    assert weights_folder() == tmp_path / "weights"
    register(package / "weights", "installed", tensors, {"kind": "patches"})
    assert weights_folder() == package / "weights"


def test_reading_the_registry_does_not_import_torch(tmp_path: Path, tensors: dict) -> None:
    register(tmp_path, "one", tensors, {"kind": "patches"})
    code = (
        "import sys, pathlib; from vidscan.models import load_registry\n"
        "record = load_registry(pathlib.Path(sys.argv[1])).get('patches')\n"
        "record.verify(); print('torch' in sys.modules)"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

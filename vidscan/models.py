"""The weight store: weights/registry.json, safetensors files checked by sha256, nothing else.

Weights are looked for in ``$VIDSCAN_WEIGHTS``, in the installed package (``vidscan/weights``), and in
the ``weights`` folder of a checkout, in that order; the first folder with a ``registry.json`` counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vidscan.errors import WeightsError
from vidscan.outputs import Replacement, write_text
from vidscan.types import ModelRef

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")
REGISTRY = "registry.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One entry of the registry.

    ``settings`` holds what the model's own package reads: architecture, preprocessing, pooling,
    calibration. It is plain JSON.
    """

    name: str
    kind: str
    path: Path
    sha256: str
    settings: dict[str, Any]

    @property
    def ref(self) -> ModelRef:
        return ModelRef(self.name, self.sha256)

    def verify(self) -> None:
        """Check that the file is there and is the one that was registered.

        Raises
        ------
        WeightsError
            Where it is missing, unreadable, or another file.
        """
        try:
            digest = file_sha256(self.path)
        except OSError as error:
            raise WeightsError(f"weights of {self.name} are missing: {self.path}") from error
        if digest != self.sha256:
            raise WeightsError(f"weights of {self.name} are not the registered ones (sha256): {self.path}")

    def load(self) -> dict[str, Tensor]:
        """Verified tensors, half precision brought to float32."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self.verify()
        try:
            tensors = load_file(self.path)
        except SafetensorError as error:
            raise WeightsError(f"weights of {self.name} cannot be read: {error}") from error

        def own(value: Tensor) -> Tensor:
            if value.dtype in (torch.float16, torch.bfloat16):
                return value.float()
            # In a file numbers lie where they happen to, and products with them differ in the last digit.
            return value.clone() if value.is_floating_point() else value

        return {name: own(value) for name, value in tensors.items()}


@dataclass(frozen=True, slots=True)
class Registry:
    folder: Path
    models: dict[str, ModelRecord]
    defaults: dict[str, str]
    """Model name by kind."""

    def get(self, kind: str, name: str = "") -> ModelRecord:
        """The model ``name``, or the default of its ``kind``.

        Raises
        ------
        WeightsError
            Where there is none, or it is of another kind.
        """
        wanted = name or self.defaults.get(kind, "")
        record = self.models.get(wanted)
        if record is None or record.kind != kind:
            have = ", ".join(sorted(n for n, m in self.models.items() if m.kind == kind)) or "none"
            raise WeightsError(f"no {kind} model {wanted!r} in {self.folder / REGISTRY} (have: {have})")
        return record

    def default(self, kind: str) -> ModelRecord | None:
        """The default of a kind that a scan can do without; None where there is none."""
        return self.get(kind) if kind in self.defaults else None


def with_weights(make: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """The network that ``make`` builds with ``tensors`` as its weights, for evaluation.

    It is built without memory: drawing weights that are thrown away takes as long as reading the right ones.

    Raises
    ------
    RuntimeError
        Where the tensors do not fit.
    """
    import torch

    with torch.device("meta"):
        network = make()
    single = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    network.load_state_dict(single, assign=True)
    return network.eval().requires_grad_(False)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while part := handle.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def content_sha256(path: Path) -> str | None:
    """:func:`file_sha256`; None for what is no readable regular file."""
    try:
        # A pipe or a device may never end.
        return file_sha256(path) if path.is_file() else None
    except (OSError, ValueError):
        return None


def weights_folder() -> Path:
    """The folder whose registry counts.

    Raises
    ------
    WeightsError
        Where there is no registry in any of the places.
    """
    places = []
    if chosen := os.environ.get("VIDSCAN_WEIGHTS"):
        places = [Path(chosen)]
    else:
        package = Path(__file__).resolve().parent
        places = [package / "weights", package.parent / "weights"]
    for place in places:
        if (place / REGISTRY).is_file():
            return place
    raise WeightsError(f"no weights found: looked for {REGISTRY} in {', '.join(map(str, places))}")


def load_registry(folder: Path | None = None) -> Registry:
    """Read the registry; the weight files themselves are checked when they are loaded."""
    folder = folder or weights_folder()
    path = folder / REGISTRY
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise WeightsError(f"{path} has format {data['format']}, this vidscan reads {FORMAT}")
        models = {
            name: ModelRecord(name, record["kind"], folder / record["file"], record["sha256"], record)
            for name, record in data["models"].items()
        }
        return Registry(folder, models, dict(data["defaults"]))
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise WeightsError(f"cannot read {path}: {error}") from error


def register(
    folder: Path,
    name: str,
    tensors: dict[str, Tensor],
    record: dict[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> ModelRecord:
    """Write a model's tensors and its registry record; makes it its kind's default.

    ``record`` needs ``kind``; ``file`` and ``sha256`` are filled in. ``metadata`` goes into the file.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    with Replacement(path) as part:
        plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_file(plain, part.path, None if metadata is None else dict(metadata))
    path.chmod(0o644)
    return update_record(folder, name, record | {"file": path.name, "sha256": file_sha256(path)})


def update_record(folder: Path, name: str, record: dict[str, Any]) -> ModelRecord:
    """Replace one record of the registry, atomically; makes the model its kind's default."""
    path = folder / REGISTRY
    data: dict[str, Any] = {"format": FORMAT, "defaults": {}, "models": {}}
    if path.exists():
        data = json.loads(path.read_text(encoding="utf-8"))
    data["models"][name] = record
    data["defaults"][record["kind"]] = name
    write_text(path, json.dumps(data, indent=1) + "\n")
    return load_registry(folder).models[name]

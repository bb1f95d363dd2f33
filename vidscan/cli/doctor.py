"""``vidscan doctor``: is this installation whole, and what will it run on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from vidscan.cli import failures

_LIBRARIES = (
    "torch",
    "torchvision",
    "facenet-pytorch",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pillow-heif",
    "scikit-learn",
    "scipy",
    "safetensors",
    "pydantic",
    "jinja2",
    "typer",
    "tqdm",
)
_EXTRAS = (
    ("matplotlib", "plot"),
    ("mediapipe", "train"),
    ("timm", "train"),
    ("scikit-image", "forensics"),
    ("captum", "explain"),
    ("fastapi", "serve"),
    ("uvicorn", "serve"),
    ("python-multipart", "serve"),
    ("httpx", "serve"),
    ("prometheus-client", "serve"),
    ("ray", "ray"),
    ("fsspec", "remote"),
    ("pyarrow", "parquet"),
    ("watchdog", "watch"),
    ("c2pa", "c2pa"),
)
"""Optional libraries and the extra that brings each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> None:
    """Check libraries, device, decoders and weights.

    Exits with 2 where scanning would fail.
    """
    import json as json_module

    whole = True
    for finding in _examine():
        whole = whole and finding.ok
        if json:
            typer.echo(json_module.dumps(asdict(finding)))
        else:
            typer.echo(f"{'ok     ' if finding.ok else 'PROBLEM'}  {finding.name:<24} {finding.detail}")
    raise typer.Exit(failures.OK if whole else failures.USAGE)


def _examine() -> Iterator[Finding]:
    import platform

    from vidscan import __version__

    yield Finding("vidscan", True, __version__)
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    for name in _LIBRARIES:
        yield _library(name)
    for name, extra in _EXTRAS:
        found = _library(name)
        yield found if found.ok else Finding(name, True, f"absent (optional: extra {extra})")
    yield _device()
    yield _memory()
    yield from _decoders()
    yield from _weights()


def _library(name: str) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed")


def _device() -> Finding:
    try:
        import torch

        if torch.cuda.is_available():
            return Finding("device", True, f"cuda ({torch.cuda.get_device_name()})")
        return Finding("device", True, f"cpu ({torch.get_num_threads()} threads)")
    except Exception as error:  # a broken torch fails in many ways; all of them are findings
        return Finding("device", False, f"{type(error).__name__}: {error}")


def _memory() -> Finding:
    import os

    from vidscan.batch.process import resident_bytes

    watched = resident_bytes(os.getpid()) > 0
    return Finding("memory limit", True, "watched" if watched else "this system does not tell: not watched")


def _decoders() -> Iterator[Finding]:
    """decord is fast but not built for every platform; PyAV alone is enough."""
    from importlib import import_module

    for module, name, needed in (("decord", "decord", False), ("av", "pyav", True), ("cv2", "opencv", True)):
        try:
            version = getattr(import_module(module), "__version__", "present")
            yield Finding(f"decoder {name}", True, version)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}" if needed else "absent (optional)"
            yield Finding(f"decoder {name}", not needed, detail)


def _weights() -> Iterator[Finding]:
    from vidscan.errors import SetupError
    from vidscan.models import load_registry

    try:
        registry = load_registry()
    except SetupError as error:
        yield Finding("weights", False, str(error))
        return
    for kind, name in registry.defaults.items():
        if name not in registry.models:
            yield Finding(f"weights {name}", False, f"the default {kind} model is not in the registry")
    for record in registry.models.values():
        try:
            record.verify()
            yield Finding(f"weights {record.name}", True, f"sha256 {record.sha256[:12]}")
        except SetupError as error:
            yield Finding(f"weights {record.name}", False, str(error))

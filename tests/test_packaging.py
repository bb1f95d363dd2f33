"""What is shipped: versions that agree, a whole registry, a wheel that carries its weights."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import vidscan
from vidscan.faces.align import CropSpec
from vidscan.forge.template import mean_landmarks
from vidscan.models import REGISTRY, load_registry

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "weights"
WHEEL_LIMIT = 25_000_000

needs_weights = pytest.mark.skipif(not (WEIGHTS / REGISTRY).exists(), reason="no weights in this checkout")


def test_changelog_knows_this_version() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert versions[0] == vidscan.__version__


def test_mean_face_has_the_shape_of_a_face() -> None:
    spec = CropSpec(size=200, margin=1.5)
    points = mean_landmarks(spec)
    assert points.shape == (478, 2) and points.dtype == np.float32
    eye_left, eye_right, _, mouth_left, mouth_right = spec.points
    for index, expected in ((468, eye_left), (473, eye_right), (61, mouth_left), (291, mouth_right)):
        assert np.linalg.norm(points[index] - expected) < 0.03 * spec.size


@needs_weights
def test_registry_is_whole() -> None:
    registry = load_registry(WEIGHTS)
    for kind, name in registry.defaults.items():
        assert registry.get(kind, name).kind == kind
    for record in registry.models.values():
        record.verify()
        if verdict := record.settings.get("verdict"):
            assert registry.get("verdict", verdict)
    # A weight file that no record names would be dead weight in every installation.
    assert {p.name for p in WEIGHTS.glob("*.safetensors")} == {
        record.path.name for record in registry.models.values()
    }


@needs_weights
@pytest.mark.slow
def test_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"vidscan-{vidscan.__version__}-")
    assert wheel.stat().st_size < WHEEL_LIMIT
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        registry = json.loads(archive.read(f"vidscan/weights/{REGISTRY}"))
        (metadata,) = (n for n in names if n.endswith(".dist-info/METADATA"))
        described = archive.read(metadata).decode()
    assert f"\nVersion: {vidscan.__version__}\n" in described
    assert "\nAuthor: " in described or "\nAuthor-email: " in described
    for extra in ("train", "plot", "explain", "ray", "remote", "parquet", "serve", "watch"):
        assert f"\nProvides-Extra: {extra}\n" in described
    wanted = {f"vidscan/weights/{record['file']}" for record in registry["models"].values()}
    wanted |= {"vidscan/forge/mean_face.safetensors", "vidscan/py.typed"}
    for folder in ("vidscan/report/templates", "vidscan/serve/templates"):
        wanted |= {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
    assert wanted <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "examples/")) for name in names)

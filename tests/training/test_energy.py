"""Fine-detail energy: what it measures, and that it finds a forgery that gives itself away by blur."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidscan.training.energy import energy_auc, high_band_energy, shards_energy_auc


def write_shard(folder: Path, index: int, kinds: list[str], kind: list[int], blurred: set[int]) -> None:
    rng = np.random.default_rng(index)
    contrast = rng.uniform(10, 60, (len(kind), 1, 1, 1))
    genuine = np.clip(128 + contrast * rng.normal(0, 1, (len(kind), 32, 32, 3)), 0, 255).astype(np.uint8)
    forged = [
        cv2.GaussianBlur(g, (0, 0), 2) if k in blurred else g[:, ::-1]
        for g, k in zip(genuine, kind, strict=True)
    ]
    mask = np.full((len(kind), 8, 8), 254, np.uint8)
    arrays = {"genuine": genuine, "forged": np.stack(forged), "mask": mask, "kind": np.array(kind, np.uint8)}
    for name, array in arrays.items():
        np.save(folder / f"{index:05d}.{name}.npy", array)
    (folder / f"{index:05d}.json").write_text(json.dumps({"count": len(kind), "kinds": kinds}))


def test_only_fine_detail_counts() -> None:
    y, x = np.mgrid[0:40, 0:44].astype(np.float32)
    coarse = 128 + 100 * np.sin(x / 12)
    fine = 128 + 100 * np.where((x + y) % 2 == 0, 1, -1)
    crops = torch.from_numpy(np.stack([np.full_like(x, 77), coarse, fine]))[:, None].repeat(1, 3, 1, 1)
    flat, slow, fast = high_band_energy(crops)
    assert flat == pytest.approx(0, abs=1e-3)
    assert slow < 1.0
    # all the energy of the checkerboard lies in the upper bands: 100^2 x 64 coefficients, 28 of them high
    assert 0.5 * 100**2 < np.exp(fast) < 64 / 28 * 100**2
    brighter = high_band_energy((crops - 128) * 0.5 + 150)
    assert brighter[2] == pytest.approx(fast - np.log(4), abs=1e-2)


def test_energy_auc_by_hand() -> None:
    assert energy_auc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert energy_auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0.0
    assert energy_auc(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5


def test_a_blurring_forgery_is_found_out_by_its_kind(tmp_path: Path) -> None:
    # the same number means another kind in another shard
    write_shard(tmp_path, 0, ["even", "soft"], [0, 1] * 8, blurred={1})
    write_shard(tmp_path, 1, ["soft", "even"], [0, 1] * 8, blurred={0})
    found = shards_energy_auc(tmp_path, pairs=32)
    assert set(found) == {"even", "soft", "all"}
    assert found["soft"] < 0.05
    assert found["even"] == pytest.approx(0.5, abs=0.03)
    assert found["soft"] < found["all"] < found["even"]
    with pytest.raises(ValueError, match="no finished pair shard"):
        shards_energy_auc(tmp_path / "empty")

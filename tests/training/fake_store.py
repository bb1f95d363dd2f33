"""A store of a few made-up people, as the corpus would have given it."""

from __future__ import annotations

import numpy as np

from tests.forge.mesh import astronaut_crop, fake_mesh
from vidscan.training.store import STORE_SPEC, Store, StoreRow


def row(
    identity: str, *, genuine: bool = True, held_out: bool = False, file: str = "", method: str = ""
) -> StoreRow:
    return StoreRow(
        file=file or f"{identity}.png",
        identity=identity,
        repo=f"repo-{identity[0]}",
        genuine=genuine,
        held_out=held_out,
        kind="photo",
        method=method,
        family=method and "swap",
        frame=0,
        face_px=130.0,
    )


def fake_store(rows: list[StoreRow] | None = None) -> Store:
    """Crops of 352 px in which the face has half the side, as a store's margin makes it."""
    rows = rows or [row(name) for name in ("a1", "a2", "b1", "c1")]
    rng = np.random.default_rng(0)
    crops = []
    for _ in rows:
        crop = astronaut_crop(STORE_SPEC.size, 0.75, tuple(rng.uniform(-6, 6, 2))).astype(np.float32)
        crop = crop * rng.uniform(0.8, 1.1, 3) + rng.normal(0, 2, crop.shape)
        crops.append(np.clip(crop, 0, 255).astype(np.uint8))
    side = 264
    mesh = fake_mesh(len(rows), side).numpy() + (STORE_SPEC.size - side) / 2
    return Store(np.stack(crops), mesh.astype(np.float32), rows)

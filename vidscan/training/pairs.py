"""Rendering training pairs to disk: a genuine crop, its forged twin, the mask, through real codecs.

Forging is batched torch; codecs run one picture at a time. Pairs are written in shards of a few
hundred so that training can start on the first while the rest are rendered by other processes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import vidscan.forge.mouth
import vidscan.forge.self_blend
import vidscan.forge.swap
import vidscan.forge.warp  # noqa: F401  (importing a forgery registers it)
from vidscan.forge.base import FORGERIES, HELD_OUT, Faces, Forged
from vidscan.forge.innocent import edit_some
from vidscan.forge.renderers import Renderer
from vidscan.forge.rerender import DecodedSwap, Rerender
from vidscan.forge.whole import SyntheticLook
from vidscan.outputs import write_text
from vidscan.training.degrade import Degradation, degrade, draw_geometry, look
from vidscan.training.store import STORE_SPEC, Store

MASK_SIDE = 56
FORGED_SIDE = 280
"""Side of the middle of a store crop that is forged: what the widest view shows, and no more."""
THIRD_PARTY = "third_party"


@dataclass(frozen=True, slots=True)
class PairRecipe:
    """The recipe file's ``[pairs]`` table."""

    mix: dict[str, float] = field(
        default_factory=lambda: {
            "self_blend": 0.34,
            "swap": 0.2,
            "face_warp": 0.06,
            "reenact": 0.08,
            "mouth": 0.12,
            "rerender": 0.2,
        }
    )
    """Share of each forgery among the self-made ones."""
    third_party: float = 0.06
    """Share of pairs whose forged side is a fake by a published generator, its region unknown."""
    leave_out: tuple[str, ...] = ()
    """Methods of those generators that are never shown, so that the model can be judged on them."""
    innocent: float = 0.25
    """Share of genuine faces given an innocent edit first (their forged twin as well)."""
    independent: float = 0.2
    """Share of pairs whose two sides are degraded by two draws."""
    size: int = 224
    """Side of the network's crop in pixels."""
    margin: float = 1.2
    """Margin of the network's crop (:class:`vidscan.faces.geometry.CropSpec`)."""
    seed: int = 0


class PairSource:
    """Draws person, then picture or clip, then frame, and forges.

    Raises
    ------
    ValueError
        Where the recipe names forgeries that do not exist or are kept for testing
        (:data:`vidscan.forge.base.HELD_OUT`), or methods to leave out that the store does not have.
    """

    def __init__(
        self, store: Store, recipe: PairRecipe, degradation: Degradation, renderers: list[Renderer]
    ) -> None:
        self.store, self.recipe, self.degradation = store, recipe, degradation
        self.forgeries = dict(FORGERIES)
        if renderers:
            self.forgeries |= {
                "rerender": Rerender(renderers),
                "decoded_swap": DecodedSwap(renderers),
                "synthetic": SyntheticLook(renderers),
            }
        if kept := sorted(HELD_OUT & set(recipe.mix)):
            raise ValueError(f"kept for testing, never to be trained on: {', '.join(kept)}")
        missing = set(recipe.mix) - set(self.forgeries)
        if missing:
            raise ValueError(
                f"no such forgery, or its generators are not trained: {', '.join(sorted(missing))}"
            )
        people: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        sources: dict[str, set[str]] = defaultdict(set)
        fakes: dict[str, list[int]] = defaultdict(list)
        labeled = [bool(np.isfinite(points).all()) for points in store.landmarks]
        for i, row in enumerate(store.rows):
            if row.held_out:
                continue
            if row.genuine and labeled[i]:
                people[row.identity][row.file].append(i)
                sources[row.repo].add(row.identity)
            elif not row.genuine:
                fakes[row.method].append(i)
        # A source of three hundred studio portraits must not outweigh thirty sources of ten people.
        self._sources = [sorted(names) for _, names in sorted(sources.items())]
        weight = np.sqrt([len(names) for names in self._sources])
        self._source_chance = weight / weight.sum()
        self._people = people
        if unknown := sorted(set(recipe.leave_out) - {row.method for row in store.rows}):
            raise ValueError(f"no such method to leave out: {', '.join(unknown)}")
        self._fakes = [rows for method, rows in sorted(fakes.items()) if method not in recipe.leave_out]
        if recipe.leave_out and recipe.third_party and not self._fakes:
            raise ValueError("every third-party method is left out: third_party has to be 0")

    def _genuine(self, rng: np.random.Generator) -> int:
        names = self._sources[int(rng.choice(len(self._sources), p=self._source_chance))]
        files = self._people[names[int(rng.integers(len(names)))]]
        rows = list(files.values())[int(rng.integers(len(files)))]
        return rows[int(rng.integers(len(rows)))]

    def _faces(self, rows: list[int]) -> Faces:
        edge = (self.store.crops.shape[1] - FORGED_SIDE) // 2
        middle = slice(edge, edge + FORGED_SIDE)
        images = torch.from_numpy(np.stack([self.store.crops[i, middle, middle] for i in rows]))
        landmarks = torch.from_numpy(np.stack([self.store.landmarks[i] for i in rows]) - edge)
        return Faces(images.permute(0, 3, 1, 2).float(), landmarks)

    def _forge(self, kind: str, rng: np.random.Generator, count: int) -> tuple[Faces, Forged]:
        faces = self._faces([self._genuine(rng) for _ in range(count)])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        faces = edit_some(faces, generator, self.recipe.innocent)
        return faces, self.forgeries[kind](faces, generator)

    def _third_party(self, rng: np.random.Generator, count: int) -> tuple[Faces, Forged]:
        fakes = [self._fakes[int(rng.integers(len(self._fakes)))] for _ in range(count)]
        images = self._faces([rows[int(rng.integers(len(rows)))] for rows in fakes]).images
        # Where in the face the generator was at work is not known: mask -1.
        mask = torch.full_like(images[:, :1], -1)
        return self._faces([self._genuine(rng) for _ in range(count)]), Forged(images, mask)

    def render(self, seed: int, count: int, batch: int = 24) -> dict[str, NDArray[np.uint8]]:
        """``count`` pairs: ``genuine``, ``forged`` (n, size, size, 3), ``mask`` (n, 56, 56), ``kind`` (n,).

        The mask is 0..254 for 0..1 and 255 where unknown; ``kind`` indexes :meth:`kinds`.
        """
        rng = np.random.default_rng((self.recipe.seed, seed))
        kinds = self.kinds()
        own = np.array([self.recipe.mix[k] for k in kinds[:-1]])
        chances = np.append(own / own.sum() * (1 - self.recipe.third_party), self.recipe.third_party)
        size = self.recipe.size
        out = {
            "genuine": np.empty((count, size, size, 3), np.uint8),
            "forged": np.empty((count, size, size, 3), np.uint8),
            "mask": np.empty((count, MASK_SIDE, MASK_SIDE), np.uint8),
            "kind": np.empty(count, np.uint8),
        }
        for start in range(0, count, batch):
            n = min(batch, count - start)
            if n < 2:
                start, n = count - 2, 2
            kind = int(rng.choice(len(kinds), p=chances))
            name = kinds[kind]
            faces, forged = self._third_party(rng, n) if name == THIRD_PARTY else self._forge(name, rng, n)
            arrays = [t.permute(0, 2, 3, 1).numpy() for t in (faces.images, forged.images, forged.mask)]
            for i, (genuine, fake, mask) in enumerate(zip(*arrays, strict=True)):
                sides = self._finish(rng, genuine, fake, mask)
                for key, value in zip(("genuine", "forged", "mask"), sides, strict=True):
                    out[key][start + i] = value
                out["kind"][start + i] = kind
        return out

    def kinds(self) -> list[str]:
        return [*sorted(self.recipe.mix), THIRD_PARTY]

    def _finish(
        self, rng: np.random.Generator, genuine: NDArray, forged: NDArray, mask: NDArray
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        size = self.recipe.size
        view = STORE_SPEC.size * self.recipe.margin / STORE_SPEC.margin
        geometry = draw_geometry(rng, self.degradation, genuine.shape[0], view)
        state = int(rng.integers(2**62))
        other = int(rng.integers(2**62)) if rng.random() < self.recipe.independent else state
        views = [np.clip(look(side, geometry), 0, 255).round().astype(np.uint8) for side in (genuine, forged)]
        done = [
            degrade(view, np.random.default_rng(seed), self.degradation, size)
            for view, seed in zip(views, (state, other), strict=True)
        ]
        if mask[0, 0, 0] < 0:
            small = np.full((MASK_SIDE, MASK_SIDE), 255, np.uint8)
        else:
            seen = look(mask[..., 0], geometry)
            share = cv2.resize(seen, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
            small = (np.clip(share, 0, 1) * 254).round().astype(np.uint8)
        return done[0], done[1], small


def write_shard(source: PairSource, folder: Path, index: int, count: int) -> Path:
    """Render shard ``index`` into ``folder`` unless it is there; finished shards have a ``.json``."""
    done = folder / f"{index:05d}.json"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in source.render(index, count).items():
            np.save(folder / f"{index:05d}.{name}.npy", array)
        # Training reads the shard the moment this is there.
        write_text(done, json.dumps({"count": count, "kinds": source.kinds()}))
    return done

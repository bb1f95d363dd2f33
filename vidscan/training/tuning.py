"""Tuning the encoder: a few numbers learn, from crops and forgeries that are made anew for every step.

Blocks before the tuned ones stay as they are. In the others every matrix learns an update of low rank (Hu et
al., *LoRA*, ICLR 2022), and norms and layer scales learn; nothing else moves, unless they shall learn as a
whole. Each step forges its own pairs
on the device and sends all crops through sizes and JPEG, so that there is nothing to learn by heart: on pairs
made once the encoder learned just those (docs/experiments.md). Half of the patches are dropped at random.

What comes out is an encoder like the one that went in. Heads are learned on it as on the frozen one
(:mod:`vidscan.training.encoder`).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

import vidscan.training.own_pairs  # noqa: F401  (importing it registers the forgeries)
from vidscan.errors import SetupError
from vidscan.forge.base import FORGERIES, Faces
from vidscan.forge.template import mean_landmarks
from vidscan.patches.classifier import normalise
from vidscan.patches.encoder import MEAN, REGIONS, SPEC, STD, Encoder, describe, some_region_weights
from vidscan.patches.vision_transformer import PATCH, VisionTransformer, packed
from vidscan.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from vidscan.training.dct import dct_jpeg
from vidscan.training.descriptions import fingerprint
from vidscan.training.encoder import HeadRecipe, Shares, kind_of
from vidscan.training.linear_head import Standardised, group_weights
from vidscan.training.log import log_line
from vidscan.training.own_pairs import FORGED_SPEC, VIEW
from vidscan.training.pack import Pack

_SIDES = 9
"""Sizes at which a view is coded."""
FORGED_TOGETHER = 8
"""Pairs of one kind, at least; donors are found among them."""
_KINDS_A_STEP = 4
"""Most kinds of forgery in a step: a GPU waits for small batches."""
_PATCHES = (SPEC.size // PATCH) ** 2


@dataclass(frozen=True, slots=True)
class TuneRecipe:
    """Everything that decides how the encoder is tuned.

    Attributes
    ----------
    first
        The first block that learns, counted from 0.
    rank
        Of the updates of matrices; 0 lets the blocks learn as a whole.
    rate, head_rate
        Adam's steps for the encoder and for the heads; both come down to nothing.
    film, stills
        Genuine crops in a step, and as many forged ones.
    pairs
        Own pairs in a step.
    kept
        Patches of 256 that a step looks at.
    warm_up
        Steps' worth of crops from which the heads are learned before the encoder moves.
    side
        A view is coded at so many pixels, of 264.
    quality
        JPEG quality.
    heads
        What the heads learn from, and how they are penalized.
    judged_pairs
        Own pairs that teach heads where tuning is judged.
    seed
        Of every draw.
    """

    first: int = 4
    rank: int = 8
    rate: float = 3e-4
    head_rate: float = 3e-5
    film: int = 5
    stills: int = 3
    pairs: int = 8
    kept: int = 128
    warm_up: int = 60
    side: tuple[int, int] = (170, 264)
    quality: tuple[int, int] = (75, 98)
    heads: HeadRecipe = field(default_factory=HeadRecipe)
    judged_pairs: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of a step.

    Attributes
    ----------
    crops
        (n, 3, 224, 224) RGB 0..255, on the device.
    forged
        (n,) bool.
    kinds
        (n,) ``film``, ``stills`` or ``own``.
    """

    crops: Tensor
    forged: NDArray[np.bool_]
    kinds: NDArray[np.str_]


class Batches:
    """Draws batches of a pack; the same recipe and number give the same batch on the same device.

    Parameters
    ----------
    without
        Parts from which nothing is drawn.

    Attributes
    ----------
    taught
        Hash of the crops that are drawn from.

    Raises
    ------
    SetupError
        Where what is left lacks genuine or forged film.
    """

    def __init__(self, pack: Pack, recipe: TuneRecipe, device: str, without: Sequence[int] = ()) -> None:
        self._recipe, self._device = recipe, torch.device(device)
        # All of them: a pack is small for a GPU, and fetching crops at every step is slow.
        self._crops = torch.from_numpy(pack.crops).to(self._device)
        self._landmarks = torch.from_numpy(mean_landmarks(FORGED_SPEC)).to(self._device)
        taught = ~np.isin(pack.parts, list(without))
        digest = hashlib.sha256()
        for row in np.flatnonzero(taught):
            digest.update(pack.crops[row])
        self.taught = digest.hexdigest()[:20]
        self._pools: dict[tuple[str, bool], tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for kind in ("film", "stills"):
            for forged in (False, True):
                rows = [
                    i
                    for i in np.flatnonzero(taught).tolist()
                    if kind_of(pack.entries[i]) == kind and pack.entries[i].genuine != forged
                ]
                if len(rows) >= 2:
                    groups = [(pack.entries[i].repo, pack.entries[i].method) for i in rows]
                    weights = group_weights(groups, recipe.heads.power)
                    self._pools[kind, forged] = np.array(rows), weights / weights.sum()
        if any(("film", forged) not in self._pools for forged in (False, True)):
            raise SetupError("the pack has too few genuine or forged clips to learn from")
        self._stills = {("stills", False), ("stills", True)} <= self._pools.keys()

    def draw(self, number: int) -> Batch:
        """The batch of step ``number``."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, number))
        crops, views, forged, kinds = [], [], [], []
        counts = {"film": recipe.film} | ({"stills": recipe.stills} if self._stills else {})
        for kind, count in counts.items():
            for side in (False, True):
                crops.append(self._at(self._rows(kind, side, count, rng)))
                views.append(_Views.draw(count, recipe, rng))
                forged += [side] * count
                kinds += [kind] * count
        together = max(FORGED_TOGETHER, -(-recipe.pairs // _KINDS_A_STEP))
        for start in range(0, recipe.pairs, together):
            count = max(2, min(together, recipe.pairs - start))
            # Donors are of the same kind: film with film.
            kind = str(rng.choice(sorted(counts)))
            sides, seen = self._pairs(self._rows(kind, False, count, rng), rng)
            crops += sides
            views += [seen, seen]
            forged += [False] * count + [True] * count
            kinds += ["own"] * 2 * count
        shown = self._seen(torch.cat(crops), _Views.joined(views))
        return Batch(shown, np.array(forged), np.array(kinds))

    def forged(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """(2 * n, 3, 224, 224) genuine crops (n,), n >= 2, then their forgeries: of one kind, seen alike."""
        sides, seen = self._pairs(rows, rng)
        return self._seen(torch.cat(sides), _Views.joined([seen, seen]))

    def _pairs(self, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[list[Tensor], _Views]:
        """Genuine crops and their forgeries, (n, 3, 280, 280) each, and how both shall be seen."""
        genuine = self._at(rows)
        kind = self._recipe.heads.pairs.draw_kind(rng)
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(2**62)))
        made = FORGERIES[kind](Faces(genuine, self._landmarks.expand(len(rows), -1, -1)), generator)
        return [genuine, made.images.clamp(0, 255).round()], _Views.draw(len(rows), self._recipe, rng)

    def _rows(self, kind: str, forged: bool, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        rows, chances = self._pools[kind, forged]
        return rng.choice(rows, count, replace=count > len(rows), p=chances)

    def _at(self, rows: NDArray[np.int64]) -> Tensor:
        return self._crops[torch.from_numpy(rows).to(self._device)].permute(0, 3, 1, 2).float()

    def _seen(self, pictures: Tensor, views: _Views) -> Tensor:
        """(n, 3, 224, 224) of (n, 3, 280, 280): the middle, turned, coded at another size."""
        middle = _middle(pictures, VIEW)
        turned = torch.from_numpy(views.turned).to(self._device).view(-1, 1, 1, 1)
        middle = torch.where(turned, middle.flip(3), middle)
        seen = torch.empty_like(middle)
        for side in np.unique(views.side).tolist():
            own = views.side == side
            rows = torch.from_numpy(np.flatnonzero(own)).to(self._device)
            coded = dct_jpeg(_resized(middle[rows], side), torch.from_numpy(views.quality[own]))
            seen[rows] = _resized(coded, VIEW)
        return _middle(seen, SPEC.size)


@dataclass(frozen=True, slots=True)
class _Views:
    """How (n,) crops are seen; both sides of a pair alike."""

    side: NDArray[np.int64]
    quality: NDArray[np.int64]
    turned: NDArray[np.bool_]

    @classmethod
    def draw(cls, count: int, recipe: TuneRecipe, rng: np.random.Generator) -> _Views:
        sides = np.linspace(*recipe.side, _SIDES).round().astype(np.int64)
        return cls(
            rng.choice(sides, count),
            rng.integers(recipe.quality[0], recipe.quality[1] + 1, count),
            rng.random(count) < 0.5,
        )

    @classmethod
    def joined(cls, views: Sequence[_Views]) -> _Views:
        """Those of one batch after the other."""
        return cls(
            *(np.concatenate([getattr(own, name) for own in views]) for name in ("side", "quality", "turned"))
        )


def _resized(pictures: Tensor, side: int) -> Tensor:
    if pictures.shape[-1] == side:
        return pictures
    size = (side, side)
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 255)


def _middle(pictures: Tensor, side: int) -> Tensor:
    edge = (pictures.shape[-1] - side) // 2
    return pictures[..., edge : edge + side, edge : edge + side]


def _weights(kinds: NDArray[np.str_], shares: Shares) -> NDArray[np.float64]:
    """(n,) how much crops count for a head; they sum to 1."""
    weights = np.zeros(len(kinds))
    for kind, share in asdict(shares).items():
        rows = kinds == kind
        weights[rows] = share / max(1, rows.sum())
    return weights / weights.sum()


class _LowRank(nn.Module):
    """A matrix and an update of low rank, which is nothing at first."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.Parameter(
            torch.randn(rank, weight.shape[1], generator=generator) / weight.shape[1] ** 0.5
        )
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))
        self.to(weight.device)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def adapt(network: VisionTransformer, first: int, rank: int, seed: int) -> list[nn.Parameter]:
    """Gives the blocks from ``first`` on updates that learn; returns all that learns.

    Without a ``rank`` the blocks learn as they are. Raises SetupError where the network has no such block.
    """
    if not 0 <= first < len(network.blocks):
        raise SetupError(f"the encoder has {len(network.blocks)} blocks: none is left to tune")
    generator = torch.Generator().manual_seed(seed)
    network.requires_grad_(False)
    for block in list(network.blocks)[first:]:
        block.requires_grad_(not rank)
        for module in block.modules() if rank else ():
            if isinstance(module, nn.Linear):
                parametrize.register_parametrization(
                    module, "weight", _LowRank(module.weight, rank, generator)
                )
        for name, value in block.named_parameters():
            if name.startswith(("norm", "ls")) or ".weight.0." in name:
                value.requires_grad_(True)
    return [value for value in network.parameters() if value.requires_grad]


def merged(network: VisionTransformer) -> dict[str, Tensor]:
    """Tensors of the tuned encoder, updates in their matrices, under the names of a plain one."""
    found = {}
    for name, value in network.state_dict().items():
        if ".parametrizations.weight." not in name:
            found[name] = value
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module):
            found[f"{name}.weight"] = module.weight
    return {name: value.detach().cpu() for name, value in found.items()}


class _Heads(nn.Module):
    """Linear heads on standardized descriptions."""

    centre: Tensor
    scale: Tensor

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, count)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, descriptions: Tensor) -> Tensor:
        found: Tensor = self.linear((descriptions - self.centre) / self.scale)
        return found


class Tuner:
    """The encoder while it is tuned.

    Parameters
    ----------
    tensors
        Of the encoder to start from (:func:`vidscan.training.descriptions.start_tensors`).
    batches
        What it learns from.
    device
        ``cpu`` or ``cuda[:n]``; on a GPU in bfloat16.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], batches: Batches, recipe: TuneRecipe, device: str
    ) -> None:
        self.recipe, self.device, self._batches = recipe, device, batches
        self.network = Encoder(dict(tensors), recipe.heads.taps, device).network
        learns = adapt(self.network, recipe.first, recipe.rank, recipe.seed)
        width = len(recipe.heads.taps) * 2 * len(REGIONS) * self.network.cls_token.shape[-1]
        self.heads = _Heads(width, len(recipe.heads.heads)).to(device)
        self.optimiser = torch.optim.AdamW(
            [
                {"params": learns, "base": recipe.rate},
                {"params": list(self.heads.linear.parameters()), "base": recipe.head_rate},
            ],
            lr=recipe.rate,
            weight_decay=0.0,
        )
        self.steps, self.seconds = 0, 0.0
        self._run = {"recipe": asdict(recipe), "start": fingerprint(tensors), "taught": batches.taught}
        self._networks = {"encoder": self.network, "heads": self.heads}

    def warm_up(self) -> None:
        """Learn the heads on the encoder as it is."""
        descriptions, forged, kinds = [], [], []
        for number in range(self.recipe.warm_up):
            # Numbers that no step has.
            batch = self._batches.draw(2**32 + number)
            with torch.inference_mode():
                descriptions.append(self._described(batch, number).float().cpu())
            forged.append(batch.forged)
            kinds.append(batch.kinds)
        seen = Standardised.of(torch.cat(descriptions).numpy())
        labels, sorts = np.concatenate(forged), np.concatenate(kinds)
        with torch.no_grad():
            for k, shares in enumerate(self.recipe.heads.heads.values()):
                weights = _weights(sorts, shares)
                rows = np.flatnonzero(weights)
                scaled = weights[rows] * len(rows)
                weight, bias = seen.fit(rows, labels[rows], scaled, self.recipe.heads.strength)
                own = torch.from_numpy(weight) * seen.scale
                self.heads.linear.weight[k] = own
                self.heads.linear.bias[k] = bias + float(torch.from_numpy(weight) @ seen.centre)
            self.heads.centre.copy_(seen.centre)
            self.heads.scale.copy_(seen.scale)

    def step(self, progress: float) -> dict[str, float]:
        """One step at ``progress`` (0..1) of the run; the loss of each head."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            ramp = min(1.0, (self.steps + 1) / 30)
            group["lr"] = group["base"] * ramp * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
        batch = self._batches.draw(self.steps)
        log_odds = self.heads(self._described(batch, self.steps).float())
        forged = torch.from_numpy(batch.forged.astype(np.float32)).to(self.device)
        errors = F.binary_cross_entropy_with_logits(
            log_odds, forged[:, None].expand_as(log_odds), reduction="none"
        )
        losses = {}
        for k, (name, shares) in enumerate(recipe.heads.heads.items()):
            weights = torch.from_numpy(_weights(batch.kinds, shares)).to(self.device, torch.float32)
            losses[name] = (errors[:, k] * weights).sum()
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], 1.0)
        self.optimiser.step()
        self.steps += 1
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _described(self, batch: Batch, number: int) -> Tensor:
        rng = np.random.default_rng((self.recipe.seed, 1, number))
        kept = torch.from_numpy(np.sort(rng.permutation(_PATCHES)[: self.recipe.kept])).to(self.device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, self.device != "cpu"):
            tokens = self.network(normalise(batch.crops, list(MEAN), list(STD)), kept)
        return describe(tokens.float(), some_region_weights(kept)).flatten(1)

    def tensors(self) -> dict[str, Tensor]:
        """The encoder as it is shipped, int8 with scales."""
        return packed(merged(self.network))

    def save(self, path: Path) -> None:
        """Everything a resumed run needs, as safetensors, written atomically."""
        progress = self._run | {"steps": self.steps, "seconds": self.seconds}
        save_checkpoint(path, self._networks, self.optimiser, progress)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of :meth:`save`; SetupError where it is another run's."""
        progress = load_checkpoint(path, self._networks, self.optimiser, self._run)
        self.steps, self.seconds = progress["steps"], progress["seconds"]


def tune(
    tuner: Tuner, folder: Path, *, minutes: float, steps: int = 0, every: int = 50
) -> Iterator[dict[str, Any]]:
    """Tune for ``minutes``, or so many ``steps``; a log line every ``every`` steps.

    A stopped run goes on from the checkpoint in ``folder``. Rates come down by the time (or the steps) that
    the run has had in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    if (folder / CHECKPOINT).exists():
        tuner.resume(folder / CHECKPOINT)
        start -= tuner.seconds
    else:
        tuner.warm_up()
    losses: list[dict[str, float]] = []
    while True:
        tuner.seconds = round(time.monotonic() - start, 1)
        progress = tuner.steps / steps if steps else tuner.seconds / (60 * minutes)
        if losses and (progress >= 1 or tuner.steps % every == 0):
            line = {"steps": tuner.steps, "seconds": tuner.seconds}
            line |= {name: round(float(np.mean([one[name] for one in losses])), 4) for name in losses[0]}
            tuner.save(folder / CHECKPOINT)
            log_line(folder, line)
            losses = []
            yield line
        if progress >= 1:
            return
        losses.append(tuner.step(progress))

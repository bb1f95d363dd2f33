"""Networks and forgeries compared: equal small budgets over the same pairs, judged by transfer.

Every variant is trained by the trainer that makes the shipped weights, from the same seed, on the pair
shards that ``vidscan train patches`` rendered; the first shard is set aside, so that the AUC on our own
forgeries is measured on pairs no variant saw. Patch networks are pooled as the recipe says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.digests import digest
from vidscan.errors import SetupError
from vidscan.markdown import table
from vidscan.outputs import write_text
from vidscan.patches.classifier import normalise
from vidscan.patches.networks import PatchNetwork
from vidscan.patches.pooling import pool
from vidscan.spread import evenly
from vidscan.training.checkpoint import CHECKPOINT
from vidscan.training.corpus import read_manifest
from vidscan.training.pairs import THIRD_PARTY
from vidscan.training.patch_run import judge_transfer, open_dev
from vidscan.training.patches import MEAN, STD, Shards, Trainer, TrainRecipe, open_shard, train
from vidscan.training.recipe import Recipe
from vidscan.training.transfer import auc

What = Literal["networks", "forgeries", "third-party"]
SUBJECTS: tuple[str, ...] = get_args(What)
_CUTS = {
    "efficientnet_lite0": ("lite0-stage", 4),
    "xception": ("xception-block", 5),
    "resnet18": ("resnet18-layer", 4),
}
"""Name and number of places where each truncated network is cut."""
_STARTED = "efficientnet_lite0"
"""The architecture that the ImageNet start fits; all others begin with random weights."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of a comparison before it is trained."""

    name: str
    train: TrainRecipe
    without: tuple[str, ...] = ()
    """Forgeries whose pairs it never sees."""


@dataclass(frozen=True, slots=True)
class ComparePaths:
    corpus: Path
    work: Path
    """Where ``train patches`` keeps pairs and crops."""
    runs: Path
    """Keeps a folder for each variant: its checkpoint, its log, its result."""
    start: Path | None
    """ImageNet weights for EfficientNet-Lite0."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a comparison."""

    name: str
    parameters: int
    started: bool
    """Whether it began with ImageNet weights."""
    crops: int
    crops_per_second: float | None
    """Training speed on this machine; None where a finished run was found."""
    own: float
    """AUC of the crops of the shard set aside: our own forgeries, in pairs no variant saw."""
    transfer: dict[str, float]
    """:func:`vidscan.training.transfer.transfer_table` on the dev split."""


def variants(what: What, recipe: Recipe, crops: int, *, kinds: Collection[str]) -> list[Variant]:
    """The rows of one comparison.

    Parameters
    ----------
    what
        ``networks``: every cut of every network; ``forgeries``: all, then each left out; ``third-party``:
        with and without the fakes of published generators.
    crops
        Budget of each.
    kinds
        Forgeries that the shards hold.
    """
    share = crops / recipe.train.crops
    base = replace(recipe.train, crops=crops, stop=0, warmup_crops=round(recipe.train.warmup_crops * share))
    if what == "forgeries":
        left_out = [
            Variant(f"without {kind}", base, (kind,)) for kind in sorted(kinds) if kind != THIRD_PARTY
        ]
        return [Variant("all", base), *left_out]
    if what == "third-party":
        return [Variant("with third party", base), Variant("without third party", base, (THIRD_PARTY,))]
    # A head on random features has nothing to warm up on.
    scratch = replace(base, warmup_crops=0)
    found = []
    for architecture, (name, cuts) in _CUTS.items():
        settings = base if architecture == _STARTED else scratch
        for depth in range(1, cuts + 1):
            cut = replace(settings, architecture=architecture, depth=depth)
            found.append(Variant(f"{name}{depth}", cut))
    return found


def compare(
    what: What,
    recipe: Recipe,
    paths: ComparePaths,
    crops: int,
    *,
    only: Sequence[str] = (),
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Train and judge every variant (or those named in ``only``) that is not finished yet.

    Raises
    ------
    SetupError
        Where there are fewer than two finished shards, no dev crops, or no variant of a name.
    """
    shards = paths.work / "pairs"
    finished = sorted(shards.glob("*.json"))
    if len(finished) < 2:
        raise SetupError(f"fewer than two finished pair shards in {shards}: run vidscan train patches first")
    kinds = {kind for done in finished for kind in json.loads(done.read_text(encoding="utf-8"))["kinds"]}
    offered = variants(what, recipe, crops, kinds=kinds)
    unknown = set(only) - {v.name for v in offered}
    if unknown:
        names = ", ".join(v.name for v in offered)
        raise SetupError(f"no variant {', '.join(sorted(unknown))} among the {what}: {names}")
    store, dev = open_dev(paths.corpus, read_manifest(paths.corpus), paths.work)
    if not store.rows:
        raise SetupError(f"no faces in the dev split of {paths.corpus}")
    rows = []
    for variant in offered:
        if only and variant.name not in only:
            continue
        started = paths.start is not None and variant.train.architecture == _STARTED
        folder = paths.runs / _run_name(variant, recipe, started)
        result = folder / "result.json"
        if not result.exists():
            trainer, speed = _train(
                variant, paths.start if started else None, shards, finished[0], folder, device
            )
            row = Row(
                name=variant.name,
                parameters=sum(p.numel() for p in trainer.average.parameters()),
                started=started,
                crops=trainer.crops,
                crops_per_second=speed,
                own=own_auc(trainer.average, finished[0], recipe.train.top_k),
                transfer=judge_transfer(trainer.average, store, dev, recipe),
            )
            write_text(result, json.dumps(asdict(row), indent=1) + "\n")
        # Two tables may share a run: the row is called as this table calls it.
        row = replace(Row(**json.loads(result.read_text(encoding="utf-8"))), name=variant.name)
        say(_summary(row))
        rows.append(row)
    return rows


def _run_name(variant: Variant, recipe: Recipe, started: bool) -> str:
    """A folder name that says what was trained and how, so that no other settings' result is taken."""
    settings = {
        "train": asdict(variant.train),
        "without": variant.without,
        "started": started,
        "crop": asdict(recipe.crop),
        "pooling": asdict(recipe.pooling),
    }
    return f"{variant.train.architecture}-{variant.train.depth}-{digest(settings, 10)}"


def _train(
    variant: Variant, start: Path | None, shards: Path, set_aside: Path, folder: Path, device: str
) -> tuple[Trainer, float | None]:
    trainer = Trainer(variant.train, start, device)
    if (folder / CHECKPOINT).exists():
        trainer.resume(folder / CHECKPOINT)
    before, begun = trainer.crops, time.monotonic()
    pairs = Shards(shards, variant.train.seed, without=variant.without, set_aside=[set_aside.stem])
    for _ in train(trainer, pairs, folder):
        pass
    seconds = time.monotonic() - begun
    return trainer, round((trainer.crops - before) / seconds, 2) if trainer.crops > before else None


@torch.no_grad()
def own_auc(network: PatchNetwork, shard: Path, top_k: float, *, pairs: int = 240, batch: int = 32) -> float:
    """AUC of a shard's forged against its genuine crops, whole, by ``network`` pooled as in training.

    ``shard`` is the shard's ``.json``; up to ``pairs`` of its pairs count, spread over it.
    """
    network.eval()
    device = next(network.parameters()).device
    arrays = open_shard(shard)
    rows = evenly(len(arrays["kind"]), pairs)

    def scores(side: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        for i in range(0, len(rows), batch):
            crops = torch.from_numpy(side[rows[i : i + batch]]).permute(0, 3, 1, 2).float().to(device)
            parts.append(pool(network(normalise(crops, MEAN, STD))[:, 0], "top_k", top_k).float().cpu())
        return torch.cat(parts).numpy()

    return round(auc(scores(arrays["genuine"]), scores(arrays["forged"])), 4)


def _columns(rows: Sequence[Row]) -> list[str]:
    return [name for name in rows[0].transfer if not name.startswith("method ")] if rows else []


def _summary(row: Row) -> str:
    figures = ", ".join(f"{name} {row.transfer[name]:.3f}" for name in _columns([row]))
    return f"{row.name}: own {row.own:.3f}, {figures}"


def markdown(rows: Sequence[Row]) -> str:
    """The comparison as a Markdown table; ``own`` and what follows are AUC, what follows on the dev split."""
    columns = _columns(rows)
    lines = []
    for row in rows:
        speed = "" if row.crops_per_second is None else f"{row.crops_per_second:.1f}"
        cells = [row.name, f"{row.parameters:,}", speed, f"{row.own:.3f}"]
        lines.append(cells + [f"{row.transfer[c]:.3f}" for c in columns])
    return "\n".join(table(["variant", "parameters", "crops/s", "own", *columns], lines)) + "\n"


def to_dict(what: str, crops: int, rows: Sequence[Row]) -> dict[str, Any]:
    """The comparison as plain JSON."""
    return {"what": what, "crops": crops, "rows": [asdict(row) for row in rows]}

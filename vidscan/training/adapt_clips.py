"""``vidscan adapt``: from a handful of fakes to a weights folder whose detector knows their generator."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.errors import NoFaceError, SetupError
from vidscan.faces.detect import Detector, load_detector
from vidscan.models import ModelRecord, load_registry, register, update_record
from vidscan.patches.encoder import SPEC, EncoderClassifier
from vidscan.training.adapt import HEAD, KIND, AdaptRecipe, Correction, Crops, LinearHead, Memory, adapt
from vidscan.training.face_crops import crops_at
from vidscan.training.transfer import auc

MOMENTS = (0.18, 0.5, 0.82)
"""Where clips are looked at, as shares of their duration."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """What an adaptation came to.

    Attributes
    ----------
    folder
        The new weights folder.
    encoder
        Name of the adapted model.
    fakes
        Files with a face that were learned from.
    before, after
        What the corrected head says of the fakes on average, in deviations of genuine clips; ``after`` is by
        heads that did not learn from the file that they judge, and None where there is one file only.
    known
        Area under the curve on the memory before and after: what of other generators is kept.
    left_out
        Files without a face, or that cannot be read.
    """

    folder: Path
    encoder: str
    fakes: int
    before: float
    after: float | None
    known: tuple[float, float]
    left_out: tuple[Path, ...]


def adapt_to(
    fakes: Sequence[Path],
    out: Path,
    *,
    genuine: Sequence[Path] = (),
    recipe: AdaptRecipe | None = None,
    device: str = "cpu",
    advance: Callable[[], None] = lambda: None,
) -> Adapted:
    """Adapt a head of a copy of the shipped encoder to ``fakes``.

    Parameters
    ----------
    fakes
        Clips or pictures by one generator.
    out
        The new weights folder; must not exist.
    genuine
        Genuine clips or pictures from the same source, so that its look is not learned as a trace.
    recipe
        How far the head may go.
    device
        ``cpu`` or ``cuda[:n]``.
    advance
        Called after each file.

    Raises
    ------
    NoFaceError
        Where none of the fakes shows a face.
    SetupError
        Where ``out`` exists or the memory belongs to another encoder.
    """
    if out.exists():
        raise SetupError(f"{out} exists: adapted weights go to a new folder")
    registry = load_registry()
    record, kept = registry.get("encoder"), registry.get(KIND)
    if kept.settings.get("encoder_sha256") != record.sha256:
        raise SetupError(f"{kept.name} is the memory of another encoder than {record.name}")
    recipe = recipe or AdaptRecipe()
    memory, classifier, detector = Memory.load(kept), EncoderClassifier(record, device), load_detector()
    head = LinearHead(classifier.weight[HEAD].numpy(), float(classifier.bias[HEAD]))
    found, missing = _read(fakes, classifier, detector, advance)
    twins, missing_twins = _read(genuine, classifier, detector, advance)
    if not found:
        raise NoFaceError(f"none of {len(fakes)} fakes shows a face")
    beside = memory.crops(np.concatenate(twins), head) if twins else None
    crops = [memory.crops(own, head) for own in found]

    def learnt(own: Sequence[Crops]) -> Correction:
        together = np.concatenate([o for o, _ in own]), np.concatenate([x for _, x in own])
        return adapt(memory, together, recipe, beside)

    correction, after = learnt(crops), None
    if len(crops) > 1:
        judged = [learnt(crops[:i] + crops[i + 1 :]).log_odds(*own).mean() for i, own in enumerate(crops)]
        after = float(np.mean(judged))
    name = _write(registry.folder, out, record, kept, correction.head(head, memory), len(found))
    return Adapted(
        out,
        name,
        len(found),
        float(np.mean([before.mean() for before, _ in crops])),
        after,
        (_area(memory, memory.log_odds), _area(memory, correction.memory_log_odds)),
        (*missing, *missing_twins),
    )


def _read(
    paths: Sequence[Path], classifier: EncoderClassifier, detector: Detector, advance: Callable[[], None]
) -> tuple[list[NDArray[np.float32]], list[Path]]:
    """Descriptions of every file's largest face, (moments, d) each, and the files without."""
    found, missing = [], []
    for path in paths:
        if crops := list(crops_at(path, MOMENTS, detector, SPEC)):
            found.append(classifier.encoder.describe(torch.cat(crops)).numpy())
        else:
            missing.append(path)
        advance()
    return found, missing


def _area(memory: Memory, log_odds: NDArray[np.float64]) -> float:
    return auc(log_odds[~memory.forged], log_odds[memory.forged])


def _write(
    source: Path, out: Path, record: ModelRecord, memory: ModelRecord, head: LinearHead, fakes: int
) -> str:
    """A copy of the weights folder with the adapted encoder in the verdict's place for it.

    It looks at aligned crops alone: heads for native ones would outvote what was learned. What it says of
    genuine clips has the median and deviation that both kinds of crop have together.
    """
    from safetensors.torch import load_file

    shutil.copytree(source, out)
    name = f"{record.name}-adapted"
    tensors = load_file(record.path)
    tensors = {name: value for name, value in tensors.items() if not name.startswith("native.")}
    tensors["head.weight"][HEAD] = torch.from_numpy(head.weight)
    tensors["head.bias"][HEAD] = head.bias
    if "left_out" in memory.settings and "left_out" in record.settings:
        alone, together = memory.settings["left_out"], record.settings["left_out"]
        stretch = together["deviation"] / alone["deviation"]
        tensors["head.weight"] *= stretch
        tensors["head.bias"] = together["median"] + stretch * (tensors["head.bias"] - alone["median"])
    register(out, name, tensors, record.settings | {"adapted": {"from": record.name, "fakes": fakes}})
    for verdict in load_registry(out).models.values():
        if verdict.kind == "verdict" and verdict.settings.get("encoder") == record.name:
            update_record(out, verdict.name, verdict.settings | {"encoder": name})
    return name

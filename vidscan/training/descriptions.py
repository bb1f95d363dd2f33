"""What the frozen encoder says of the corpus, read once and kept: training a head then takes seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.errors import InputError, SetupError
from vidscan.faces.align import CropSpec, align, crop_transform
from vidscan.faces.detect import Detector, load_detector
from vidscan.machine import default_jobs
from vidscan.outputs import Replacement
from vidscan.patches.encoder import SPEC, Encoder
from vidscan.patches.vision_transformer import PATCH, cut
from vidscan.training.corpus import Entry
from vidscan.training.own_pairs import FORGED_SPEC, PairMaker, PairRecipe
from vidscan.training.store import frames_at

_FORMAT = 1
_BATCH = 8
"""Genuine files whose faces are forged together."""


@dataclass(frozen=True, slots=True)
class Described:
    """One crop: whose it is, and what the encoder says of it.

    Attributes
    ----------
    entry
        Of the corpus; of a self-made forgery the genuine file.
    features
        (d,) float16, see :func:`vidscan.patches.encoder.describe`.
    forged
        Whether the crop is.
    own
        The kind of a self-made forgery, or ``genuine`` for its twin; empty for crops of the corpus itself.
    """

    entry: Entry
    features: NDArray[np.float16]
    forged: bool
    own: str = ""


def start_tensors(start: Path, taps: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """What the encoder needs of a whole DINOv2 ViT-S/14 (safetensors), as it is stored: int8 or float.

    Raises SetupError where the file cannot be read or is another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return cut(load_file(start), taps, SPEC.size // PATCH)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise SetupError(f"{start} is no DINOv2 encoder: {error}") from error


class Describer:
    """Describes files of a corpus by worker processes, and keeps what they found.

    Parameters
    ----------
    corpus
        Its folder.
    start
        The encoder's weights.
    taps
        Depths that are read.
    folder
        Keeps a file for each file and each batch of pairs; what is there is not made again.
    jobs
        Worker processes; 0 as many as suit the machine.
    """

    def __init__(
        self, corpus: Path, start: Path, taps: tuple[int, ...], folder: Path, *, jobs: int = 0
    ) -> None:
        self._corpus, self._folder, self._jobs = corpus, folder, jobs
        self._begin = start, taps
        folder.mkdir(parents=True, exist_ok=True)

    def corpus_crops(
        self, entries: Sequence[Entry], moments: tuple[float, ...], advance: Callable[[], None]
    ) -> list[Described]:
        """The largest face at ``moments`` (shares of the duration) of every clip, and in every picture.

        Files in which no face is found are left out.
        """
        looks = [(e.file, moments if e.kind == "video" else (0.0,)) for e in entries]
        tasks = [
            _Task(
                ((self._corpus / file, when),),
                self._folder / f"{_digest(file)}-{self._key(when, asdict(SPEC))}.npz",
            )
            for file, when in looks
        ]
        self._run(tasks, None, advance)
        found = []
        for entry, task in zip(entries, tasks, strict=True):
            with np.load(task.target, allow_pickle=False) as data:
                found += [Described(entry, x, not entry.genuine) for x in data["features"]]
        return found

    def own_pairs(
        self, entries: Sequence[Entry], recipe: PairRecipe, advance: Callable[[], None]
    ) -> list[Described]:
        """Genuine ``entries`` beside their self-made forgeries (:mod:`vidscan.training.own_pairs`)."""
        key = self._key(asdict(recipe), asdict(FORGED_SPEC))
        moments = tuple(np.linspace(0.1, 0.9, recipe.per_clip).tolist())
        looks = [(e, (m,)) for e in entries for m in (moments if e.kind == "video" else (0.0,))]
        # In no order of people or sources, so that donors differ.
        looks.sort(key=lambda look: _digest(f"{recipe.seed} {look[0].file} {look[1]}"))
        batches = [looks[i : i + _BATCH] for i in range(0, len(looks), _BATCH)]
        tasks = [
            _Task(
                tuple((self._corpus / e.file, moment) for e, moment in batch),
                self._folder / f"{_digest(*(f'{e.file} {m}' for e, m in batch))}-{key}.npz",
            )
            for batch in batches
        ]
        self._run(tasks, recipe, advance)
        found = []
        for batch, task in zip(batches, tasks, strict=True):
            with np.load(task.target, allow_pickle=False) as data:
                kind = str(data["kind"])
                for i, genuine, forged in zip(data["rows"], data["genuine"], data["forged"], strict=True):
                    entry = batch[int(i)][0]
                    found += [
                        Described(entry, genuine, False, "genuine"),
                        Described(entry, forged, True, kind),
                    ]
        return found

    def _key(self, *parts: object) -> str:
        return _digest(json.dumps([_FORMAT, self._begin[1], *parts], sort_keys=True))[:8]

    def _run(self, tasks: Sequence[_Task], recipe: PairRecipe | None, advance: Callable[[], None]) -> None:
        missing = [task for task in tasks if not task.target.exists()]
        for _ in range(len(tasks) - len(missing)):
            advance()
        if not missing:
            return
        jobs = min(self._jobs or default_jobs("cpu"), len(missing))
        # Each worker has one thread: two of them read more crops per second than one with two.
        with get_context("spawn").Pool(jobs, _begin, (*self._begin, recipe)) as pool:
            for _ in pool.imap_unordered(_describe, missing):
                advance()


@dataclass(frozen=True, slots=True)
class _Task:
    looks: tuple[tuple[Path, tuple[float, ...]], ...]
    """Files and the moments of each."""
    target: Path


@dataclass(frozen=True, slots=True)
class _Worker:
    encoder: Encoder
    detector: Detector
    maker: PairMaker | None

    def crops(self, source: Path, moments: tuple[float, ...], spec: CropSpec) -> Iterator[torch.Tensor]:
        """Aligned crops (1, 3, S, S) 0..255 of the largest face; none of a file that cannot be read."""
        try:
            for _, image in frames_at(source, moments):
                if faces := self.detector.detect(image[None])[0]:
                    to_crop = crop_transform(faces[0].points[None], spec, faces[0].box[None])
                    yield align(torch.from_numpy(image[None]), np.zeros(1, np.int64), to_crop, spec)
        except InputError:
            return

    def describe(self, task: _Task) -> dict[str, NDArray]:
        """What is kept of a task."""
        if self.maker is None:
            return {"features": self._features(list(self.crops(*task.looks[0], SPEC)))}
        found = [(i, crop) for i, look in enumerate(task.looks) for crop in self.crops(*look, FORGED_SPEC)]
        if len(found) < 2:  # no donor
            nothing = np.zeros((0, 0), np.float16)
            return {"kind": np.array(""), "rows": np.zeros(0, int), "genuine": nothing, "forged": nothing}
        pictures = torch.cat([crop for _, crop in found]).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        names = [f"{task.looks[i][0].name} {task.looks[i][1]}" for i, _ in found]
        kind, genuine, forged = self.maker.make(pictures, names)
        return {
            "kind": np.array(kind),
            "rows": np.array([i for i, _ in found]),
            "genuine": self._features([_crop(picture) for picture in genuine]),
            "forged": self._features([_crop(picture) for picture in forged]),
        }

    def _features(self, crops: list[torch.Tensor]) -> NDArray[np.float16]:
        if not crops:
            return np.zeros((0, 0), np.float16)
        return self.encoder.describe(torch.cat(crops)).numpy().astype(np.float16)


def _crop(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


_worker: _Worker


def _begin(start: Path, taps: tuple[int, ...], recipe: PairRecipe | None) -> None:
    global _worker
    torch.set_num_threads(1)
    maker = None if recipe is None else PairMaker(recipe)
    _worker = _Worker(Encoder(start_tensors(start, taps), taps), load_detector(), maker)


def _describe(task: _Task) -> None:
    with Replacement(task.target) as part, part.open() as file:
        np.savez(file, **_worker.describe(task))  # type: ignore[arg-type]


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]

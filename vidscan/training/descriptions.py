"""What the frozen encoder says of the corpus, read once and kept: training a head then takes seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.digests import hashed
from vidscan.errors import SetupError
from vidscan.faces.detect import Detector, load_detector
from vidscan.machine import default_jobs, end_with_parent
from vidscan.outputs import Replacement
from vidscan.patches.encoder import LARGEST, SPEC, Encoder
from vidscan.patches.vision_transformer import PATCH, cut
from vidscan.training.corpus import Entry
from vidscan.training.face_crops import crops_at, faces_at, native_crop, picture
from vidscan.training.face_crops import cut as cut_crop
from vidscan.training.own_pairs import FORGED_SPEC, VIEW, OwnPairs, PairMaker, PairRecipe

_FORMAT = 1
_NATIVE = ((), ("native", LARGEST))
"""What a key says of crops that are not, and that are native."""
_BATCH = 8
"""Genuine files whose faces are forged together."""
_TOKENS = 20
"""At most so many patches of each sort are kept of a pair."""
_ALTERED, _UNTOUCHED = 0.6, 0.02
"""A patch teaches that it is altered from this share of its pixels on, and that it is not up to that one."""


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


@dataclass(frozen=True, slots=True)
class PairTokens:
    """Patches of own pairs.

    Attributes
    ----------
    entries
        (n,) the genuine file of each patch.
    features
        (n, taps * width) float16.
    altered
        (n,) bool: more than half of it is forged.
    taught
        (n,) bool: clearly one or the other. Those at the border of a forgery are not, yet masks have them.
    stands_for
        (n,) how many patches of its sort in its crop each stands for; 0 for those that only teach.
    """

    entries: list[Entry]
    features: NDArray[np.float16]
    altered: NDArray[np.bool_]
    taught: NDArray[np.bool_]
    stands_for: NDArray[np.float32]


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


TUNED = {"tuned": "on train"}
"""Metadata of an encoder that learned from train's crops itself, not only its heads."""


def is_tuned(start: Path) -> bool:
    """Whether an encoder's file says so (:data:`TUNED`); SetupError where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(start, "pt") as handle:
            return TUNED.items() <= (handle.metadata() or {}).items()
    except (OSError, SafetensorError) as error:
        raise SetupError(f"{start} is no DINOv2 encoder: {error}") from error


def fingerprint(tensors: Mapping[str, torch.Tensor]) -> str:
    """Of an encoder, whichever heads it is stored with and however precise its places are stored."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(name.encode())
        found.update((value.half() if value.is_floating_point() else value).numpy().tobytes())
    return found.hexdigest()[:20]


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
        self._encoder = fingerprint(start_tensors(start, taps))
        folder.mkdir(parents=True, exist_ok=True)

    def corpus_crops(
        self,
        entries: Sequence[Entry],
        moments: tuple[float, ...],
        advance: Callable[[], None],
        *,
        native: bool = False,
    ) -> list[Described]:
        """The largest face at ``moments`` (shares of the duration) of every clip, and in every picture.

        Files in which no face is found are left out. ``native`` crops in place of aligned ones.
        """
        looks = [(e.file, moments if e.kind == "video" else (0.0,)) for e in entries]
        tasks = [
            _Task(
                ((self._corpus / file, when),),
                self._folder / f"{_digest(file)}-{self._key(when, asdict(SPEC), *_NATIVE[native])}.npz",
                native=native,
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
        self,
        entries: Sequence[Entry],
        recipe: PairRecipe,
        advance: Callable[[], None],
        *,
        most: int | None = None,
        native: bool = False,
    ) -> list[Described]:
        """Genuine ``entries`` beside their self-made forgeries (:mod:`vidscan.training.own_pairs`).

        At most ``most`` pairs. ``native`` ones are coded as they are, and not scaled before.
        """
        looks = pair_looks(entries, recipe)[:most]
        if native:
            recipe = replace(recipe, side=(VIEW, VIEW))
        key = self._key(asdict(recipe), asdict(FORGED_SPEC), *_NATIVE[native])
        found = []
        for batch, task in self._batches(looks, key, recipe, advance, native=native):
            with np.load(task.target, allow_pickle=False) as data:
                kind = str(data["kind"])
                for i, genuine, forged in zip(data["rows"], data["genuine"], data["forged"], strict=True):
                    entry = batch[int(i)][0]
                    found += [
                        Described(entry, genuine, False, "genuine"),
                        Described(entry, forged, True, kind),
                    ]
        return found

    def pair_tokens(
        self, entries: Sequence[Entry], recipe: PairRecipe, most: int, advance: Callable[[], None]
    ) -> PairTokens:
        """Patches of at most ``most`` own pairs of ``entries``."""
        looks = pair_looks(entries, recipe)[:most]
        key = self._key("tokens", _TOKENS, _ALTERED, _UNTOUCHED, asdict(recipe), asdict(FORGED_SPEC))
        owners: list[Entry] = []
        found: list[list[NDArray]] = []
        for batch, task in self._batches(looks, key, recipe, advance, tokens=True):
            with np.load(task.target, allow_pickle=False) as data:
                owners += [batch[int(i)][0] for i in data["rows"]]
                if len(data["rows"]):
                    found.append([data[name] for name in _KEPT])
        if not found:
            raise SetupError("no own pair could be made: patches have nothing to learn from")
        return PairTokens(owners, *map(np.concatenate, zip(*found, strict=True)))

    def _batches(
        self,
        looks: Sequence[_Look],
        key: str,
        recipe: PairRecipe,
        advance: Callable[[], None],
        *,
        tokens: bool = False,
        native: bool = False,
    ) -> list[tuple[Sequence[_Look], _Task]]:
        batches = [looks[i : i + _BATCH] for i in range(0, len(looks), _BATCH)]
        tasks = [
            _Task(
                tuple((self._corpus / e.file, moment) for e, moment in batch),
                self._folder / f"{_digest(*(f'{e.file} {m}' for e, m in batch))}-{key}.npz",
                tokens,
                native,
            )
            for batch in batches
        ]
        self._run(tasks, recipe, advance)
        return list(zip(batches, tasks, strict=True))

    def _key(self, *parts: object) -> str:
        return _digest(json.dumps([_FORMAT, self._encoder, self._begin[1], *parts], sort_keys=True))[:8]

    def _run(self, tasks: Sequence[_Task], recipe: PairRecipe | None, advance: Callable[[], None]) -> None:
        missing = [task for task in tasks if not task.target.exists()]
        for task in tasks:
            if task.target.exists():
                task.tell(advance)
        if not missing:
            return
        jobs = min(self._jobs or default_jobs("cpu"), len(missing))
        # Each worker has one thread: two of them read more crops per second than one with two.
        with get_context("spawn").Pool(jobs, _begin, (*self._begin, recipe)) as pool:
            for task in pool.imap_unordered(_describe, missing):
                task.tell(advance)


_Look = tuple[Entry, tuple[float, ...]]
_KEPT = ("features", "altered", "taught", "stands_for")


def pair_looks(entries: Sequence[Entry], recipe: PairRecipe) -> list[_Look]:
    """Genuine files and the moment of each pair, in no order of people or sources, so that donors differ."""
    moments = tuple(np.linspace(0.1, 0.9, recipe.per_clip).tolist())
    looks = [(e, (m,)) for e in entries for m in (moments if e.kind == "video" else (0.0,))]
    return sorted(looks, key=lambda look: _digest(f"{recipe.seed} {look[0].file} {look[1]}"))


@dataclass(frozen=True, slots=True)
class _Task:
    looks: tuple[tuple[Path, tuple[float, ...]], ...]
    """Files and the moments of each."""
    target: Path
    tokens: bool = False
    """Patches are kept of own pairs, not their descriptions."""
    native: bool = False
    """Crops are native, not aligned."""

    def tell(self, advance: Callable[[], None]) -> None:
        """Every look is done."""
        for _ in self.looks:
            advance()


@dataclass(frozen=True, slots=True)
class Drawn:
    """Some patches of one sort, of a forged crop or its genuine twin; fields as in :class:`PairTokens`.

    Attributes
    ----------
    of
        How many such patches there are; 0 where they only teach.
    """

    forged: bool
    places: NDArray[np.int64]
    altered: NDArray[np.bool_]
    taught: bool
    of: int


def draw_patches(mask: NDArray[np.float32], rng: np.random.Generator) -> list[Drawn]:
    """Patches of a pair with ``mask`` (224, 224), 0..1, by their place in the 16 x 16 grid, row by row.

    A forgery that is blended in faintly is forged where its mask is above half of its largest value, as where
    masks are compared.
    """
    side = SPEC.size // PATCH

    def share(pixels: NDArray) -> NDArray[np.floating]:
        return pixels.reshape(side, PATCH, side, PATCH).mean((1, 3)).ravel()

    strongest = max(float(mask.max()), 1e-6)
    covered, touched = share(mask > strongest / 2), share(mask / strongest)
    inside, beside = covered > _ALTERED, touched < _UNTOUCHED
    found = []
    for forged, sort, taught in (
        (True, inside, True),
        (True, beside, True),
        (True, ~inside & ~beside, False),
        (False, np.ones_like(inside), True),
    ):
        places = np.flatnonzero(sort)
        drawn = rng.choice(places, min(_TOKENS, len(places)), replace=False)
        found.append(Drawn(forged, drawn, (covered[drawn] > 0.5) & forged, taught, len(places)))
    # The same places of the twin teach once more what is not altered there.
    again = found[0].places
    return [*found, Drawn(False, again, np.zeros(len(again), np.bool_), True, 0)]


@dataclass(frozen=True, slots=True)
class _Worker:
    encoder: Encoder
    detector: Detector
    maker: PairMaker | None

    def describe(self, task: _Task) -> dict[str, NDArray]:
        """What is kept of a task."""
        if self.maker is None:
            return {"features": self._of_looks(task)}
        rows, crops, natives = [], [], []
        for i, look in enumerate(task.looks):
            for image, face in faces_at(*look, self.detector):
                rows.append(i)
                if task.native:
                    natives.append(native_crop(image, face, FORGED_SPEC))
                    crops.append(picture(natives[-1].crop))
                else:
                    crops.append(picture(cut_crop(image, face, FORGED_SPEC)))
        if len(crops) < 2:  # no donor
            return self._nothing(task)
        names = [f"{task.looks[i][0].name} {task.looks[i][1]}" for i in rows]
        landmarks = np.stack([native.landmarks() for native in natives]) if natives else None
        pairs = self.maker.make(np.stack(crops), names, landmarks)
        weights = None
        if natives:
            weights = _mirrored(torch.cat([native.weights() for native in natives]), pairs.turned)
        if task.tokens:
            return self._tokens(pairs, np.array(rows), hashed(*names))
        return {
            "kind": np.array(pairs.kind),
            "rows": np.array(rows),
            "genuine": self._features([_crop(side) for side in pairs.genuine], weights),
            "forged": self._features([_crop(side) for side in pairs.forged], weights),
        }

    def _of_looks(self, task: _Task) -> NDArray[np.float16]:
        if not task.native:
            return self._features(list(crops_at(*task.looks[0], self.detector, SPEC)))
        found = [native_crop(image, face, SPEC) for image, face in faces_at(*task.looks[0], self.detector)]
        weights = torch.cat([native.weights() for native in found]) if found else None
        return self._features([native.crop for native in found], weights)

    def _nothing(self, task: _Task) -> dict[str, NDArray]:
        rows, nothing = np.zeros(0, int), np.zeros((0, 0), np.float16)
        if task.tokens:
            return {"rows": rows} | dict.fromkeys(_KEPT, nothing)
        return {"kind": np.array(""), "rows": rows, "genuine": nothing, "forged": nothing}

    def _tokens(self, pairs: OwnPairs, rows: NDArray[np.int64], seed: int) -> dict[str, NDArray]:
        genuine, forged = (
            torch.cat(list(self.encoder.tokens(torch.cat([_crop(picture) for picture in pictures]))))
            .permute(0, 2, 1, 3)
            .flatten(2)
            .numpy()
            .astype(np.float16)
            for pictures in (pairs.genuine, pairs.forged)
        )
        rng = np.random.default_rng(seed)
        kept: dict[str, list[NDArray]] = {name: [] for name in ("rows", *_KEPT)}
        for i, row in enumerate(rows):
            for drawn in draw_patches(pairs.masks[i], rng):
                side = forged[i] if drawn.forged else genuine[i]
                count = len(drawn.places)
                kept["rows"].append(np.full(count, row))
                kept["features"].append(side[drawn.places])
                kept["altered"].append(drawn.altered)
                kept["taught"].append(np.full(count, drawn.taught))
                kept["stands_for"].append(np.full(count, drawn.of / max(1, count), np.float32))
        return {name: np.concatenate(values) for name, values in kept.items()}

    def _features(
        self, crops: list[torch.Tensor], weights: torch.Tensor | None = None
    ) -> NDArray[np.float16]:
        if not crops:
            return np.zeros((0, 0), np.float16)
        return self.encoder.describe(torch.cat(crops), weights).numpy().astype(np.float16)


def _mirrored(weights: torch.Tensor, turned: NDArray[np.bool_]) -> torch.Tensor:
    """(N, 6, 256) region weights, of the crops that are ``turned`` as their mirror image has them."""
    other = weights.unflatten(2, (SPEC.size // PATCH, -1)).flip(3).flatten(2)
    return torch.where(torch.from_numpy(turned)[:, None, None], other, weights)


def _crop(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


_worker: _Worker


def _begin(start: Path, taps: tuple[int, ...], recipe: PairRecipe | None) -> None:
    global _worker
    end_with_parent()
    torch.set_num_threads(1)
    maker = None if recipe is None else PairMaker(recipe)
    _worker = _Worker(Encoder(start_tensors(start, taps), taps), load_detector(), maker)


def _describe(task: _Task) -> _Task:
    with Replacement(task.target) as part, part.open() as file:
        np.savez(file, **_worker.describe(task))  # type: ignore[arg-type]
    return task


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]

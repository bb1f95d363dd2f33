"""Fingerprints of the generators in the train split (:mod:`vidscan.forensics.fingerprint`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import InputError, SetupError
from vidscan.forensics.fingerprint import KIND, unit, vector
from vidscan.forensics.material import Material
from vidscan.forensics.spectrum import mean_spectrum
from vidscan.models import ModelRecord, register
from vidscan.training.corpus import Entry, read_manifest

NAME = "fingerprints-spectrum"
_LEAST, _MOST = 3, 4
"""Clips of one generator that make a fingerprint, and that are read at most."""
_GENUINE = 80
"""Genuine clips that are read."""
_LEAST_GENUINE = 20
_LEVELS = 51
"""Quantiles of the genuine clips' correlations that are kept."""


def learn_fingerprints(
    corpus: Path, weights: Path, stage: Callable[[str, int], Callable[[], None]], seed: int = 0
) -> ModelRecord:
    """Make a fingerprint of every generator with three readable clips in train; it becomes the default.

    Half of the genuine clips make the mean that is taken off; what the other half reaches tells later what
    is usual.

    Parameters
    ----------
    corpus
        Folder with ``manifest.csv``.
    weights
        Where the record is registered.
    stage
        Told a name and a number of steps, returns what is called after each.

    Raises
    ------
    SetupError
        Where train lacks genuine clips, or generators with three clips.
    """
    rows = [row for row in read_manifest(corpus) if row.split == "train" and row.kind == "video"]
    rng = np.random.default_rng(seed)
    by_generator: dict[str, list[Entry]] = defaultdict(list)
    for row in rows:
        if not row.genuine:
            by_generator[row.method].append(row)
    chosen = {
        name: [clips[n] for n in rng.permutation(len(clips))[:_MOST]]
        for name, clips in sorted(by_generator.items())
        if len(clips) >= _LEAST
    }
    genuine = [row for row in rows if row.genuine]
    picked = [genuine[n] for n in rng.permutation(len(genuine))[:_GENUINE]]
    step = stage("Reading spectra", len(picked) + sum(map(len, chosen.values())))

    def read(entries: list[Entry]) -> list[NDArray[np.float64]]:
        found = []
        for entry in entries:
            own = clip_vector(corpus / entry.file)
            if own is not None:
                found.append(own)
            step()
        return found

    own = read(picked)
    if len(own) < _LEAST_GENUINE:
        raise SetupError(f"fingerprints need {_LEAST_GENUINE} genuine clips in the train split of {corpus}")
    mean = np.mean(own[::2], axis=0)
    prints = {}
    for name, entries in chosen.items():
        vectors = read(entries)
        if len(vectors) >= _LEAST:
            prints[name] = unit(np.mean(vectors, axis=0) - mean)
    if not prints:
        raise SetupError(f"no generator in the train split of {corpus} has {_LEAST} clips")
    stacked = np.stack(list(prints.values()))
    nearest = [float((stacked @ unit(one - mean)).max()) for one in own[1::2]]
    levels = np.quantile(nearest, np.linspace(0, 1, _LEVELS))

    import torch

    tensors = {
        "prints": torch.from_numpy(stacked.astype(np.float16)),
        "genuine": torch.from_numpy(mean.astype(np.float32)),
    }
    record = {"kind": KIND, "generators": list(prints), "levels": [round(float(q), 4) for q in levels]}
    return register(weights, NAME, tensors, record)


def clip_vector(clip: Path) -> NDArray[np.float64] | None:
    """What of a clip is compared; None where it cannot be read, or is too small."""
    try:
        spectrum = mean_spectrum(Material(clip).frames)
    except InputError:
        return None
    return None if spectrum is None else vector(spectrum)

"""Heads that never saw a train clip's source: train's genuine people then count as people never seen.

A verdict that is calibrated on a few people hangs on the most suspicious of them. Train has more, but the
shipped heads learned from them. So each fifth of train is judged by heads that learned from the other four
(:mod:`vidscan.training.sources`), and the people of all five parts set thresholds together. The idea is that
of cross-conformal predictors (Vovk, Annals of Mathematics and Artificial Intelligence 2015), without their
bookkeeping: new clips are judged by heads that learned from everybody. So it promises nothing by itself, and
false alarms are measured (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from vidscan.digests import digest
from vidscan.errors import SetupError
from vidscan.models import ModelRecord, Registry, register
from vidscan.patches.encoder import EncoderClassifier
from vidscan.training.corpus import Entry, read_manifest
from vidscan.training.linear_head import LinearHeads
from vidscan.training.sources import FOLDS, part_by_file

KIND = "left_out_heads"
NAME = "encoder-left-out"


def register_left_out(
    weights: Path,
    encoder: ModelRecord,
    heads: Mapping[str, Sequence[LinearHeads]],
    entries: Sequence[Entry],
    seed: int,
) -> ModelRecord:
    """Keep ``heads`` (5,) by their name in ``encoder``, each learned without one part of ``entries``."""
    tensors = {}
    for name, fitted in heads.items():
        tensors[f"{name}.weight"] = torch.from_numpy(np.stack([own.weight for own in fitted])).half()
        tensors[f"{name}.bias"] = torch.from_numpy(np.stack([own.bias for own in fitted])).float()
    settings = {
        "kind": KIND,
        "encoder": encoder.name,
        "encoder_sha256": encoder.sha256,
        "parts": FOLDS,
        "seed": seed,
        "parted": _parted(part_by_file(entries, seed)),
    }
    return register(weights, NAME, tensors, settings)


def parts_unseen(corpus: Path, registry: Registry) -> dict[str, int]:
    """By file of the train split, the part whose heads never saw its source.

    Nothing without an encoder, or with one that was tuned on train itself: nobody there is new to it.

    Raises
    ------
    SetupError
        Where the registered heads are another encoder's, or learned from another corpus.
    WeightsError
        Where there are none.
    """
    encoder = registry.default("encoder")
    if encoder is None or encoder.settings.get("tuned"):
        return {}
    record = registry.get(KIND)
    parts = part_by_file([e for e in read_manifest(corpus) if e.split == "train"], record.settings["seed"])
    if record.settings["encoder_sha256"] != encoder.sha256:
        raise SetupError(f"{record.name} is not of {encoder.name}: run `vidscan train encoder` again")
    if record.settings["parted"] != _parted(parts):
        raise SetupError(f"{record.name} learned from another corpus: run `vidscan train encoder` again")
    return parts


def unseen_encoder(registry: Registry, part: int, device: str) -> EncoderClassifier:
    """The encoder with the heads that learned without ``part``."""
    heads = {name: tensor[part] for name, tensor in registry.get(KIND).load().items()}
    return EncoderClassifier(registry.get("encoder"), device, heads)


def _parted(parts: Mapping[str, int]) -> str:
    return digest(sorted(parts.items()))

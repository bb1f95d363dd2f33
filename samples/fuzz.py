"""Seeded fuzzing: whole files of every container with bytes flipped, cut, spliced and overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from samples.hostile import CONTAINERS, PICTURES, sound_bytes

SUFFIXES = (*CONTAINERS, *PICTURES)
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def fuzzed(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Writes ``count`` damaged files, of each container by turns; the same for the same seed."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        suffix = SUFFIXES[index % len(SUFFIXES)]
        data = bytearray(sound_bytes(suffix))
        for _ in range(int(rng.integers(1, 4))):
            data = _DAMAGES[rng.integers(len(_DAMAGES))](data, rng)
        path = folder / f"{index:05}.{suffix}"
        path.write_bytes(data)
        yield path


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    count = max(1, int(len(data) * 10 ** rng.uniform(-5, -2)))
    for at in rng.integers(len(data), size=count) if data else ():
        data[at] ^= 1 << int(rng.integers(8))
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data) + 1))]


def _remove(data: bytearray, rng: np.random.Generator) -> bytearray:
    first, last = _span(data, rng)
    return data[:first] + data[last:]


def _repeat(data: bytearray, rng: np.random.Generator) -> bytearray:
    first, last = _span(data, rng)
    return data[:last] + data[first:]


def _splice(data: bytearray, rng: np.random.Generator) -> bytearray:
    other = sound_bytes(SUFFIXES[rng.integers(len(SUFFIXES))])
    first, last = _span(bytearray(other), rng)
    at = int(rng.integers(len(data) + 1))
    return data[:at] + other[first:last] + data[at:]


def _overwrite(data: bytearray, rng: np.random.Generator) -> bytearray:
    """An integer that a header may hold becomes an extreme one; headers are mostly in front."""
    width = int(rng.choice([1, 2, 4]))
    reach = len(data) if rng.random() < 0.5 else min(len(data), 1024)
    at = int(rng.integers(max(1, reach)))
    value = _EXTREMES[rng.integers(len(_EXTREMES))] & ((1 << 8 * width) - 1)
    data[at : at + width] = value.to_bytes(width, "big" if rng.random() < 0.5 else "little")
    return data


def _span(data: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    first, last = sorted(int(at) for at in rng.integers(len(data) + 1, size=2))
    return first, last


_DAMAGES = (_flip, _cut, _remove, _repeat, _splice, _overwrite, _overwrite)

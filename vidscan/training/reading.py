"""Clips that are read once with a scanner, in worker processes, and what keeps the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vidscan.models import load_registry
from vidscan.scanner import Scanner
from vidscan.training.unseen import unseen_encoder
from vidscan.types import ScanSettings


@dataclass(frozen=True, slots=True)
class Reading:
    """One clip that is to be read, for :func:`vidscan.training.derive.derive_all`.

    ``target`` keeps what was found; ``device`` is as :class:`vidscan.scanner.Scanner` takes it. With a
    ``part`` of train, the encoder's heads are those that never saw it (:mod:`vidscan.training.unseen`).
    """

    source: Path
    target: Path
    settings: ScanSettings
    device: str
    part: int | None = None

    @property
    def scanner(self) -> Scanner:
        """One for all clips of a process that are read alike."""
        return _scanner(self.settings, self.device, load_registry().folder, self.part)


@lru_cache(maxsize=1)
def _scanner(settings: ScanSettings, device: str, weights: Path, part: int | None) -> Scanner:
    scanner = Scanner(settings, device=device)
    if part is not None:
        scanner.encoder = unseen_encoder(load_registry(weights), part, scanner.device)
    return scanner

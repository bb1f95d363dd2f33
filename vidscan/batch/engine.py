"""What a batch engine is: something that scans many files with scanners of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from vidscan.types import ModelRef, Report, ScanSettings


@dataclass(frozen=True, slots=True)
class ScannerSpec:
    """How a worker process makes its scanner; names instead of objects, so that it travels.

    Attributes
    ----------
    settings, device
        Given to the factory by these keywords.
    factory
        ``module:callable`` returning an object with ``scan(path) -> Report``, ``settings``,
        ``device`` and ``models``.
    error_report
        ``module:callable`` taking (path, error, settings, device, models), returning the
        report of a clip whose scan did not come back.
    """

    settings: ScanSettings = field(default_factory=ScanSettings)
    device: str = "auto"
    factory: str = "vidscan.scanner:Scanner"
    error_report: str = "vidscan.scanner:error_report"

    def to_json(self) -> str:
        """As text, for a process that must not import anything to receive it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ScannerSpec:
        """What :meth:`to_json` gave."""
        data = json.loads(text)
        return cls(**data | {"settings": ScanSettings(**data["settings"])})

    def make_scanner(self) -> Any:
        """Imports the factory and calls it."""
        return resolve(self.factory)(settings=self.settings, device=self.device)

    def make_error_report(self, path: Path, error: Exception, identity: Identity) -> Report:
        """The report of a clip that could not be scanned."""
        make = resolve(self.error_report)
        report: Report = make(path, error, identity.settings, identity.device, identity.models)
        return report


@dataclass(frozen=True, slots=True)
class Identity:
    """What a running engine scans with: two runs of one identity give the same verdicts."""

    settings: ScanSettings
    device: str
    models: tuple[ModelRef, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One file to scan. ``sha256`` is None where the file could not be read."""

    path: Path
    sha256: str | None = None


class Engine(Protocol):
    """Scans files; a context manager that owns its workers."""

    def start(self) -> Identity:
        """Makes the first scanner.

        Raises
        ------
        SetupError
            Where no scanner can be made (missing weights, no such device).
        """

    def scan(self, jobs: Iterable[Job], *, expected: int | None = None) -> Iterator[tuple[Job, Report]]:
        """Scans the jobs, which are taken only as workers fall idle, in order of completion.

        ``expected`` bounds how many workers are worth starting.
        """

    def close(self) -> None:
        """Ends the workers, busy or not."""


def resolve(name: str) -> Any:
    """The object that ``module:attribute`` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)

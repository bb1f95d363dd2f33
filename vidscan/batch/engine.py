"""What a batch engine is: something that scans many files with scanners of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Protocol

from vidscan.errors import InputError
from vidscan.types import ModelRef, Report, ScanSettings

Location = os.PathLike[str]
"""Where a file is: a :class:`pathlib.Path`, or a :class:`vidscan.batch.remote.RemoteFile`."""

MAX_DOWNLOAD = 4 << 30
"""Bytes of a remote file beyond which it is refused (``too_large``)."""


@dataclass(frozen=True, slots=True)
class ScannerSpec:
    """How a worker process makes its scanner; names instead of objects, so that it travels.

    Attributes
    ----------
    settings, device
        Given to the factory by these keywords.
    max_download
        Bytes of a remote file beyond which it is refused.
    factory
        ``module:callable`` returning an object with ``scan(path, sha256=...) -> Report``,
        ``settings``, ``device`` and ``models``.
    options
        Further keywords for the factory.
    error_report
        ``module:callable`` taking (path, error, settings, device, models), returning the
        report of a clip whose scan did not come back.
    """

    settings: ScanSettings = field(default_factory=ScanSettings)
    device: str = "auto"
    max_download: int = MAX_DOWNLOAD
    factory: str = "vidscan.scanner:Scanner"
    options: dict[str, str] = field(default_factory=dict)
    error_report: str = "vidscan.reporting:error_report"

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
        return resolve(self.factory)(settings=self.settings, device=self.device, **self.options)

    def make_error_report(self, path: Location, error: Exception, identity: Identity) -> Report:
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

    def to_json(self) -> str:
        """As text, from one process to another."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Identity:
        """What :meth:`to_json` gave."""
        data = json.loads(text)
        models = tuple(ModelRef(**model) for model in data["models"])
        return cls(ScanSettings(**data["settings"]), data["device"], models)


@dataclass(frozen=True, slots=True)
class Job:
    """One file to scan.

    Attributes
    ----------
    path
        Where it is.
    sha256
        None until it has been fetched, or where it cannot be read.
    options
        Further keywords for the ``scan`` of a local worker's scanner, as JSON can hold them.
    """

    path: Location
    sha256: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


Admit = Callable[[Job], bool]
"""Asked for each job once its content is known: whether it is to be scanned."""


class Feed(Protocol):
    """Jobs that come and go while an engine runs; see :meth:`vidscan.batch.local.LocalEngine.follow`.

    Everything but ``wake`` is used by the engine's thread only.
    """

    wake: Connection
    """Readable when one of the answers below may have changed; the engine empties it."""

    @property
    def closed(self) -> bool:
        """Whether :meth:`next` has no job any more, now or later."""

    def next(self) -> Job | None:
        """The next job; None where there is none now."""

    def withdrawn(self, job: Job) -> bool:
        """Whether nobody wants the report of ``job`` any more."""


class Engine(Protocol):
    """Scans files; a context manager that owns its workers."""

    def start(self) -> Identity:
        """Makes the first scanner.

        Raises
        ------
        SetupError
            Where no scanner can be made (missing weights, no such device).
        """

    def scan(
        self, jobs: Iterable[Job], *, admit: Admit | None = None, expected: int | None = None
    ) -> Iterator[tuple[Job, Report]]:
        """Scans the jobs, which are taken only as workers fall idle, in order of completion.

        Parameters
        ----------
        jobs
            Where ``sha256`` is given the file is neither hashed nor put to ``admit``.
        admit
            Jobs that it declines are not scanned and not returned; None admits all.
        expected
            Bounds how many workers are worth starting.

        Yields
        ------
        job, report
            The job with its hash filled in.
        """

    def close(self) -> None:
        """Ends the workers, busy or not."""


@dataclass(slots=True)
class Task:
    """A job on its way through an engine, and what has befallen it."""

    job: Job
    losses: int = 0

    def lost(self, error: InputError, tries: int) -> InputError | None:
        """Counts a worker lost to this job; the error to report where all ``tries`` are used up."""
        self.losses += 1
        return None if self.losses < tries else error


def resolve(name: str) -> Any:
    """The object that ``module:attribute`` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)

"""Scans the jobs of a store on the batch engine's workers, for as long as the server runs."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe

from vidscan.batch.engine import Identity, Job
from vidscan.batch.local import LocalEngine
from vidscan.serve.metrics import Metrics
from vidscan.serve.rows import Claim
from vidscan.serve.store import Store
from vidscan.types import Report

_RESTART_S = 5.0
"""Before an engine that failed is started again."""

_log = logging.getLogger(__name__)


def fingerprint(identity: Identity) -> str:
    """Names models and settings: scans of one fingerprint give the same verdict (on whatever device)."""
    text = Identity(identity.settings, "", identity.models).to_json()
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Claimed(Job):
    """A claim on its way through the engine."""

    claim: Claim = field(kw_only=True)


class Runner:
    """The thread that owns the engine.

    Parameters
    ----------
    make_engine
        Makes another engine where one failed.
    engine
        The first one, started.
    store
        Where jobs come from and reports go.
    metrics
        Counts scans.
    ended
        Called when a job ended, by the runner's thread.
    """

    def __init__(
        self,
        make_engine: Callable[[], LocalEngine],
        engine: LocalEngine,
        store: Store,
        metrics: Metrics,
        ended: Callable[[], None],
    ) -> None:
        self._make_engine, self._engine = make_engine, engine
        self._store, self._metrics, self._ended = store, metrics, ended
        self._feed = _StoreFeed(store)
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._failing = False

    @property
    def healthy(self) -> bool:
        """Whether jobs are being scanned, or would be."""
        return self._thread.is_alive() and not self._failing

    def start(self) -> None:
        """Begins with what waits."""
        self._thread.start()

    def wake(self) -> None:
        """Says that a job came or went."""
        self._feed.poke()

    def stop(self) -> None:
        """Ends the workers; what they were at waits for the next start."""
        self._feed.close()
        self._thread.join()
        self._engine.close()

    def _run(self) -> None:
        while not self._feed.closed:
            try:
                self._feed.give_back()
                for job, report in self._engine.follow(self._feed, admit=self._admit):
                    self._failing = False
                    assert isinstance(job, _Claimed)
                    # A report of what went wrong need not know the content.
                    clip = replace(report.input, sha256=report.input.sha256 or job.sha256)
                    self._finish(job.claim, replace(report, input=clip))
            except Exception as error:  # no file's doing: those come back as reports
                self._failing = True
                _log.error("scanning failed, trying again in %g s: %s", _RESTART_S, error)
                self._engine.close()
                self._feed.wait(_RESTART_S)
                self._engine = self._make_engine()
        with suppress(sqlite3.Error):  # the next start does the same
            self._feed.give_back()

    def _admit(self, job: Job) -> bool:
        """Whether a file whose content is known by now is to be scanned."""
        assert isinstance(job, _Claimed)
        wanted = self._store.identify(job.claim.id, job.sha256)
        if not wanted:
            self._feed.done(job.claim)
            self._ended()
        return wanted

    def _finish(self, claim: Claim, report: Report) -> None:
        ended = self._store.finish(claim, report)
        self._feed.done(claim)
        if ended:
            self._metrics.scanned(report)
            self._ended()


class _StoreFeed:
    """The store's queue as the engine sees it (:class:`vidscan.batch.engine.Feed`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.wake, self._poke = Pipe(duplex=False)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}
        """What the engine has; touched by its thread only."""

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def next(self) -> Job | None:
        for lost in [claim for claim in self._claims.values() if not self._store.is_running(claim.id)]:
            self.done(lost)  # its worker is gone by now
        claim = None if self.closed else self._store.claim()
        if claim is None:
            return None
        self._claims[claim.id] = claim
        options = {"folder": str(claim.folder), "page": claim.page, "masks": claim.masks}
        return _Claimed(claim.file, claim.sha256, options, claim=claim)

    def withdrawn(self, job: Job) -> bool:
        assert isinstance(job, _Claimed)
        return self.closed or not self._store.is_running(job.claim.id)

    def done(self, claim: Claim) -> None:
        """The engine has nothing more to do with a claim."""
        self._claims.pop(claim.id, None)
        self._store.drop(claim)

    def give_back(self) -> None:
        """What the engine still had is to be scanned another time."""
        self._store.requeue(list(self._claims))
        for claim in list(self._claims.values()):
            self.done(claim)

    def poke(self) -> None:
        """Has the engine look again; any thread may."""
        with self._lock:
            if not self.wake.poll():  # else it is about to
                self._poke.send_bytes(b"!")

    def close(self) -> None:
        """No job comes any more."""
        self._closed.set()
        self.poke()

    def wait(self, seconds: float) -> None:
        """Until the time is up, or the feed is closed."""
        self._closed.wait(seconds)

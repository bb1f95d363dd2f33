"""The parts of a service, tied together: started as one and stopped as one."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from vidscan.batch.local import LocalEngine
from vidscan.batch.lock import FileLock
from vidscan.errors import SetupError
from vidscan.serve.callbacks import Callbacks
from vidscan.serve.metrics import Metrics
from vidscan.serve.models import Callback, Job
from vidscan.serve.runner import Runner, fingerprint
from vidscan.serve.settings import ServeSettings
from vidscan.serve.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

_TIDY_S = 60.0

_log = logging.getLogger(__name__)


class Service:
    """A context manager that owns the data folder, the workers and the threads.

    Parameters
    ----------
    settings
        What the operator chose.
    make_engine
        Makes an engine of as many workers as wanted.

    Raises
    ------
    SetupError
        No scanner can be made, or the folder is another server's.
    """

    def __init__(self, settings: ServeSettings, make_engine: Callable[[], LocalEngine]) -> None:
        self.settings = settings
        try:
            settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(f"--data {settings.data}: {error.strerror}") from error
        self._lock = FileLock(settings.data / "server.lock")
        self._lock.acquire()
        engine = make_engine()
        try:
            identity = engine.start()
            self.store = Store(settings.data, fingerprint(identity))
        except BaseException:
            engine.close()
            self._lock.release()
            raise
        self.metrics = Metrics(self.store.counts)
        self.callbacks = Callbacks(settings, self.store.database, self._describe, self.metrics)
        self.runner = Runner(make_engine, engine, self.store, self.metrics, self.callbacks.wake)
        self._tidier = threading.Thread(target=self._tidy, name="tidier", daemon=True)
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        for part in (self.runner, self.callbacks, self._tidier):
            part.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self.runner.stop()
        self.callbacks.stop()
        self._tidier.join()
        self.store.close()
        self._lock.release()

    def view(self, row: sqlite3.Row) -> Job:
        """A row of the store as clients see it."""
        callback = row["callback"]
        return Job(
            id=row["id"],
            name=row["name"],
            state=row["state"],
            progress=self.store.progress(row["id"]) if row["state"] == "running" else None,
            created=_time(row["created"]),
            started=None if row["started"] is None else _time(row["started"]),
            finished=None if row["finished"] is None else _time(row["finished"]),
            bytes=row["bytes"],
            sha256=row["sha256"],
            label=row["label"],
            headline=row["headline"],
            score=row["score"],
            error_code=row["error_code"],
            page=bool(row["has_page"]) and not row["expired"],
            masks=bool(row["has_masks"]) and not row["expired"],
            expired=bool(row["expired"]),
            callback=callback
            and Callback(url=callback, state=row["callback_state"], tries=row["callback_tries"]),
        )

    def _describe(self, id: str) -> bytes | None:
        row = self.store.get(id)
        return None if row is None else self.view(row).model_dump_json().encode()

    def _tidy(self) -> None:
        while True:
            try:
                self.store.expire(time.time() - self.settings.keep_h * 3600)
            except (sqlite3.Error, OSError) as error:  # a full disk
                _log.error("tidying waits: %s", error)
            if self._stopping.wait(_TIDY_S):
                return


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)

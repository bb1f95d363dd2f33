"""The service's SQLite file: one connection for all threads, one transaction at a time, all of it on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidscan.errors import SetupError

VERSION = 1

_TABLES = """
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    sha256 TEXT,
    fingerprint TEXT NOT NULL,
    label TEXT NOT NULL,
    score REAL,
    headline TEXT NOT NULL,
    error_code TEXT,
    page INTEGER NOT NULL,
    masks INTEGER NOT NULL,
    folder TEXT,
    report BLOB NOT NULL
);
CREATE INDEX results_by_content ON results (sha256);
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    change INTEGER NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    path BLOB,
    sha256 TEXT,
    bytes INTEGER,
    page INTEGER NOT NULL,
    masks INTEGER NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    result INTEGER REFERENCES results (id),
    expired INTEGER NOT NULL DEFAULT 0,
    callback TEXT,
    callback_state TEXT,
    callback_tries INTEGER NOT NULL DEFAULT 0,
    callback_due REAL
);
CREATE INDEX jobs_by_change ON jobs (change);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_content ON jobs (sha256);
CREATE INDEX jobs_by_result ON jobs (result);
CREATE INDEX callbacks_by_time ON jobs (callback_due) WHERE callback_due IS NOT NULL;
CREATE TABLE clock (change INTEGER NOT NULL);
INSERT INTO clock VALUES (0);
"""


class Database:
    """Opens the file, and makes its tables where it is new.

    Attributes
    ----------
    lock
        Held by every use; whoever holds it may go on after a transaction before others do.

    Raises
    ------
    SetupError
        It cannot be opened, or a newer vidscan made it.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            elif version != VERSION:
                raise SetupError(f"{path} is of version {version}, this vidscan knows {VERSION}")
        except sqlite3.Error as error:
            raise SetupError(f"cannot open {path}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; other threads wait meanwhile."""
        with self.lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        with self.lock:
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Closes the file."""
        with self.lock:
            self._connection.close()

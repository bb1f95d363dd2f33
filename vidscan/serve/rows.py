"""Jobs and results as rows of the database, and the statements that more than one place needs."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

JOB = """
    SELECT jobs.*, results.label, results.score, results.headline, results.error_code, results.folder,
        results.page AS has_page, results.masks AS has_masks
    FROM jobs LEFT JOIN results ON results.id = jobs.result
"""
"""A job with what is known of its result."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be accepted.

    Attributes
    ----------
    name
        For people: what the client called the file, or its path.
    path
        Of a file on the server; None for an upload.
    upload
        The uploaded file, which is moved; None for a path.
    sha256, bytes
        Of the content, where known.
    page, masks
        What is wanted beside the report.
    callback
        Where the finished job is sent.
    """

    name: str
    path: Path | None = None
    upload: Path | None = None
    sha256: str | None = None
    bytes: int | None = None
    page: bool = True
    masks: bool = False
    callback: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is to be scanned now; ``folder`` is there and empty."""

    id: str
    file: Path
    sha256: str | None
    page: bool
    masks: bool
    folder: Path


def insert(db: sqlite3.Connection, table: str, **values: object) -> int:
    """Adds a row; its number."""
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    number = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values())).lastrowid
    assert number is not None
    return number


def update(db: sqlite3.Connection, id: str, **values: object) -> None:
    """Changes a job, and notes that it changed."""
    values["change"] = tick(db)
    names = ", ".join(f"{name} = ?" for name in values)
    db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*values.values(), id))


def tick(db: sqlite3.Connection) -> int:
    """The next number in the order of changes."""
    db.execute("UPDATE clock SET change = change + 1")
    return count(db, "SELECT change FROM clock")


def count(db: sqlite3.Connection, sql: str, *values: object) -> int:
    """The one number that a query finds."""
    return int(db.execute(sql, values).fetchone()[0])


def end(db: sqlite3.Connection, job: sqlite3.Row, result: int, state: str = "done") -> None:
    """A job has its result; its callback is due."""
    now = time.time()
    due = None if job["callback"] is None else now
    started = job["started"] or now
    update(db, job["id"], state=state, started=started, finished=now, result=result, callback_due=due)

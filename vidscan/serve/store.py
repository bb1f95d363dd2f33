"""Jobs, their results and their files: what is in here survives any end of the server.

Files lie under the data folder: ``uploads`` (under way), ``media`` (by the sha256 of their content), and
``results`` (a folder a job, with its page and masks). No name that a client chose is ever used on disk.
Rows are changed first and files follow, in one transaction as far as other threads can see; what an end
between the two leaves behind is cleared away at the next start.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from vidscan.batch.results import renamed
from vidscan.report.json import dumps, loads
from vidscan.report.words import headline
from vidscan.serve.database import Database
from vidscan.serve.rows import JOB, Claim, NewJob, count, end, insert, tick, update
from vidscan.types import Report

PAGE, MASKS, PROGRESS = "page.html", "masks.zip", "progress"
"""What a results folder holds."""

_REMEMBER_S = 24 * 3600
"""For so long clients are told that a job was deleted."""

_LONGEST_WAITING = """
    SELECT * FROM jobs AS mine WHERE state = 'queued' AND NOT EXISTS (
        SELECT 1 FROM jobs AS other WHERE other.state = 'running' AND other.sha256 = mine.sha256
    ) ORDER BY number LIMIT 1
"""


class Store:
    """Everything the service remembers.

    Parameters
    ----------
    folder
        The data folder, which this process alone uses.
    fingerprint
        Of models and settings: results of others are not used for new jobs.

    Raises
    ------
    SetupError
        The database cannot be opened.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self.uploads, self._media, self._results = (folder / n for n in ("uploads", "media", "results"))
        for each in (self.uploads, self._media, self._results):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.database = Database(folder / "jobs.sqlite")
        self._clear_up()

    def close(self) -> None:
        """Closes the database."""
        self.database.close()

    # ------------------------------------------------------------------ what clients do

    def add(self, new: NewJob) -> str:
        """Accepts a job, for good; its id. It is done at once where its content is known."""
        id = uuid.uuid4().hex
        with self.database.transaction() as db:
            if new.upload is not None:
                assert new.sha256 is not None
                target = self._media / new.sha256
                if target.exists():
                    new.upload.unlink()
                else:
                    new.upload.replace(target)
                    _sync(self._media)
            insert(
                db,
                "jobs",
                id=id,
                change=tick(db),
                state="queued",
                name=new.name,
                path=None if new.path is None else os.fsencode(new.path),
                sha256=new.sha256,
                bytes=new.bytes,
                page=new.page,
                masks=new.masks,
                created=time.time(),
                callback=new.callback,
                callback_state=None if new.callback is None else "waiting",
            )
            known = self._known(db, new.sha256, new.page, new.masks)
            if known is not None:
                end(db, _job(db, id), known)
        return id

    def get(self, id: str) -> sqlite3.Row | None:
        """A job's row, with its result's; None where there is none."""
        rows = self.database.rows(JOB + "WHERE jobs.id = ? AND state != 'deleted'", id)
        return rows[0] if rows else None

    def changes(self, since: int, limit: int) -> list[sqlite3.Row]:
        """Up to ``limit`` jobs, deleted ones too, that changed after ``since``, in order of change."""
        return self.database.rows(JOB + "WHERE change > ? ORDER BY change LIMIT ?", since, limit)

    def running(self) -> list[sqlite3.Row]:
        """The jobs that are being scanned."""
        return self.database.rows(JOB + "WHERE state = 'running' ORDER BY change")

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        rows = self.database.rows("SELECT state, count(*) FROM jobs GROUP BY state")
        found = {row[0]: row[1] for row in rows}
        return {state: found.get(state, 0) for state in ("queued", "running", "done", "failed")}

    def waiting(self) -> int:
        """Jobs that are queued."""
        return int(self.database.rows("SELECT count(*) FROM jobs WHERE state = 'queued'")[0][0])

    def report(self, id: str) -> Report | None:
        """A finished job's report, made out to the job's own file; None where there is none."""
        rows = self.database.rows(
            "SELECT name, path, report FROM jobs JOIN results ON results.id = jobs.result WHERE jobs.id = ?",
            id,
        )
        if not rows:
            return None
        name, path, report = rows[0]
        return renamed(loads(zlib.decompress(report)), Path(name if path is None else os.fsdecode(path)))

    def product(self, job: sqlite3.Row, name: str) -> Path | None:
        """A file of the job's results, where it is there."""
        if job["folder"] is None or job["expired"]:
            return None
        file = self._results / job["folder"] / name
        return file if file.is_file() else None

    def progress(self, id: str) -> float:
        """Share done of a job that is being scanned."""
        try:
            return float((self._results / id / PROGRESS).read_bytes())
        except (OSError, ValueError):
            return 0.0

    def delete(self, id: str) -> bool:
        """Forgets a job, and removes what no other job needs; whether there was one."""
        gone = {"name": "", "path": None, "sha256": None, "bytes": None, "result": None, "callback": None}
        with self.database.lock:
            with self.database.transaction() as db:
                row = db.execute("SELECT * FROM jobs WHERE id = ? AND state != 'deleted'", (id,)).fetchone()
                if row is None:
                    return False
                update(db, id, state="deleted", finished=time.time(), callback_due=None, **gone)
                unused = self._release(db, [row])
            _remove(unused)
        return True

    def expire(self, before: float) -> int:
        """Removes uploads, pages and masks of jobs that ended before a time (since 1970); how many jobs."""
        with self.database.lock:
            with self.database.transaction() as db:
                rows = db.execute(
                    "SELECT * FROM jobs WHERE result IS NOT NULL AND NOT expired AND finished <= ?", (before,)
                ).fetchall()
                for row in rows:
                    update(db, row["id"], expired=True)
                unused = self._release(db, rows)
                forgotten = time.time() - _REMEMBER_S
                db.execute("DELETE FROM jobs WHERE state = 'deleted' AND finished <= ?", (forgotten,))
            _remove(unused)
        return len(rows)

    # ------------------------------------------------------------------ what the engine does

    def claim(self) -> Claim | None:
        """The job that has waited longest is running from now on; None where none waits.

        One whose content is being scanned for another job goes on waiting for that.
        """
        with self.database.transaction() as db:
            row = db.execute(_LONGEST_WAITING).fetchone()
            if row is None:
                return None
            id = row["id"]
            update(db, id, state="running", started=time.time())
            folder = self._results / id
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        file = self._media / row["sha256"] if row["path"] is None else Path(os.fsdecode(row["path"]))
        # What a path leads to may have changed since it was hashed.
        sha256 = row["sha256"] if row["path"] is None else None
        return Claim(id, file, sha256, bool(row["page"]), bool(row["masks"]), folder)

    def identify(self, id: str, sha256: str | None) -> bool:
        """Takes note of the content of a claimed job; whether it is to be scanned now."""
        with self.database.transaction() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ? AND state = 'running'", (id,)).fetchone()
            if row is None:
                return False
            if sha256 is None:  # the scanner will say what is wrong with it
                return True
            db.execute("UPDATE jobs SET sha256 = ? WHERE id = ?", (sha256, id))
            known = self._known(db, sha256, row["page"], row["masks"])
            if known is not None:
                end(db, row, known)
                return False
            busy = db.execute(
                "SELECT 1 FROM jobs WHERE state = 'running' AND sha256 = ? AND id != ?", (sha256, id)
            ).fetchone()
            if busy is not None:
                update(db, id, state="queued", started=None)
            return busy is None

    def is_running(self, id: str) -> bool:
        """Whether somebody waits for the end of this scan."""
        return bool(self.database.rows("SELECT 1 FROM jobs WHERE id = ? AND state = 'running'", id))

    def finish(self, claim: Claim, report: Report) -> int:
        """Keeps a report, and ends every job that waited for it; how many did."""
        with self.database.transaction() as db:
            waiting = db.execute(
                "SELECT * FROM jobs WHERE (id = ? AND state = 'running') "
                "OR (state = 'queued' AND sha256 = ? AND page <= ? AND masks <= ?)",
                (claim.id, report.input.sha256, claim.page, claim.masks),
            ).fetchall()
            if not waiting:
                return 0
            page, masks = ((claim.folder / name).is_file() for name in (PAGE, MASKS))
            result = insert(
                db,
                "results",
                sha256=report.input.sha256,
                fingerprint=self._fingerprint,
                label=report.verdict.label,
                score=report.verdict.score,
                headline=headline(report),
                error_code=report.error.code if report.error else None,
                page=page,
                masks=masks,
                folder=claim.id if page or masks else None,
                report=zlib.compress(dumps(report).encode()),
            )
            for row in waiting:
                end(db, row, result, "failed" if report.error else "done")
            # Where a path was scanned before its content was known elsewhere.
            db.execute(
                "UPDATE jobs SET bytes = ifnull(bytes, ?) WHERE result = ?", (report.input.bytes, result)
            )
            (claim.folder / PROGRESS).unlink(missing_ok=True)
        return len(waiting)

    def requeue(self, ids: Sequence[str]) -> None:
        """Puts jobs that are running back to where they waited."""
        with self.database.transaction() as db:
            for id in ids:
                if _job(db, id)["state"] == "running":
                    update(db, id, state="queued", started=None)

    def drop(self, claim: Claim) -> None:
        """Removes the folder of a claim whose report nobody waits for, or that holds nothing."""
        with self.database.transaction() as db:
            if db.execute("SELECT 1 FROM results WHERE folder = ?", (claim.id,)).fetchone() is None:
                shutil.rmtree(claim.folder, ignore_errors=True)

    # ------------------------------------------------------------------

    def _known(self, db: sqlite3.Connection, sha256: str | None, page: bool, masks: bool) -> int | None:
        """The result that this content has already; what could not be scanned is tried again."""
        row = db.execute(
            "SELECT id FROM results WHERE sha256 = ? AND fingerprint = ? AND error_code IS NULL "
            "AND page >= ? AND masks >= ? ORDER BY id DESC LIMIT 1",
            (sha256, self._fingerprint, page, masks),
        ).fetchone()
        return None if row is None else int(row["id"])

    def _release(self, db: sqlite3.Connection, jobs: Sequence[sqlite3.Row]) -> list[Path]:
        """Removes the results that only these jobs needed; the files and folders that are to go as well."""
        unused: list[Path] = []
        for job in jobs:
            live = "SELECT count(*) FROM jobs WHERE result = ?"
            if job["result"] is not None:
                (folder,) = db.execute("SELECT folder FROM results WHERE id = ?", (job["result"],)).fetchone()
                if not count(db, f"{live} AND NOT expired", job["result"]):
                    db.execute(
                        "UPDATE results SET folder = NULL, page = 0, masks = 0 WHERE id = ?", (job["result"],)
                    )
                    if folder is not None:
                        unused.append(self._results / folder)
                if not count(db, live, job["result"]):
                    db.execute("DELETE FROM results WHERE id = ?", (job["result"],))
            if job["path"] is None and job["sha256"] is not None:
                users = "SELECT count(*) FROM jobs WHERE sha256 = ? AND path IS NULL AND NOT expired"
                if not count(db, users, job["sha256"]):
                    unused.append(self._media / job["sha256"])
        return unused

    def _clear_up(self) -> None:
        """What an earlier process left undone."""
        with self.database.transaction() as db:
            for (id,) in db.execute("SELECT id FROM jobs WHERE state = 'running'").fetchall():
                update(db, id, state="queued", started=None)
            used = (
                "SELECT DISTINCT sha256 FROM jobs WHERE path IS NULL AND NOT expired AND state != 'deleted'"
            )
            media = {sha256 for (sha256,) in db.execute(used)}
            folders = {name for (name,) in db.execute("SELECT folder FROM results")}
        for place, wanted in ((self.uploads, set()), (self._media, media), (self._results, folders)):
            _remove(entry for entry in place.iterdir() if entry.name not in wanted)


def _job(db: sqlite3.Connection, id: str) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
    return row


def _remove(entries: Iterable[Path]) -> None:
    for entry in entries:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Lets a new name in a folder reach the disk, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

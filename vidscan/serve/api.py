"""The HTTP interface for programs: jobs in, reports out."""

from __future__ import annotations

import io
import os
import sqlite3
from pathlib import Path
from typing import Annotated

from fastapi import Path as InPath
from fastapi import Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from vidscan import __version__
from vidscan.errors import InputError, NotFoundError
from vidscan.media.sniff import display_name, sniff
from vidscan.report.json import JsonWriter
from vidscan.serve import pages
from vidscan.serve.callbacks import is_allowed
from vidscan.serve.metrics import CONTENT_TYPE
from vidscan.serve.models import Health, Job, JobList, JobOptions, PathJob
from vidscan.serve.problems import RefusedError
from vidscan.serve.rows import NewJob
from vidscan.serve.service import Service
from vidscan.serve.store import MASKS, PAGE
from vidscan.serve.uploads import receive_json, receive_upload
from vidscan.types import Report

_JobId = Annotated[str, InPath(pattern="^[0-9a-f]{32}$", description="As POST /v1/jobs gave it.")]


class Api:
    """The paths over one service; :func:`create_app` mounts them."""

    def __init__(self, service: Service) -> None:
        self._service, self._settings, self._store = service, service.settings, service.store
        self._arriving = 0
        """Uploads under way; the event loop's thread counts them."""

    async def create(self, request: Request, response: Response) -> Job:
        """Scan a file: an upload (multipart/form-data, streamed), or one that the server can read (JSON).

        The answer comes as soon as the job is safely kept. Content that was scanned before, with the same
        models and settings, is not scanned again: the job is done at once.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if await run_in_threadpool(self._store.waiting) + self._arriving >= self._settings.max_queue:
            raise RefusedError(
                503, "queue_full", "too many jobs wait", {"Retry-After": "30", "Connection": "close"}
            )
        self._arriving += 1
        try:
            if kind == "multipart/form-data":
                new = await self._upload(request)
            elif kind == "application/json":
                asked = await receive_json(request, PathJob, self._settings.patience_s)
                new = await run_in_threadpool(self._path, asked)
            else:
                raise RefusedError(
                    415, "bad_type", "send multipart/form-data with a file, or application/json"
                )
            try:
                id = await run_in_threadpool(self._store.add, new)
            except BaseException:
                if new.upload is not None:
                    new.upload.unlink(missing_ok=True)
                raise
        finally:
            self._arriving -= 1
        self._service.runner.wake()
        self._service.callbacks.wake()
        if new.upload is not None:
            self._service.metrics.uploaded(new.bytes or 0)
        response.headers["Location"] = f"/v1/jobs/{id}"
        return await run_in_threadpool(self._job, id)

    def get(self, id: _JobId) -> Job:
        """How far a job is."""
        return self._job(id)

    def list(
        self,
        since: Annotated[int, Query(ge=0, lt=1 << 62, description="The next of an earlier answer.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000, description="Jobs in one answer.")] = 100,
    ) -> JobList:
        """What changed since an earlier answer; all jobs without one."""
        rows = self._store.changes(since, limit)
        known = {row["id"] for row in rows}
        rows_now = rows + [row for row in self._store.running() if row["id"] not in known]
        return JobList(
            jobs=[self._service.view(row) for row in rows_now if row["state"] != "deleted"],
            deleted=[row["id"] for row in rows if row["state"] == "deleted"],
            next=rows[-1]["change"] if rows else since,
            more=len(rows) == limit,
        )

    def delete(self, id: _JobId) -> Response:
        """Forget a job: a scan under way is ended, and its file and results are removed."""
        if not self._store.delete(id):
            raise _no_job()
        self._service.runner.wake()
        return Response(status_code=204)

    def report(self, id: _JobId) -> Response:
        """The report, as `vidscan check --json` prints it."""
        out = io.StringIO()
        JsonWriter(out).write(self._report(id))
        return Response(out.getvalue(), media_type="application/json")

    def page(self, id: _JobId) -> Response:
        """The report as a page for people; without pictures where none were wanted, or they have expired."""
        report, row = self._report(id), self._row(id)
        file = self._store.product(row, PAGE)
        if file is not None:
            text = pages.made_out(file.read_text("utf-8"), report.input.path)
        else:
            from vidscan.report.html import render_html

            text = render_html(report)
        return pages.answer(text, "report.js")

    def masks(self, id: _JobId) -> Response:
        """The masks as a ZIP file: a picture for every frame with a face, and masks.json."""
        row = self._row(id)
        if row["state"] in ("queued", "running"):
            raise _unfinished()
        file = self._store.product(row, MASKS)
        if file is None:
            gone = row["expired"]
            raise RefusedError(*(410, "expired", "deleted") if gone else (404, "no_masks", "none were made"))
        headers = {"Content-Disposition": f'attachment; filename="{id}-masks.zip"'}
        return FileResponse(file, media_type="application/zip", headers=headers)

    def health(self, response: Response) -> Health:
        """Whether jobs are being scanned; needs no token."""
        healthy = self._service.runner.healthy
        response.status_code = 200 if healthy else 503
        return Health(status="ok" if healthy else "failing", version=__version__)

    def metrics(self) -> Response:
        """Counts in Prometheus' text format."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def _upload(self, request: Request) -> NewJob:
        settings = self._settings
        got = await receive_upload(request, self._store.uploads, settings.max_upload, settings.patience_s)
        try:
            callback = self._callback(got.options)
        except RefusedError:
            got.file.unlink()
            raise
        return NewJob(
            name=got.name,
            upload=got.file,
            sha256=got.sha256,
            bytes=got.bytes,
            page=got.options.page,
            masks=got.options.masks,
            callback=callback,
        )

    def _path(self, asked: PathJob) -> NewJob:
        # One answer for all there is outside: it tells nobody what lies there.
        outside = RefusedError(403, "not_allowed", "no file under an --allow-root")
        if "\0" in asked.path or not Path(asked.path).is_absolute():
            raise outside
        path = Path(os.path.realpath(asked.path))
        if not any(path.is_relative_to(root) for root in self._settings.roots):
            raise outside
        try:
            sniff(path)
        except NotFoundError as error:
            raise RefusedError(404, error.code, "no such file") from error
        except (InputError, OSError) as error:
            message = str(error).removeprefix(f"{display_name(path)}: ")
            raise RefusedError(415, getattr(error, "code", "unreadable"), message) from error
        callback = self._callback(asked)
        return NewJob(
            name=display_name(path), path=path, page=asked.page, masks=asked.masks, callback=callback
        )

    def _callback(self, options: JobOptions) -> str | None:
        url = options.callback_url
        if url is not None and not is_allowed(url, self._settings.callbacks):
            raise RefusedError(403, "callback_not_allowed", "callback_url: not under an --allow-callback")
        return url

    def _row(self, id: str) -> sqlite3.Row:
        row = self._store.get(id)
        if row is None:
            raise _no_job()
        return row

    def _job(self, id: str) -> Job:
        return self._service.view(self._row(id))

    def _report(self, id: str) -> Report:
        self._row(id)
        report = self._store.report(id)
        if report is None:
            raise _unfinished()
        return report


def _no_job() -> RefusedError:
    return RefusedError(404, "no_job", "there is no such job")


def _unfinished() -> RefusedError:
    return RefusedError(409, "unfinished", "the job is not done yet", {"Retry-After": "2"})

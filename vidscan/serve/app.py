"""The ASGI application: which path leads where, and what a refused request answers."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from vidscan import __version__
from vidscan.serve.api import Api
from vidscan.serve.guard import Guard
from vidscan.serve.models import Health, JobOptions, PathJob, Problem
from vidscan.serve.problems import RefusedError
from vidscan.serve.service import Service
from vidscan.serve.site import Site
from vidscan.types import Report


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in (400, 401, 403, 421, *statuses)}


_FORM = {
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "A video or picture."},
                    **JobOptions.model_json_schema()["properties"],
                },
            }
        },
        "application/json": {"schema": PathJob.model_json_schema()},
    },
    "required": True,
}


def create_app(service: Service) -> Guard:
    """The ASGI application over a service, which runs from start-up to shutdown."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with service:
            yield

    app = FastAPI(
        title="vidscan",
        version=__version__,
        description="Scans video and pictures for manipulated faces.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api, site = Api(service), Site(service, app)
    add = app.add_api_route
    job, refused = "/v1/jobs/{id}", _refusals
    add(
        "/v1/jobs",
        api.create,
        methods=["POST"],
        status_code=202,
        responses=refused(404, 408, 413, 415, 422, 429, 503, 507),
        openapi_extra={"requestBody": _FORM},
    )
    add("/v1/jobs", api.list, methods=["GET"], responses=refused(422))
    add(job, api.get, methods=["GET"], responses=refused(404, 422))
    add(
        job,
        api.delete,
        methods=["DELETE"],
        status_code=204,
        responses=refused(404, 422),
        response_class=Response,
    )
    unready = refused(404, 409, 422)
    add(f"{job}/report", api.report, methods=["GET"], response_model=Report, responses=unready)
    for path, answer, kind, more in (
        (f"{job}/report.html", api.page, "text/html", unready),
        (f"{job}/masks", api.masks, "application/zip", refused(404, 409, 410, 422)),
        ("/metrics", api.metrics, "text/plain", refused()),
    ):
        told: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {}}}}
        add(path, answer, methods=["GET"], response_class=Response, responses=told | more)
    add("/healthz", api.health, methods=["GET"], responses={503: {"model": Health}, 421: {"model": Problem}})
    for path, page, method in (
        ("/", site.queue, "GET"),
        ("/docs", site.docs, "GET"),
        ("/login", site.sign_in, "GET"),
        ("/login", site.signed_in, "POST"),
        ("/logout", site.sign_out, "POST"),
    ):
        add(path, page, methods=[method], include_in_schema=False, response_model=None)

    def refuse(refusal: RefusedError) -> JSONResponse:
        service.metrics.refused(refusal.code)
        return refusal.response()

    @app.exception_handler(RefusedError)
    async def refusal(request: Request, error: RefusedError) -> JSONResponse:
        return refuse(error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        return refuse(
            RefusedError(
                error.status_code, _CODES.get(error.status_code, "refused"), error.detail, error.headers
            )
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return refuse(RefusedError(422, "bad_request", f"{where}: {first['msg']}"))

    @app.exception_handler(sqlite3.OperationalError)
    async def database(request: Request, error: sqlite3.OperationalError) -> JSONResponse:
        return refuse(RefusedError(507, "disk", f"the database cannot be written: {error}"))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return refuse(RefusedError(500, "internal", "an unexpected failure"))

    return Guard(app, service.settings, service.metrics)


_CODES = {404: "not_found", 405: "method_not_allowed"}

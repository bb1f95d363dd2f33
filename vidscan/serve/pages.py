"""The service's own pages, and how a stored report is made out to the file that somebody sent."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from starlette.responses import HTMLResponse

from vidscan.report.page import REPORT, Look, json_block, render_page, security_policy, visible
from vidscan.report.words import LABEL_NAMES
from vidscan.serve.settings import ServeSettings

PLACEHOLDER = "vidscan-placeholder-of-the-name-7c1e0f"
"""Stands in a stored page where the name of the file goes; no character of it is ever escaped."""

LOOK = Look(
    "vidscan.serve", ("page.css", "serve.css"), "connect-src 'self'; form-action 'self'", "same-origin"
)
"""A page of the service may talk to the server that it came from, and says so; nothing else."""

SCRIPT_AND_LOOK = ("serve.js", LOOK)
"""Of all pages of the service: one script, one policy."""

_JSON = '<script type="application/json"'


def made_out(page: str, path: str) -> str:
    """A stored page with the file's name in place of :data:`PLACEHOLDER`."""
    from markupsafe import escape

    head, mark, rest = page.partition(_JSON)
    block, end, tail = rest.partition("</script>")
    name = str(escape(visible(PurePath(path).name or path)))
    inner = str(json_block(json.dumps(path)))[1:-1]
    return "".join(
        (
            head.replace(PLACEHOLDER, name),
            mark,
            block.replace(PLACEHOLDER, inner),
            end,
            tail.replace(PLACEHOLDER, name),
        )
    )


def queue_page(settings: ServeSettings) -> str:
    """The page at the root: files go in, verdicts come out."""
    context = {
        "label_names": LABEL_NAMES,
        "max_upload": settings.max_upload,
        "keep_h": settings.keep_h,
        "signed_in": settings.token is not None,
    }
    return render_page("queue.html.j2", *_with(context))


def login_page(*, wrong: bool) -> str:
    """Where a browser leaves the token; ``wrong`` says that it just left another."""
    return render_page("login.html.j2", *_with({"wrong": wrong}))


def docs_page(openapi: dict[str, Any]) -> str:
    """The HTTP interface for people, from its OpenAPI document."""
    operations = [
        (method.upper(), path, _paragraphs(operation["description"]), operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    models = {
        name: schema
        for name, schema in openapi["components"]["schemas"].items()
        if name in ("Job", "JobList", "Callback", "Problem", "ErrorDetail", "Health")
    }
    return render_page("docs.html.j2", *_with({"operations": operations, "models": models, "kind": _kind}))


def answer(text: str, script: str, look: Look = REPORT, *, status: int = 200) -> HTMLResponse:
    """A page as it goes out: its policy also as a header, which no frame around it can take away."""
    policy = f"{security_policy(script, look)}; frame-ancestors 'none'"
    return HTMLResponse(text, status, headers={"Content-Security-Policy": policy})


def _with(context: dict[str, Any]) -> tuple[str, dict[str, Any], Look]:
    script, look = SCRIPT_AND_LOOK
    return script, context, look


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.replace("`", "").split("\n\n")]


def _kind(schema: dict[str, Any]) -> str:
    """A field's type in words."""
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type") or "anything")

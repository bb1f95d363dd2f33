"""Who may come in: the checks that every request passes before anything else sees it.

Requests that change something are taken from programs and from the service's own page, never from another
site's: browsers say where a request comes from (Fetch Metadata, Origin). Without a token the service answers
to loopback names only, so that no site can make its own name lead here (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidscan.serve.metrics import Metrics
from vidscan.serve.problems import RefusedError
from vidscan.serve.settings import ServeSettings, is_loopback

COOKIE = "vidscan_session"
SESSION_S = 12 * 3600
_OPEN = frozenset({"/healthz", "/login"})
"""What needs no token."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_AWAY_BYTES, _AWAY_S = 1_000_000, 0.5
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # With no-referrer browsers would hide the origin of the service's own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware: host, origin, token, rate, the headers of every answer, and bodies nobody reads."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._allowance = Allowance(settings.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request pass, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        request = HTTPConnection(scope)
        # A client that asks before it sends has sent nothing yet.
        coming = scope["method"] not in _READING and "expect" not in request.headers

        async def taken() -> Message:
            nonlocal coming
            message = await receive()
            coming = message.get("more_body", False)
            return message

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if coming:
                    await _read_away(taken)
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            answer = self._check(request, scope["method"])
        except RefusedError as refusal:
            self._metrics.refused(refusal.code)
            answer = refusal.response()
        await (answer or self._app)(scope, taken, guarded)

    def _check(self, request: HTTPConnection, method: str) -> Response | None:
        host = request.headers.get("host", "")
        if self._settings.token is None and not self._is_ours(host):
            raise RefusedError(421, "wrong_host", "this service does not go by that name: see --allow-host")
        path, client = request.url.path, request.client.host if request.client else ""
        if method not in _READING:
            if not _same_origin(request.headers, host):
                raise RefusedError(403, "cross_site", "requests of other sites are not taken")
            if path in ("/login", "/v1/jobs"):
                self._allowance.take(client)
        if path in _OPEN or self._known(request, client):
            return None
        if method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("login" if path.count("/") == 1 else "/login", 303)
        raise RefusedError(401, "no_token", "a token is needed", {"WWW-Authenticate": "Bearer"})

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._settings.hosts

    def _known(self, request: HTTPConnection, client: str) -> bool:
        token = self._settings.token
        if token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if is_token(given.strip(), token):
                return True
            self._allowance.take(client)  # guessing is slow
        return is_session(request.cookies.get(COOKIE, ""), token)


async def _read_away(receive: Receive) -> None:
    """Takes a little of a body that nobody wants: a client that is still sending would else see its
    connection reset, and not the answer."""

    async def away() -> None:
        size, more = 0, True
        while more and size <= _AWAY_BYTES:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)

    with suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(away(), _AWAY_S)


class Allowance:
    """What one client may do in a minute: a bucket that fills steadily.

    Parameters
    ----------
    rate
        Requests a minute, all of which may come at once.
    """

    _CLIENTS = 10_000

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Counts one request; raises RefusedError where there were too many."""
        now = time.monotonic()
        left, then = self._left.pop(client, (float(self._rate), now))
        left = min(self._rate, left + (now - then) * self._rate / 60)
        self._left[client] = (max(0.0, left - 1), now)
        while len(self._left) > self._CLIENTS:
            self._left.popitem(last=False)
        if left < 1:
            wait = str(max(1, round(60 / self._rate)))
            raise RefusedError(429, "too_many", "too many requests from one client", {"Retry-After": wait})


def is_token(given: str, token: str) -> bool:
    """Whether this is the token, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode(), token.encode())


def new_session(token: str) -> str:
    """What the page's cookie holds: not the token, but what only its owner can make."""
    return _session(token, int(time.time()) + SESSION_S)


def is_session(given: str, token: str) -> bool:
    """Whether this cookie was made with the token, not too long ago."""
    until = given.partition(".")[0]
    if not (until.isascii() and until.isdecimal()) or len(until) > 12 or int(until) < time.time():
        return False
    return hmac.compare_digest(given.encode(), _session(token, int(until)).encode())


def _session(token: str, until: int) -> str:
    signature = hmac.new(token.encode(), f"vidscan session until {until}".encode(), hashlib.sha256)
    return f"{until}.{signature.hexdigest()}"


def _same_origin(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host

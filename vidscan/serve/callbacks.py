"""Callbacks: a finished job is sent to an allowed address, signed, and again until it is taken.

An address is allowed by prefix; what its name resolves to is looked up once for each try, has to be public
(unless private addresses are allowed), and is what gets connected to, so that a name which changes its mind
leads nowhere. Redirects and proxies are not followed, and no answer is read.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import SplitResult, urlsplit

import httpx

from vidscan.serve.database import Database
from vidscan.serve.metrics import Metrics
from vidscan.serve.settings import ServeSettings

SIGNATURE = "X-Vidscan-Signature"
TIMEOUT_S = 10.0
DELAYS_S = (10, 60, 300, 1800, 7200, 28800)
"""After each failed try; when they are used up the callback is given up."""
_AT_ONCE = 4

_log = logging.getLogger(__name__)


class ForbiddenAddressError(Exception):
    """A callback that would lead where none may."""


def is_allowed(url: str, allowed: Iterable[str]) -> bool:
    """Whether a callback's address is under one of those the operator named."""
    try:
        given = urlsplit(url)
        origin = _origin(given)
    except ValueError:
        return False
    # Whatever urlsplit and the HTTP client may read differently has no place in an address.
    plain = url.isascii() and url.isprintable() and not any(c in url for c in ' \\"<>@#')
    if not plain or origin[0] not in ("http", "https") or not origin[1]:
        return False
    if ".." in given.path or "%2e" in given.path.lower():
        return False
    for prefix in map(urlsplit, allowed):
        base = prefix.path if prefix.path.endswith("/") else prefix.path + "/"
        if origin == _origin(prefix) and (given.path == prefix.path or (given.path or "/").startswith(base)):
            return True
    return False


def public_address(host: str, port: int) -> str:
    """An address of ``host`` that is open to the public.

    Raises
    ------
    ForbiddenAddressError
        Any of its addresses is not.
    OSError
        It has none.
    """
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for text in found:
        if not is_public(text):
            raise ForbiddenAddressError(f"{host} is {text}, which is not public")
    return found[0]


def is_public(text: str) -> bool:
    """Whether an address is open to the public, also where one of IPv4 is wrapped into one of IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast and not address.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def sign(body: bytes, secret: str, now: int) -> str:
    """The signature header: ``t=SECONDS,v1=HMAC-SHA256`` over ``SECONDS.BODY``, in hexadecimal."""
    digest = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={digest}"


class Callbacks:
    """The thread that delivers what is due.

    Parameters
    ----------
    settings
        Who may be called, and with what signature.
    database
        Where the callbacks of jobs are kept.
    describe
        A finished job's body, by its id; None where the job is gone.
    metrics
        Counts tries.
    """

    def __init__(
        self,
        settings: ServeSettings,
        database: Database,
        describe: Callable[[str], bytes | None],
        metrics: Metrics,
    ) -> None:
        self._settings, self._database, self._describe, self._metrics = settings, database, describe, metrics
        self._news, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)

    def start(self) -> None:
        """Begins with what is due."""
        self._thread.start()

    def wake(self) -> None:
        """Says that a job ended."""
        self._news.set()

    def stop(self) -> None:
        """Ends after the tries under way."""
        self._stopping = True
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        # The environment's proxies would be asked to resolve the name once more.
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
            while not self._stopping:
                self._news.clear()
                try:
                    due = self._database.rows(
                        "SELECT id, callback, callback_tries FROM jobs WHERE callback_due <= ? "
                        f"ORDER BY callback_due LIMIT {10 * _AT_ONCE}",
                        time.time(),
                    )
                    list(pool.map(lambda row: self._try(client, *row), due))
                    patience = 0.0 if due else self._patience()
                except sqlite3.Error as error:  # a full disk
                    _log.error("callbacks wait: %s", error)
                    patience = float(DELAYS_S[0])
                self._news.wait(patience)

    def _patience(self) -> float:
        """Seconds until the next is due, a minute at most."""
        ((due,),) = self._database.rows("SELECT min(callback_due) FROM jobs WHERE callback_due IS NOT NULL")
        return 60.0 if due is None else min(60.0, max(0.05, due - time.time()))

    def _try(self, client: httpx.Client, id: str, url: str, tries: int) -> None:
        body = self._describe(id)
        if body is None:
            return
        try:
            outcome = "delivered" if self._deliver(client, url, body, id) else "failed"
        except ForbiddenAddressError as error:
            _log.warning("callback of %s: %s", id, error)
            outcome, tries = "forbidden", len(DELAYS_S)
        except Exception as error:  # whatever it is, it must not keep others from their callbacks
            _log.info("callback of %s: %s: %s", id, type(error).__name__, error)
            outcome = "failed"
        self._metrics.called(outcome)
        state, due = "delivered", None
        if outcome != "delivered":
            again = tries < len(DELAYS_S)
            state, due = ("waiting", time.time() + DELAYS_S[tries]) if again else ("given_up", None)
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET callback_state = ?, callback_due = ?, callback_tries = callback_tries + 1 "
                "WHERE id = ? AND state != 'deleted'",
                (state, due, id),
            )

    def _deliver(self, client: httpx.Client, url: str, body: bytes, id: str) -> bool:
        """Whether the job was taken."""
        # The operator may have taken an address away since the job was accepted.
        if not is_allowed(url, self._settings.callbacks):
            raise ForbiddenAddressError(f"{url} is not allowed")
        parts = urlsplit(url)
        host, port = _origin(parts)[1:]
        address = host if self._settings.private_callbacks else public_address(host, port)
        target = parts._replace(netloc=f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
        headers = {
            "Content-Type": "application/json",
            "Host": parts.netloc,
            "User-Agent": "vidscan",
            "X-Vidscan-Job": id,
            SIGNATURE: sign(body, self._settings.callback_secret or "", int(time.time())),
        }
        # The certificate has to be the name's, not the address's.
        extensions = {"sni_hostname": host}
        with client.stream(
            "POST", target.geturl(), content=body, headers=headers, extensions=extensions
        ) as answer:
            return answer.is_success


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port

"""Runs a service over HTTP until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from vidscan.batch.local import LocalEngine
from vidscan.errors import SetupError
from vidscan.serve.app import create_app
from vidscan.serve.service import Service
from vidscan.serve.settings import ServeSettings

_GRACE_S = 5
"""For answers under way when the server is told to stop."""
_KEEP_ALIVE_S = 75
"""Longer than proxies keep a connection: they would send a request just as it is closed."""
_CONNECTIONS = 1000


def run(
    settings: ServeSettings,
    make_engine: Callable[[], LocalEngine],
    *,
    host: str,
    port: int,
    proxy: str | None = None,
    access_log: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serves until a signal comes.

    Parameters
    ----------
    settings, make_engine
        See :class:`vidscan.serve.service.Service`.
    host, port
        Where to listen; port 0 is any that is free.
    proxy
        Addresses, with commas between, whose ``X-Forwarded-For`` and ``-Proto`` are believed.
    access_log
        Log every request.
    ready
        Called with the address once it is listened at.

    Raises
    ------
    SetupError
        The address cannot be had, or the service cannot start.
    """
    listener = listen(host, port)
    with listener:
        server = make_server(Service(settings, make_engine), proxy=proxy, access_log=access_log)
        name, number = listener.getsockname()[:2]
        ready(f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}")
        server.run(sockets=[listener])


def make_server(service: Service, *, proxy: str | None = None, access_log: bool = False) -> uvicorn.Server:
    """A server of a service, to be run on sockets; see :func:`run`."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(service),
            log_level="info" if access_log else "warning",
            access_log=access_log,
            server_header=False,
            proxy_headers=proxy is not None,
            forwarded_allow_ips=proxy or "",
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
            limit_concurrency=_CONNECTIONS,
            ws="none",
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises
    ------
    SetupError
        The address cannot be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise SetupError(f"cannot listen on {host} port {port}: {why}") from error

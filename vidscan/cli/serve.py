"""``vidscan serve``: the scanner as an HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidscan.cli import options
from vidscan.cli.console import say
from vidscan.cli.failures import UsageError
from vidscan.cli.scan import MAX_MEMORY_MB, TIMEOUT_S, Jobs, MaxMemory, Timeout
from vidscan.errors import lacking

if TYPE_CHECKING:
    from vidscan.batch.local import LocalEngine

_MAX_UPLOAD_MB = 2000


@options.scans(*options.FOR_VERDICTS)
def serve(
    run: options.Run,
    host: Annotated[
        str, typer.Option(envvar="VIDSCAN_HOST", metavar="ADDRESS", help="Where to listen.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar="VIDSCAN_PORT", min=0, max=65535, metavar="N", help="Port (0: any free one)."),
    ] = 8765,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="VIDSCAN_DATA",
            metavar="DIR",
            file_okay=False,
            show_default="the user's data folder",
            help="Where jobs, uploads and results are kept.",
        ),
    ] = None,
    jobs: Jobs = 0,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VIDSCAN_TOKEN_FILE",
            metavar="FILE",
            help="Holds the token that clients need; required beyond this machine.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Without a token: a further name clients use; may be repeated."),
    ] = None,
    allow_root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            exists=True,
            help="Clients may name files in here; may be repeated.",
        ),
    ] = None,
    allow_callback: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Results may be sent to addresses below this; may be repeated."),
    ] = None,
    callback_secret_file: Annotated[
        Path | None,
        typer.Option(envvar="VIDSCAN_CALLBACK_SECRET_FILE", metavar="FILE", help="Signs what is sent."),
    ] = None,
    allow_private_callbacks: Annotated[
        bool, typer.Option("--allow-private-callbacks", help="Callbacks may go to private addresses.")
    ] = False,
    keep: Annotated[
        float,
        typer.Option(
            envvar="VIDSCAN_KEEP",
            min=0,
            metavar="HOURS",
            help="Delete uploads, pages and masks so long after the scan.",
        ),
    ] = 24.0,
    max_upload: Annotated[
        int, typer.Option(envvar="VIDSCAN_MAX_UPLOAD", min=1, metavar="MB", help="Largest upload.")
    ] = _MAX_UPLOAD_MB,
    max_queue: Annotated[
        int, typer.Option(envvar="VIDSCAN_MAX_QUEUE", min=1, metavar="N", help="Jobs that may wait.")
    ] = 1000,
    rate: Annotated[
        int,
        typer.Option(envvar="VIDSCAN_RATE", min=1, metavar="N", help="Jobs a client may send in a minute."),
    ] = 600,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request on stderr.")] = False,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Believe what this proxy says of clients (X-Forwarded-For, -Proto)."
        ),
    ] = None,
    timeout: Timeout = TIMEOUT_S,
    max_memory: MaxMemory = MAX_MEMORY_MB,
) -> None:
    """Offer scanning as an HTTP service, with a page to drop files on.

    Jobs are kept in --data and survive any end of the server. It listens on this machine only, unless a
    token is given. /docs describes the interface.
    """
    from vidscan.serve.settings import ServeSettings, is_loopback, read_secret

    if token_file is None and not is_loopback(host):
        raise UsageError(f"--host {host} can be reached from other machines: it needs --token-file FILE")
    callbacks = tuple(allow_callback or ())
    for url in callbacks:
        if not url.startswith(("https://", "http://")):
            raise UsageError(f"--allow-callback {url}: begins with https:// or http://")
    if callbacks and callback_secret_file is None:
        raise UsageError("--allow-callback needs --callback-secret-file FILE")
    secret = None
    if callback_secret_file is not None:
        secret = read_secret(callback_secret_file, "--callback-secret-file")
    settings = ServeSettings(
        data=(data or data_folder()).absolute(),
        token=read_secret(token_file, "--token-file") if token_file else None,
        hosts=frozenset(name.lower() for name in allow_host or ()),
        roots=tuple(root.resolve() for root in allow_root or ()),
        callbacks=callbacks,
        callback_secret=secret,
        private_callbacks=allow_private_callbacks,
        keep_h=keep,
        max_upload=max_upload * 1_000_000,
        max_queue=max_queue,
        rate=rate,
    )
    try:
        from vidscan.serve import server
    except ImportError as error:
        raise UsageError(lacking("serve needs more packages", "serve")) from error
    from vidscan.batch.engine import ScannerSpec

    spec = ScannerSpec(
        settings=run.settings(), device=run.device, factory="vidscan.serve.scanner:ServiceScanner"
    )

    def make_engine() -> LocalEngine:
        from vidscan.batch.local import LocalEngine

        return LocalEngine(spec, jobs=jobs, timeout_s=timeout, max_memory=max_memory * 1_000_000)

    def ready(url: str) -> None:
        say(f"vidscan: {url} (jobs in {settings.data})", quiet=run.quiet)

    server.run(settings, make_engine, host=host, port=port, proxy=proxy, access_log=access_log, ready=ready)


def data_folder() -> Path:
    """Where jobs are kept unless told otherwise, beside what else vidscan keeps for a user."""
    from vidscan.paths import user_folder

    return user_folder() / "serve"

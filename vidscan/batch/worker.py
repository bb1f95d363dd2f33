"""The worker process: one scanner, one file at a time.

This module must stay light: it is imported in the fresh process before the number of threads
is set, which numerical libraries read when they load. Messages are JSON both ways, so that whoever takes
over a worker through a decoder's bug can send its parent nothing but text.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from vidscan.batch.remote import sweep
from vidscan.machine import end_with_parent

if TYPE_CHECKING:
    from vidscan.batch.engine import Identity, ScannerSpec
    from vidscan.batch.fetch import Fetched
    from vidscan.types import Report

THREADS = 1
"""Threads of a worker's numerical libraries, always: sums over more threads add up in another
order, and a report must not depend on ``--jobs``. Files in parallel beat threads in parallel."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def work(connection: Connection, spec_text: str) -> None:
    """Makes the scanner, then does as it is told until the pipe closes.

    Sends ``["ready", identity]`` or ``["failed", code, message]`` once. Answers
    ``["fetch", path, sha256 or null]`` with ``["fetched", sha256 or null]``, and ``["scan"]``, which is
    about the file fetched last and may bring options for the scanner, with ``["report", report]``.
    """
    _settle()

    from vidscan.batch.engine import Identity, ScannerSpec
    from vidscan.errors import VidscanError

    def send(*message: Any) -> None:
        connection.send_bytes(json.dumps(message).encode())

    spec = ScannerSpec.from_json(spec_text)
    try:
        scanner = spec.make_scanner()
    except VidscanError as error:
        send("failed", error.code, str(error))
        return
    except Exception as error:
        if os.environ.get("VIDSCAN_DEBUG") == "1":
            raise
        send("failed", VidscanError.code, f"no scanner: {type(error).__name__}: {error}")
        return
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(THREADS)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(THREADS)

    from vidscan.batch.fetch import fetch
    from vidscan.report.json import dumps

    forensics = bool(spec.options.get("forensics"))
    identity = Identity(scanner.settings, scanner.device, tuple(scanner.models), forensics)
    send("ready", identity.to_json())
    held: Fetched | None = None
    while True:
        try:
            word, *rest = json.loads(connection.recv_bytes())
        except EOFError:
            word = "end"
        if word != "scan" and held is not None:
            held.release()
            held = None
        if word == "fetch":
            held = fetch(rest[0], rest[1], spec.max_download)
            send("fetched", held.sha256)
        elif word == "scan" and held is not None:
            send("report", dumps(_scan(scanner, held, spec, identity, *rest)))
        else:
            return


def _scan(
    scanner: Any, held: Fetched, spec: ScannerSpec, identity: Identity, options: dict[str, Any] | None = None
) -> Report:
    """The report of the fetched file, under the name that it has for the batch."""
    from vidscan.batch.results import renamed

    try:
        if held.error is not None:
            raise held.error
        report: Report = scanner.scan(held.path, sha256=held.sha256, **(options or {}))
    except Exception as error:  # the scanner promises not to; one bad file must not end a batch
        return spec.make_error_report(held.location, error, identity)
    return report if held.location == held.path else renamed(report, held.location)


def _settle() -> None:
    """Makes this process one that may be lost without a trace."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent(lambda: sweep(os.getpid()))
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(THREADS)
    # Standard output is for reports, and only the parent writes those. What decoders say of a file may
    # quote it, and a file may hold what steers a terminal.
    if os.environ.get("VIDSCAN_DEBUG") == "1":
        os.dup2(2, 1)
    else:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    with suppress(OSError, ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where memory runs out, Linux is to end a worker and not the parent.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - stay light
        score.write("800")

"""The worker process: one scanner, one file at a time.

This module must stay light: it is imported in the fresh process before the number of threads
is set, which numerical libraries read when they load.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

THREADS = 1
"""Threads of a worker's numerical libraries, always: sums over more threads add up in another
order, and a report must not depend on ``--jobs``. Files in parallel beat threads in parallel."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def work(connection: Connection, spec_text: str) -> None:
    """Makes the scanner, then answers each path with its report until the pipe closes.

    Sends ``("ready", Identity)`` or ``("failed", (code, message))`` once, then a Report a path.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(THREADS)
    # Standard output is for reports, and only the parent writes those.
    os.dup2(2, 1)

    from vidscan.batch.engine import Identity, ScannerSpec
    from vidscan.errors import VidscanError

    spec = ScannerSpec.from_json(spec_text)
    try:
        scanner = spec.make_scanner()
    except VidscanError as error:
        connection.send(("failed", (error.code, str(error))))
        return
    except Exception as error:
        if os.environ.get("VIDSCAN_DEBUG") == "1":
            raise
        connection.send(("failed", (VidscanError.code, f"no scanner: {type(error).__name__}: {error}")))
        return
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(THREADS)

    identity = Identity(scanner.settings, scanner.device, tuple(scanner.models))
    connection.send(("ready", identity))
    while True:
        try:
            path = connection.recv()
        except EOFError:
            return
        try:
            report = scanner.scan(path)
        except Exception as error:  # the scanner promises not to; one bad file must not end a batch
            report = spec.make_error_report(path, error, identity)
        connection.send(report)


def _die_with_parent() -> None:
    """Ends this process when the parent is gone, however it went, even amid a scan."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

"""One worker process as its parent sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vidscan.batch.engine import ScannerSpec
from vidscan.batch.remote import sweep
from vidscan.batch.worker import work


class WorkerProcess:
    """Starts a worker at once; see :func:`vidscan.batch.worker.work` for what it understands.

    Attributes
    ----------
    connection : multiprocessing.connection.Connection
        Readable when the worker has something to say, or is gone.
    pid : int
    """

    def __init__(self, spec: ScannerSpec) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, spec.to_json()), daemon=True)
        with interrupts_held():
            self._process.start()
        theirs.close()  # so that the worker's end closes with the worker
        self.pid = self._process.pid or 0

    def send(self, *message: Any) -> None:
        """Says something to the worker; what it no longer hears is lost."""
        with suppress(OSError):
            self.connection.send_bytes(json.dumps(message).encode())

    def receive(self) -> list[Any] | None:
        """The worker's next message, waiting for it; None where it is gone, or out of its mind."""
        try:
            message = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError, ValueError):
            return None
        return message if isinstance(message, list) and message else None

    def resident(self) -> int:
        """Bytes of memory that the worker holds; 0 where that cannot be told."""
        return resident_bytes(self.pid)

    def death(self) -> str:
        """How the worker, which is gone, ended."""
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            return "the scanning process talks nonsense"
        if code >= 0:
            return f"the scanning process died (exit status {code})"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", perhaps for want of memory" if code == -getattr(signal, "SIGKILL", 9) else ""
        return f"the scanning process died ({name}{hint})"

    def kill(self) -> None:
        """Ends the worker, whatever it is at, and clears away what it leaves."""
        self.connection.close()
        self._process.kill()
        self._process.join()
        sweep(self.pid)


def resident_bytes(pid: int) -> int:
    """Resident set of a process in bytes; 0 where the system does not tell (Windows)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    if sys.platform == "darwin":
        listed = subprocess.run(["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=False)
        with suppress(ValueError):
            return int(listed.stdout) * 1024
    return 0


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Processes started inside never see Ctrl-C; this one sees it when it leaves."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # A blocked signal stays blocked in what is started; a handler would not be inherited, and ignoring the
    # signal would lose one that comes now. The handler is for signals that another thread is given.
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    block = getattr(signal, "pthread_sigmask", None)
    mask = block(signal.SIG_BLOCK, {signal.SIGINT}) if block else None
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if block:
            block(signal.SIG_SETMASK, mask)
        if came:
            signal.raise_signal(signal.SIGINT)

"""How a run ends: exit codes, and one line on stderr in place of a traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from vidscan.errors import SetupError, VidscanError

OK = 0
MANIPULATED = 1
"""A verdict, and only a verdict, says so."""
USAGE = 2
"""Usage, bad configuration, missing weights."""
FAILED = 3
"""An input could not be scanned, or an unexpected failure."""
INTERRUPTED = 130
TERMINATED = 143
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
CLOSED_PIPE = 141
"""What a shell shows for a program that SIGPIPE ended."""

# Typer vendors click in some versions and imports it in others; this is the base either way.
_ClickException = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class UsageError(SetupError):
    """The command line does not make sense."""

    code = "usage"


class _Terminated(KeyboardInterrupt):
    """Somebody asked the process to end: like Ctrl-C, but for the exit code."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Unfinished files are cleared away when the process is asked to end, too."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def guard(body: Callable[[], None]) -> int:
    """Runs a command and turns however it ends into an exit code."""
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # A character that the terminal's encoding lacks must not end the run.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            with _terminable():
                code = _attempt(body)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_stdout()
        return CLOSED_PIPE
    except OSError as error:  # a full disk, in the body or at the flush
        _drop_stdout()
        return _fail("internal", f"cannot write the output: {error.strerror}", FAILED)


def _attempt(body: Callable[[], None]) -> int:
    try:
        body()
        return OK
    except typer.Exit as exit:
        return exit.exit_code
    except _Terminated:
        return TERMINATED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and error.errno in _FULL:  # standard output has no name
            raise
        return _unexpected(error)
    except SetupError as error:
        return _fail(error.code, str(error), USAGE)
    except VidscanError as error:
        return _fail(error.code, str(error), FAILED)
    except SystemExit as exit:  # a library gave up; its 1 must not pass for a verdict
        return _fail("internal", f"ended by exit({exit.code})", FAILED)
    except Exception as error:
        if isinstance(error, _ClickException):
            message: str = error.format_message()  # type: ignore[attr-defined]
            return _fail("usage", message.replace("Value error, ", ""), USAGE)
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    hint = "" if _debugging() else " (VIDSCAN_DEBUG=1 shows where)"
    return _fail("internal", f"{type(error).__name__}: {error}{hint}", FAILED)


def _fail(code: str, message: str, exit_code: int) -> int:
    """Says what went wrong, in one line that cannot steer a terminal."""
    if _debugging():
        traceback.print_exc()
    line = " ".join(message.split())
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    print(f"vidscan: error[{code}]: {safe}", file=sys.stderr)
    return exit_code


def _debugging() -> bool:
    return os.environ.get("VIDSCAN_DEBUG") == "1"


def _drop_stdout() -> None:
    """Sends what Python still wants to flush at its end to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

"""A lock file that the operating system lets go of when its process ends, however it ends."""

from __future__ import annotations

import os
from pathlib import Path

from vidscan.errors import SetupError


class FileLock:
    """Keeps a second process away; not for threads of one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Takes the lock or fails at once.

        Raises
        ------
        SetupError
            Where another process holds it, or it cannot be made.
        """
        while self._fd is None:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise SetupError(f"cannot write in {self.path.parent}: {error.strerror}") from error
            try:
                _lock(fd)
            except OSError as error:
                os.close(fd)
                results = self.path.with_suffix("")
                raise SetupError(f"another process is writing {results}") from error
            if _is_still(fd, self.path):
                self._fd = fd
            else:  # its last owner removed it between our open and our lock
                os.close(fd)

    def release(self) -> None:
        """Gives the lock back and removes its file."""
        if self._fd is not None:
            if os.name == "posix":  # Windows removes no open file
                self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None


def _lock(fd: int) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


def _is_still(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False

"""The one door through which files are written: they appear under their name whole, or not at all.

A file is made under a hidden name beside its target, reaches the disk, and then takes the target's place in
one step. Whoever reads meanwhile sees the old file or the new one; a full disk costs the new one only.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

PathLike = str | os.PathLike[str]


class Replacement:
    """A file that is being written; a context manager that commits on a clean exit only.

    Parameters
    ----------
    target
        The file to make or replace. A symbolic link stays one: what it points to is replaced. Where a file
        is replaced, the new one has its permissions.
    private
        A new file is readable by its owner only.
    parents
        Make the folder where it is missing.

    Attributes
    ----------
    path
        Where to write until then; it has the suffix of the target.

    Raises
    ------
    OSError
        The target is a folder, a device or a file without write permission; its name is too long.
    """

    def __init__(self, target: PathLike, *, private: bool = False, parents: bool = False) -> None:
        path = Path(target)
        self._target = path.resolve() if path.is_symlink() else path
        self._private = private
        self._mode = _mode(self._target)
        self.path = self._target.with_name(f".{secrets.token_hex(8)}.part{self._target.suffix}")
        if parents:
            self._target.parent.mkdir(parents=True, exist_ok=True)

    def open(self, mode: str = "wb", **options: Any) -> IO[Any]:
        """Open the hidden file for writing, as :func:`open` does."""
        opener = _private_opener if self._private else None
        return open(self.path, mode, opener=opener, **options)

    def commit(self) -> None:
        """Put the hidden file, which is closed by now, in the target's place."""
        try:
            with open(self.path, "rb+") as file:  # noqa: PTH123
                os.fsync(file.fileno())
            if self._mode is not None:
                self.path.chmod(self._mode)
            self.path.replace(self._target)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave the target as it is."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abandon()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, making its folder where it is missing."""
    with Replacement(path, parents=True) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _mode(target: Path) -> int | None:
    """Permissions of the file that is there; None where there is none."""
    try:
        status = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(target))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(target))
    if not os.access(target, os.W_OK):
        # A new file may take its place, but whoever withdrew the permission meant it to stay.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(target))
    return stat.S_IMODE(status.st_mode)


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

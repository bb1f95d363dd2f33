"""Files in object storage, through fsspec: listed, and brought here one at a time.

The scheme of a URL chooses fsspec's driver (``s3://`` needs s3fs, ``gs://`` gcsfs, and so on). Decoders
never see a URL: they are given a whole local copy.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from vidscan.errors import InputError, NotFoundError, SetupError, TooLargeError, UnreadableError, lacking

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile(os.PathLike[str]):
    """A file that a URL names; a path like any other to what only reports it."""

    url: str

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.url).name


def is_remote(text: str) -> bool:
    """Whether ``text`` is a URL (``scheme://...``) and not a path."""
    return _URL.match(text) is not None


def list_files(url: str, *, recursive: bool = True) -> list[tuple[RemoteFile, str]]:
    """The files below a remote folder, each with its path relative to it; a file is its own list.

    Raises
    ------
    SetupError
        No driver for this scheme is installed, or the storage cannot be listed.
    """
    system, root = _open_system(url)
    try:
        if not system.isdir(root):
            return [(RemoteFile(url), PurePosixPath(url).name)]
        found = system.find(root, maxdepth=None if recursive else 1)
    except Exception as error:  # every driver has exceptions of its own
        raise SetupError(f"cannot list {url}: {type(error).__name__}: {error}") from error
    base = root.rstrip("/") + "/"
    names = [path.removeprefix(base) for path in found]
    return [(RemoteFile(f"{url.rstrip('/')}/{name}"), name) for name in names]


def download(url: str, max_bytes: int) -> tuple[Path, str]:
    """Copies a remote file to a temporary one; its path and the sha256 of its content.

    The file's name begins so that :func:`sweep` of this process finds it.

    Raises
    ------
    NotFoundError, UnreadableError
        It is not there, or cannot be read.
    TooLargeError
        More than ``max_bytes`` bytes came; what the storage claims is not relied on.
    """
    digest, size = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(prefix=_prefix(os.getpid()))
    target = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            system, path = _open_system(url)
            with system.open(path, "rb") as source:
                while part := source.read(_PART):
                    size += len(part)
                    if size > max_bytes:
                        raise TooLargeError(f"{url}: more than {max_bytes} bytes")
                    digest.update(part)
                    out.write(part)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, InputError) or not isinstance(error, Exception):
            raise
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(f"{url}: no such file") from error
        raise UnreadableError(f"{url}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    return target, digest.hexdigest()


def sweep(pid: int) -> None:
    """Removes the copies that a process which is gone has left."""
    with suppress(OSError):
        for left in Path(tempfile.gettempdir()).glob(_prefix(pid) + "*"):
            left.unlink(missing_ok=True)


def _prefix(pid: int) -> str:
    return f"vidscan-{pid}-"


def _open_system(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it."""
    try:
        import fsspec
    except ImportError:
        raise SetupError(lacking("URLs need fsspec", "remote")) from None
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SetupError(f"cannot open {url}: {' '.join(str(error).split())}") from error
    return system, path

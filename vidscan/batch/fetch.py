"""Getting at a file before it is scanned: a local copy, and the hash that it is known by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vidscan.batch.remote import RemoteFile, download, is_remote
from vidscan.errors import InputError, SetupError, UnreadableError
from vidscan.models import content_sha256


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file within reach.

    Attributes
    ----------
    location
        What it is called, and reported as.
    path
        Where its bytes are; ``location`` itself, or a temporary copy of a remote file.
    sha256
        Of its content in hexadecimal; None for what is no readable regular file.
    error
        Why it could not be brought here, or None.
    """

    location: os.PathLike[str]
    path: Path
    sha256: str | None
    error: InputError | None = None

    def release(self) -> None:
        """Removes the copy, where there is one."""
        if isinstance(self.location, RemoteFile) and self.error is None:
            self.path.unlink(missing_ok=True)


def fetch(text: str, sha256: str | None, max_download: int) -> Fetched:
    """Brings a file within reach and hashes it, unless its hash is known already."""
    if not is_remote(text):
        path = Path(text)
        return Fetched(path, path, sha256 or content_sha256(path))
    location = RemoteFile(text)
    try:
        copy, digest = download(text, max_download)
    except SetupError as error:  # the parent could list it, this machine cannot read it
        return Fetched(location, Path(), None, UnreadableError(str(error)))
    except InputError as error:
        return Fetched(location, Path(), None, error)
    return Fetched(location, copy, digest)

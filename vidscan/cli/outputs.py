"""Where a command may write: never over what it reads, and over other people's media only when told to."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from vidscan.cli.failures import UsageError

Key = tuple[int, int] | str

PAGE_NAMES = re.compile(r".*-[0-9a-f]{8}\.html")
"""Names that pages take in a folder."""
OVERLAY_NAMES = re.compile(r".*-[0-9a-f]{8}\.(mp4|png)")
MASK_FOLDERS = re.compile(r".*-[0-9a-f]{8}")
"""Names of the folders that masks of a clip take."""


class Outputs:
    """Checks outputs against the inputs of a command, before anything is written.

    Files are the same whatever leads to them: hard and symbolic links, other spellings of a name on a
    file system that takes them for one.

    Parameters
    ----------
    inputs
        Option or argument, and the path given there.
    overwrite
        Whether files that exist may be replaced.
    """

    def __init__(self, inputs: Iterable[tuple[str, Path]], *, overwrite: bool = False) -> None:
        self._overwrite = overwrite
        self._inputs: dict[Key, tuple[str, Path]] = {}
        self._outputs: dict[Key, str] = {}
        self._folders: dict[str, list[tuple[str, Path]]] = {}
        for option, path in inputs:
            for key in _keys(path):
                self._inputs.setdefault(key, (option, path))
            self._folders.setdefault(_name(path.parent), []).append((option, path))

    def file(self, option: str, path: Path) -> None:
        """Refuse a file that is an input or another output, or that holds media vidscan did not write.

        Raises UsageError.
        """
        self._claim(option, path)
        if not self._overwrite and holds_foreign_media(path):
            raise UsageError(
                f"{path} holds media that vidscan did not write: use --overwrite to replace it ({option})"
            )

    def _claim(self, option: str, path: Path) -> None:
        for key in _keys(path):
            if key in self._inputs:
                name, own = self._inputs[key]
                raise UsageError(f"{path} is an input: {option} would replace {name} {own}")
            if self._outputs.setdefault(key, option) != option:
                raise UsageError(f"{option} and {self._outputs[key]} name the same file: {path}")

    def new(self, option: str, path: Path, suffix: str | None = None) -> None:
        """:meth:`file`, for an output that replaces nothing unless told to, and whose folder exists.

        Raises UsageError, also for another suffix than ``suffix``.
        """
        if suffix is not None and path.suffix.lower() != suffix:
            raise UsageError(f"{path} is not a {suffix} ({option})")
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent} is not a folder ({option})")
        self._claim(option, path)
        if path.exists() and not self._overwrite:
            raise UsageError(f"{path} exists: use --overwrite ({option})")

    def folder(self, option: str, folder: Path, names: re.Pattern[str]) -> None:
        """Refuse a folder in which an input has a name that may be written there.

        Raises UsageError.
        """
        for name, path in self._folders.get(_name(folder), ()):
            if names.fullmatch(path.name):
                raise UsageError(f"{option} {folder} could replace the input {name} {path}")

    def masks(self, option: str, folder: Path) -> None:
        """Refuse a folder of inputs: masks of an earlier run, which may be inputs, are removed there.

        Raises UsageError.
        """
        own = _name(folder)
        for parent, inputs in self._folders.items():
            above, name = os.path.split(parent)
            if parent == own or (above == own and MASK_FOLDERS.fullmatch(name)):
                raise UsageError(f"{option} {folder} is a folder of inputs: {inputs[0][0]} {inputs[0][1]}")


def holds_foreign_media(path: Path) -> bool:
    """Whether there is a video or picture that does not say it is vidscan's."""
    with suppress(OSError):  # a name that is too long
        if not path.is_file():
            return False
    from vidscan.errors import InputError
    from vidscan.media.metadata import read_metadata

    try:
        tags = read_metadata(path)
    except InputError:
        return _is_media(path)
    return not any("vidscan" in value for name, value in tags.items() if name.startswith("file "))


def _is_media(path: Path) -> bool:
    from vidscan.errors import InputError
    from vidscan.media.sniff import sniff

    try:
        sniff(path)
    except InputError:
        return False
    return True


def _name(path: Path) -> str:
    """One spelling of a path, for file systems that do not tell case or composed letters apart."""
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError):  # no file can have this name
        real = os.fspath(path)
    return unicodedata.normalize("NFC", real).casefold()


def _keys(path: Path) -> Iterator[Key]:
    yield _name(path)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    if status.st_ino:
        yield status.st_dev, status.st_ino

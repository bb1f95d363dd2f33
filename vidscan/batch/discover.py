"""Finds the clips and pictures under folders, by content rather than by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from vidscan.batch.engine import Location
from vidscan.batch.remote import RemoteFile, list_files
from vidscan.errors import InputError
from vidscan.paths import is_folder

# A file with one of these names that turns out not to be one is broken: it is reported as an
# error instead of passed over in silence.
_MEDIA_SUFFIXES = frozenset(
    f".{name}"
    for names in (
        ("mp4", "m4v", "mov", "3gp", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "m2ts", "mts", "wmv"),
        ("flv", "ogv", "gif", "jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"),
        ("jp2", "j2k", "heic", "heif", "avif"),
    )
    for name in names
)

Sniffer = Callable[[Path], object]
"""Returns for a media file; raises :class:`vidscan.errors.InputError` for anything else."""


def discover(
    roots: Iterable[Path | RemoteFile],
    *,
    recursive: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    sniff: Sniffer | None = None,
) -> list[Location]:
    """The media files under some folders, in sorted order, each once.

    Parameters
    ----------
    roots
        Folders are searched. Anything else (a file, a path that is not there) is taken as it
        is: whoever names a file wants to hear of it. In remote folders files are told by name
        alone, since a look into each would cost a request.
    recursive
        Search folders in folders.
    include, exclude
        Globs over the path relative to the folder (``*`` also matches ``/``) and over the
        bare name. With ``include`` only matching files count; ``exclude`` wins.
    sniff
        How to tell media; :func:`vidscan.media.sniff.sniff` where None.

    Returns
    -------
    list of Path and RemoteFile
        A folder that cannot be read stands in the list itself, so that it gets reported.

    Raises
    ------
    SetupError
        A remote folder cannot be listed.
    """
    if sniff is None:
        from vidscan.media.sniff import sniff as sniff_media

        sniff = sniff_media
    found: dict[str, Location] = {}
    for root in roots:
        if isinstance(root, RemoteFile):
            for file, relative in list_files(root.url, recursive=recursive):
                named = file == root or file.name.lower().endswith(tuple(_MEDIA_SUFFIXES))
                if named and (file == root or _chosen(relative, include, exclude)):
                    found.setdefault(file.url, file)
            continue
        if not is_folder(root):
            found.setdefault(os.fspath(root), root)
            continue
        for path, readable in _walk(root, recursive):
            relative = os.fspath(path.relative_to(root))
            if not readable or (_chosen(relative, include, exclude) and _is_media(path, sniff)):
                found.setdefault(os.fspath(path), path)
    # Bytes sort the same whatever the locale, and undecodable names sort at all.
    return [found[key] for key in sorted(found, key=os.fsencode)]


def belongs(
    path: Path,
    root: Path,
    *,
    recursive: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> bool:
    """Whether :func:`discover` would find a file under the folder ``root``."""
    from vidscan.media.sniff import sniff

    try:
        relative = path.relative_to(root)
    except ValueError:
        return False
    deep = len(relative.parts) > 1 and not recursive
    return not deep and _chosen(os.fspath(relative), include, exclude) and _is_media(path, sniff)


def _walk(root: Path, recursive: bool) -> Iterator[tuple[Path, bool]]:
    """All below a folder that is no folder; (folder, False) for one that cannot be read.

    Linked folders are followed, but no folder is entered twice: links may go round.
    """
    seen: set[tuple[int, int]] = set()
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            info = folder.stat()
            if (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield folder, False
            continue
        for entry in entries:
            path = Path(entry.path)
            try:
                folder_below = entry.is_dir()
            except OSError:  # a link onto itself
                folder_below = False
            if not folder_below:
                yield path, True
            elif recursive:
                stack.append(path)


def _chosen(relative: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    name = Path(relative).name
    slashed = relative.replace(os.sep, "/")

    def matches(globs: Sequence[str]) -> bool:
        return any(fnmatchcase(slashed, glob) or fnmatchcase(name, glob) for glob in globs)

    return (not include or matches(include)) and not matches(exclude)


def _is_media(path: Path, sniff: Sniffer) -> bool:
    if path.is_file():  # to look into a pipe would be to wait for it
        try:
            sniff(path)
        except InputError:
            pass
        else:
            return True
    # "._clip.mp4" is how macOS stores attributes on foreign disks, not a clip.
    return path.suffix.lower() in _MEDIA_SUFFIXES and not path.name.startswith("._")

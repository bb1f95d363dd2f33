"""Folders under watch: gives the clips and pictures that arrive, once they are whole.

The system tells of changes (watchdog); how a file is copied there nobody tells, so it counts as whole once it
has kept its size and time for a while. One that changes later is given again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidscan.batch.discover import belongs, discover
from vidscan.errors import SetupError, lacking

if TYPE_CHECKING:
    from typing_extensions import Self

SETTLE_S = 2.0
"""A file that has not changed for so long is whole."""
_POLL_S = 0.2

State = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


@dataclass(slots=True)
class _Arriving:
    """A file that may still grow."""

    state: State
    since: float


class FolderWatch:
    """Watches folders from the moment it is entered; a context manager.

    Parameters
    ----------
    roots
        Folders that exist.
    recursive, include, exclude
        As :func:`vidscan.batch.discover.discover` takes them.
    settle_s
        Seconds for which a file must not have changed.
    clock
        Seconds that only grow.

    Raises
    ------
    SetupError
        Where watchdog is missing, or the system does not let a folder be watched.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        settle_s: float = SETTLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roots, self._recursive, self._settle_s, self._clock = roots, recursive, settle_s, clock
        self._how: dict[str, Any] = {"recursive": recursive, "include": include, "exclude": exclude}
        self._arriving: dict[Path, _Arriving] = {}
        self._given: dict[Path, State] = {}
        self._news: set[Path] = set()
        self._lock = threading.Lock()
        self._observer = _observer()

    def __enter__(self) -> Self:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler

        watch = self

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                # Reading a file is news to the system, too, but not to us.
                if event.event_type not in ("opened", "closed_no_write", "deleted"):
                    watch._hear(event.dest_path or event.src_path)

        try:
            for root in self._roots:
                self._observer.schedule(Handler(), os.fspath(root), recursive=self._recursive)
            self._observer.start()
        except OSError as error:
            raise SetupError(f"cannot watch: {error.strerror or error}") from error
        # From now on nothing is missed; what was there before is found once.
        for found in discover(self._roots, **self._how):
            if isinstance(found, Path):
                self._hear(found)
        return self

    def __exit__(self, *exc: object) -> None:
        self._observer.stop()
        self._observer.join()

    def wait(self, seconds: float | None = None) -> list[Path]:
        """Files that have become whole, in sorted order; empty where none has within ``seconds``."""
        until = None if seconds is None else self._clock() + seconds
        while True:
            found = self._settled()
            if found or (until is not None and self._clock() >= until):
                return found
            time.sleep(_POLL_S)

    def _hear(self, path: str | bytes | Path) -> None:
        with self._lock:
            self._news.add(Path(os.fsdecode(path)))

    def _settled(self) -> list[Path]:
        with self._lock:
            news, self._news = self._news, set()
        now = self._clock()
        for path in news:
            for file in self._files(path):
                state = _state(file)
                known = self._arriving.get(file)
                if (
                    state is not None
                    and state != self._given.get(file)
                    and (not known or known.state != state)
                ):
                    self._arriving[file] = _Arriving(state, now)
        whole = []
        for path, arriving in list(self._arriving.items()):
            state = _state(path)
            if state is None:  # gone again
                del self._arriving[path]
            elif state != arriving.state:
                self._arriving[path] = _Arriving(state, now)
            elif now - arriving.since >= self._settle_s:
                del self._arriving[path]
                self._given[path] = state
                if self._belongs(path):
                    whole.append(path)
        return sorted(whole, key=os.fsencode)

    def _files(self, path: Path) -> list[Path]:
        """A file itself; of a folder, which may have come with what is in it, its files."""
        if not path.is_dir():
            return [path]
        if not self._recursive:
            return []
        return [found for found in discover([path]) if isinstance(found, Path)]

    def _belongs(self, path: Path) -> bool:
        return any(belongs(path, root, **self._how) for root in self._roots)


def _state(path: Path) -> State | None:
    """None for what is no regular file (any more)."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if path.is_file() else None


def _observer() -> Any:
    try:
        from watchdog.observers import Observer
    except ImportError as error:
        raise SetupError(lacking("--watch needs watchdog", "watch")) from error
    return Observer()

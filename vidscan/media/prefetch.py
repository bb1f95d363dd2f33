"""Decoding ahead in a thread, with bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress

from vidscan.types import FrameChunk

_POLL_S = 0.1


class _End:
    """Last item of the queue: the decoder is through, or failed with ``error``."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetcher:
    """Runs ``chunks`` in a thread and hands its items over in order.

    At most ``depth`` finished chunks wait, one more is being made. An exception of the decoder is
    raised where its chunk would have come. :meth:`close` may be called at any time: it stops the
    thread within about one chunk and waits for it.
    """

    def __init__(self, chunks: Iterator[FrameChunk], depth: int) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[FrameChunk | _End] = queue.Queue(maxsize=max(1, depth))
        self._stop = threading.Event()
        # A daemon, so that a decoder hanging in a broken file cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name="vidscan-decoder", daemon=True)
        self._thread.start()
        self._done = False

    def __iter__(self) -> Iterator[FrameChunk]:
        return self

    def __next__(self) -> FrameChunk:
        item: FrameChunk | _End | None = None
        while item is None:
            if self._done or self._stop.is_set():
                raise StopIteration
            with suppress(queue.Empty):
                # With a time limit, as another thread may close the source meanwhile.
                item = self._queue.get(timeout=_POLL_S)
        if not isinstance(item, _End):
            return item
        self._done = True
        self._thread.join()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop decoding and wait up to ``timeout_s`` seconds for the thread to end."""
        self._stop.set()
        self._thread.join(timeout_s)
        self._done = True

    def _run(self) -> None:
        end = _End(None)
        try:
            for chunk in self._chunks:
                if not self._put(chunk):
                    break
        except BaseException as error:  # handed to the consumer, whatever it is
            end = _End(error)
        finally:
            # Files are closed by the thread that read them, also when the consumer stopped early.
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        self._put(end)

    def _put(self, item: FrameChunk | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

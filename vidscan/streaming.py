"""A clip on its way through stages: it is decoded, faces are found and followed, and every stage looks."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from vidscan.errors import UnreadableError
from vidscan.faces.between import Between
from vidscan.faces.detect import Detector
from vidscan.faces.track import FaceTracker
from vidscan.lanes import Lane, shared_threads
from vidscan.media import open_video
from vidscan.models import file_sha256
from vidscan.paths import path_names
from vidscan.stages import Clip, FaceBatch, Stage, frame_step
from vidscan.types import Note, ScanSettings, Timing

_FOLLOW_FPS = 15.0
"""Faces are followed in about so many frames per second, or as many as are read."""
_USUAL_FPS = 25.0
"""Frames per second where the container does not say."""
_SIDE_BY_SIDE = ("landmarks", "classify")
"""Clocks whose stages need nothing of each other."""


class Clocks:
    """Seconds spent, by the fields of :class:`vidscan.types.Timing`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._spent = dict.fromkeys(("decode", "detect", "landmarks", "classify", "verdict"), 0.0)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Counts the time until the end of the block for ``name``."""
        start = time.perf_counter()
        yield
        self._spent[name] += time.perf_counter() - start

    def timing(self, startup: float) -> Timing:
        """What was spent, all of it since the clocks were made included, after ``startup`` seconds."""
        total = time.perf_counter() - self._start + startup
        return Timing(startup=startup, total=total, **self._spent)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A clip that went through.

    Attributes
    ----------
    decoded
        How many frames it has.
    left_out
        How many faces were seen at once, at most, beside those that were followed.
    warnings
        What its decoder noted.
    """

    clip: Clip
    decoded: int
    left_out: int
    warnings: tuple[Note, ...]

    @property
    def bits_per_pixel(self) -> float | None:
        """Of the file, over all frames."""
        pixels = self.clip.info.width * self.clip.info.height * self.decoded
        return 8 * self.clip.size / pixels if pixels else None


def stream(
    path: str | os.PathLike[str],
    stages: Sequence[Stage],
    detector: Detector,
    settings: ScanSettings,
    device: str,
    clocks: Clocks,
    *,
    embedded: bool = False,
    progress: Callable[[float], None] | None = None,
    sha256: str | None = None,
) -> Streamed:
    """Hand a clip to stages, chunk by chunk.

    Parameters
    ----------
    stages
        Those of one clock see each batch in this order.
    detector
        Finds the faces.
    device
        Where frames are uploaded to: ``cpu`` or ``cuda[:n]``.
    embedded
        The clip is the video behind a photo.
    progress
        Called with the share done, 0..1.
    sha256
        Of the content, where the caller knows it; the file is then not hashed.

    Raises
    ------
    InputError
        Where the clip cannot be read.
    """
    with open_video(
        path,
        decoder=settings.decoder,
        max_pixels=settings.max_pixels,
        max_duration_s=settings.max_duration_s,
        stream=settings.stream,
        embedded=embedded,
    ) as source:
        clip, decoded = Clip(path, source.info, *_content(Path(path), sha256)), 0
        for stage in stages:
            stage.start(clip)
        fps = source.info.fps
        stride = _stride(fps, settings)
        tracker = FaceTracker(
            detector,
            detect_every=max(1, round(settings.detect_s * (fps or _USUAL_FPS))),
            max_faces=settings.max_faces,
            stride=stride,
        )
        between = Between(stride)
        chunks = iter(source)
        with _lanes(stages, clocks) as give:
            while True:
                with clocks("decode"):
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                with clocks("detect"):
                    faces = tracker.update(chunk)
                    followed = [face for face in faces if face.frame_index % stride == 0]
                    complete = between.add(chunk, faces)
                give(FaceBatch(chunk, followed, stride, complete, device))
                decoded += len(chunk.times)
                if progress is not None and source.info.duration_s:
                    progress(min(1.0, float(chunk.times[-1]) / source.info.duration_s))
        rest = between.finish()
        for stage in stages:
            with clocks(stage.clock):
                stage.finish(rest)
        return Streamed(clip, decoded, tracker.left_out, tuple(source.warnings))


@contextmanager
def _lanes(stages: Sequence[Stage], clocks: Clocks) -> Iterator[Callable[[FaceBatch], None]]:
    """What gives a batch to every stage; at the end all are through.

    Stages of one clock follow each other. Those of different clocks run side by side, and beside detection,
    where torch has threads to share: which of them is first changes nothing.
    """
    groups = {clock: [s for s in stages if s.clock == clock] for clock in _SIDE_BY_SIDE}
    here = [stage for stage in stages if stage.clock not in groups]

    def work(some: Sequence[Stage], batch: FaceBatch) -> None:
        for stage in some:
            with clocks(stage.clock):
                stage.add(batch)

    if torch.get_num_threads() == 1:
        yield partial(work, stages)
        return
    with ExitStack() as stack:
        threads = stack.enter_context(shared_threads(len(_SIDE_BY_SIDE)))
        lanes = [stack.enter_context(Lane(partial(work, some), threads)) for some in groups.values() if some]

        def give(batch: FaceBatch) -> None:
            work(here, batch)
            for lane in lanes:
                lane.add(batch)

        yield give
        for lane in lanes:
            lane.wait()


def _content(path: Path, sha256: str | None) -> tuple[str, int]:
    """Hash and size in bytes of a file."""
    try:
        return sha256 or file_sha256(path), path.stat().st_size
    except OSError as error:  # it was there a moment ago
        raise UnreadableError(f"{path_names(path).path}: {error.strerror}") from error


def _stride(fps: float | None, settings: ScanSettings) -> int:
    """Every how many frames faces are followed: as many as somebody reads, and enough to follow by."""
    stride = frame_step(fps, _FOLLOW_FPS)
    if settings.behavior_fps > 0:
        stride = math.gcd(stride, frame_step(fps, settings.behavior_fps))
    return 1 if settings.analysis_fps * stride > (fps or 0.0) else stride

"""Clips derived from the corpus: made once, in worker processes, under names that tell their content."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import InputError
from vidscan.machine import default_jobs, end_with_parent
from vidscan.media import VideoWriter, open_video
from vidscan.models import file_sha256

_LOG = logging.getLogger("vidscan")
FPS = 25.0
"""Frame rate written where the source does not tell its own."""


class Task(Protocol):
    """One file to be made."""

    @property
    def target(self) -> Path:
        """Where it goes; it is there only when it is whole."""


T = TypeVar("T", bound=Task)


def derived_name(source: Path, *parts: str) -> str:
    """``<stem>-<first 8 of the source's sha256>-<part>....mp4``.

    The hash keeps clips of another corpus apart that have the same name.
    """
    return "-".join([source.stem, file_sha256(source)[:8], *(p.replace(" ", "_") for p in parts)]) + ".mp4"


def derive_all(
    make: Callable[[T], None], tasks: Sequence[T], *, jobs: int, advance: Callable[[], None]
) -> dict[Path, str]:
    """Call ``make`` for every task whose target is not there yet.

    Parameters
    ----------
    make
        A function of a module; it writes the target, or raises InputError where the source is no good.
    jobs
        Worker processes; 0 as many as suit the machine, 1 works in this process.
    advance
        Called for each task, done before or now.

    Returns
    -------
    dict
        The targets that could not be made, and why.
    """
    missing = []
    for task in tasks:
        if task.target.exists():
            advance()
        else:
            task.target.parent.mkdir(parents=True, exist_ok=True)
            missing.append(task)
    failures: dict[Path, str] = {}

    def finish(task: T, result: Callable[[], None]) -> None:
        try:
            result()
        except InputError as error:
            failures[task.target] = f"{error.code}: {error}"
            _LOG.warning("%s not made: %s", task.target, error)
        advance()

    jobs = min(jobs or default_jobs("cpu"), len(missing))
    if jobs <= 1:
        for task in missing:
            finish(task, partial(make, task))
        return failures
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
        futures = {pool.submit(make, task): task for task in missing}
        try:
            for future in as_completed(futures):
                finish(futures[future], future.result)
        except BaseException:
            # Waiting here: leaving the pool would take the cancelling back before its own thread has seen it.
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


def _begin() -> None:
    """Clips in parallel beat threads in parallel."""
    import cv2
    import torch

    end_with_parent()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]],
    *,
    crf: float,
    max_duration_s: float = 0.0,
) -> None:
    """Decode ``source``, change it frame by frame, and encode it as H.264 with its frames' times.

    ``change`` is given a frame (H, W, 3) RGB uint8 and its index, and returns one; all have one size.
    ``max_duration_s`` ends the clip early, unless it is 0.

    Raises
    ------
    InputError
        Where the source cannot be read.
    """
    with open_video(source, max_duration_s=max_duration_s) as video:
        frames = (
            (change(image, index), float(time_s))
            for chunk in video
            for index, (image, time_s) in enumerate(
                zip(chunk.images, chunk.times, strict=True), chunk.first_index
            )
        )
        write_clip(target, frames, fps=video.info.fps, crf=crf)


def write_clip(
    target: Path, frames: Iterable[tuple[NDArray[np.uint8], float]], *, fps: float | None, crf: float
) -> None:
    """Encode frames, (H, W, 3) RGB uint8 of one size, at their times in seconds as H.264.

    Where ``frames`` raises nothing is left.
    """
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        for image, time_s in frames:
            if writer is None:
                height, width = image.shape[:2]
                writer = stack.enter_context(VideoWriter(target, width, height, fps=fps or FPS, crf=crf))
            writer.write(image, time_s)

"""Small clips with a known pattern, made while the tests run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

WIDTH, HEIGHT, COUNT, FPS = 96, 64, 20, 25


def pattern(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """(count, height, width, 3): smooth colors, a red block that moves, a corner that tells up."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    frames = []
    for t in range(count):
        image = np.stack([128 + 80 * np.sin(x / 15 + t / 5), 40 + y * 2, 200 - x], axis=-1)
        image[height // 4 : height // 2, 8 + 2 * t : 28 + 2 * t] = (220, 30, 40)
        image[: height // 5, : width // 5] = (20, 20, 230)
        frames.append(image)
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def shade(index: int) -> int:
    """Grey level of the ``index``-th frame of a ``numbered`` clip."""
    return 20 + 10 * index


def numbered(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Plain gray frames, each recognisable by its level, see :func:`shade`."""
    levels = np.array([shade(t) for t in range(count)], np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def make_clip(
    path: Path,
    images: NDArray[np.uint8] | None = None,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: list[float] | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    colour: tuple[int | None, int | None] = (None, None),
    sound: bool = False,
) -> Path:
    """Encode ``images`` with the bare library, so that vidscan's writer is not tested by itself.

    ``rotation`` is clockwise; ``colour`` is (matrix, range) in FFmpeg's numbers. Skips the test where
    this build has no such encoder.
    """
    av = pytest.importorskip("av")
    images = pattern() if images is None else images
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg build has no {codec}")
    clock = Fraction(1, 1000) if times else Fraction(1, FPS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.options = {"g": "10"} | (options or {})
        context.time_base = clock
        if colour[0] is not None:
            context.colorspace = colour[0]
        if colour[1] is not None:
            context.color_range = colour[1]
        if rotation:
            stream.set_display_rotation(-rotation)
        tone = container.add_stream("aac", rate=16000) if sound else None
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=colour[0], dst_color_range=colour[1])
            frame.pts = round(times[index] / clock) if times else index
            frame.time_base = clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            samples = np.zeros((1, 16000), np.float32)
            audio = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            audio.sample_rate = 16000
            container.mux(tone.encode(audio))
            container.mux(tone.encode(None))
    return path


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean absolute difference in gray levels."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())

"""One pass over the coded frames of a clip: when, of what kind, how many bytes, and how much they change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidscan.media.motion_photo import embedded_video
from vidscan.media.probe import default_threads, limit_pixels, open_container, read_header
from vidscan.media.sniff import PICTURE_KINDS, PathLike, sniff
from vidscan.media.streams import video_stream

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

MAX_FRAMES = 1800
_THUMB = (64, 36)
"""Width and height of the small pictures by which frames are compared."""
_MAX_SIDE = 1280
"""Of a larger plane the middle is compared."""
_BLOCK = 16
_FAINT = 2.0
"""Grey levels: a block that moves counts no more than one whose coding is refreshed."""
_PAIRS = 6
_KINDS = {1: "I", 2: "P", 3: "B"}
"""By FFmpeg's AVPictureType."""


@dataclass(frozen=True, slots=True)
class FieldPair:
    """Luminance of two frames that follow each other, as coded: no rotation, no scaling."""

    time_s: float
    first: NDArray[np.uint8]
    """(H, W)."""
    second: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Strip:
    """The frames of a clip in presentation order, at most :data:`MAX_FRAMES`.

    Attributes
    ----------
    times
        (T,) seconds from the first.
    kinds
        (T,) ``I``, ``P`` or ``B``; ``?`` where the decoder does not tell.
    key
        (T,) bool; key frames.
    bytes
        (T,) of each frame's packet; 0 where unknown.
    thumbs
        (T, 36, 64) float32 luminance.
    still_change
        (T,) change of luminance from the frame before, in gray levels, mean over blocks that count 2 at most;
        0 for the first.
    pairs
        Spread over the clip.
    """

    times: NDArray[np.float64]
    kinds: NDArray[np.str_]
    key: NDArray[np.bool_]
    bytes: NDArray[np.int64]
    thumbs: NDArray[np.float32]
    still_change: NDArray[np.float64]
    pairs: tuple[FieldPair, ...]


def read_strip(
    path: PathLike, max_seconds: float, *, stream: int | None, embedded: bool, max_pixels: int
) -> Strip | None:
    """The frames of a clip's first seconds; None where the file is no coded video, or has under two.

    ``stream``, ``embedded`` and ``max_pixels`` are as :func:`vidscan.media.open_video` takes them.

    Raises
    ------
    InputError
        Where the file cannot be opened.
    """
    kind, start = sniff(path), 0
    if embedded:
        kind, start = "mp4", embedded_video(path, kind) or 0
    if kind in PICTURE_KINDS:
        return None
    header = read_header(path, kind, max_pixels, wanted=stream, start=start)
    rate, length = header.fps or 25.0, min(header.duration_s or max_seconds, max_seconds)
    expected = min(MAX_FRAMES, max(2, int(rate * length)))
    wanted = {round(n * (expected - 1) / (_PAIRS + 1)) for n in range(1, _PAIRS + 1)}
    times: list[float] = []
    kinds: list[str] = []
    key: list[bool] = []
    sizes: list[int] = []
    thumbs: list[NDArray[np.float32]] = []
    change: list[float] = []
    pairs: list[FieldPair] = []
    before: NDArray[np.uint8] | None = None
    with open_container(header.path, header.kind, header.start) as container:
        own = video_stream(container, header.stream)
        if own is None:
            return None
        own.thread_type = "AUTO"
        own.codec_context.thread_count = default_threads()
        limit_pixels(own, header.max_pixels)
        packets: dict[int | None, int] = {}
        base = float(own.time_base or 0)
        for frame in _frames(container, own, packets):
            time_s = (frame.pts or 0) * base
            if times and time_s - times[0] > max_seconds:
                break
            plane = _luminance(frame)
            same = before is not None and before.shape == plane.shape
            change.append(_still_change(before, plane) if same and before is not None else 0.0)
            fits = not pairs or pairs[0].first.shape == plane.shape
            if same and before is not None and fits and len(times) - 1 in wanted:
                pairs.append(FieldPair(times[-1], before, plane))
            times.append(time_s)
            kinds.append(_KINDS.get(int(frame.pict_type), "?"))
            key.append(bool(frame.key_frame))
            sizes.append(packets.pop(frame.pts, 0))
            thumbs.append(cv2.resize(plane, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32))
            before = plane
            if len(times) == MAX_FRAMES:
                break
    if len(times) < 2:
        return None
    first = times[0]
    return Strip(
        np.array(times) - first,
        np.array(kinds),
        np.array(key),
        np.array(sizes, np.int64),
        np.stack(thumbs),
        np.array(change),
        tuple(FieldPair(pair.time_s - first, pair.first, pair.second) for pair in pairs),
    )


def _frames(container: Any, stream: Any, packets: dict[int | None, int]) -> Iterator[VideoFrame]:
    """Decoded frames up to the first damage; the size of each packet is noted by its time."""
    import av

    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                packets[packet.pts] = packet.size
            yield from packet.decode()
    except av.error.FFmpegError:
        return


def _luminance(frame: VideoFrame) -> NDArray[np.uint8]:
    """(H, W) of the middle of a frame, copied; its rows are those of the frame."""
    plane: Any
    if frame.format.name.startswith(("yuv4", "yuvj4", "nv12")) and frame.format.components[0].bits == 8:
        first = frame.planes[0]
        rows = np.frombuffer(memoryview(first), np.uint8).reshape(-1, first.line_size)
        plane = rows[: frame.height, : frame.width]
    else:
        plane = frame.to_ndarray(format="gray")
    # On even rows, so that fields stay what they are, and on the grid of blocks.
    y0, x0 = (max(0, (side - _MAX_SIDE) // 2) // _BLOCK * _BLOCK for side in plane.shape)
    return np.ascontiguousarray(plane[y0 : y0 + _MAX_SIDE, x0 : x0 + _MAX_SIDE])


def _still_change(before: NDArray[np.uint8], plane: NDArray[np.uint8]) -> float:
    difference = cv2.absdiff(before, plane)
    height, width = (max(1, side // _BLOCK) for side in plane.shape)
    blocks = cv2.resize(difference.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return float(np.minimum(blocks, _FAINT).mean())

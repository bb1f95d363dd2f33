"""How coarsely each part of a frame was coded, as H.264 tells it: what a file's size cannot, part by part.

A still desktop around a small moving face, or a black lead-in, costs next to no bits, whatever is left of the
face. FFmpeg hands the quantizer of every macroblock over (0 to 51; six more double the step).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

CODECS = frozenset({"h264"})
OPTION = {"export_side_data": "venc_params"}
"""What the decoder is asked for."""
_BLOCK = 16
_H264 = 1
_HEAD = struct.Struct("<I4xQQii")
"""Of AVVideoEncParams: blocks, where they begin, bytes of each, codec, quantizer of the frame."""


def quantiser_map(frame: VideoFrame) -> NDArray[np.uint8] | None:
    """(h, w) quantizer of each 16 x 16 block of a decoded frame; None where the decoder does not tell.

    A frame tells it once: its side data is let go of.
    """
    from av.sidedata.sidedata import Type
    from av.video.frame import VideoFrame as Frame

    side_data: Any = frame.side_data
    given = side_data.get(Type.VIDEO_ENC_PARAMS)
    data = None if given is None else bytes(given)
    del given
    # Frame and side data hold each other, until the garbage collector comes hundreds of frames later.
    type(side_data).__init__(side_data, Frame())
    if data is None:
        return None
    count, at, size, codec, base = _HEAD.unpack_from(data)
    shape = (-(-frame.height // _BLOCK), -(-frame.width // _BLOCK))
    if codec != _H264 or count != shape[0] * shape[1] or at + count * size > len(data):
        return None
    # Each block: x, y, width, height, difference of its quantizer; further fields are not set.
    blocks = np.ndarray((count, 5), "<i4", data, at, (size, 4))
    if (blocks[:, 0] % _BLOCK).any() or (blocks[:, 1] % _BLOCK).any():
        return None
    rows, columns = blocks[:, 1] // _BLOCK, blocks[:, 0] // _BLOCK
    if min(rows.min(), columns.min()) < 0 or rows.max() >= shape[0] or columns.max() >= shape[1]:
        return None
    found = np.zeros(shape, np.uint8)
    found[rows, columns] = np.clip(base + blocks[:, 4], 0, 51)
    return found


def within(
    quantisers: NDArray[np.uint8], box: tuple[float, float, float, float], size: tuple[int, int]
) -> float:
    """Mean quantizer of the blocks that a box (x0, y0, x1, y1) touches in a frame of (width, height)."""
    rows, columns = quantisers.shape
    x0, x1 = _span(box[0] / size[0] * columns, box[2] / size[0] * columns, columns)
    y0, y1 = _span(box[1] / size[1] * rows, box[3] / size[1] * rows, rows)
    return float(quantisers[y0:y1, x0:x1].mean())


def _span(low: float, high: float, count: int) -> tuple[int, int]:
    first = min(max(int(low), 0), count - 1)
    return first, max(first + 1, min(int(np.ceil(high)), count))

"""How encoders are set up, and a trip through one and back in memory."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidscan.errors import SetupError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

_CRF_CODECS = frozenset(
    {"libx264", "libx264rgb", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "libaom-av1"}
)
_DEFAULT_PIX_FMT = {"ffv1": "bgr0", "libx264rgb": "rgb24", "mjpeg": "yuvj420p", "gif": "rgb8"}
_DECODERS = {"av1": "libdav1d"}
"""FFmpeg's own AV1 decoder works on graphics hardware only."""
_BT601 = 5
"""Number of BT.601 both as swscale's matrix and as FFmpeg's AVColorSpace. It is also what decoders
assume of a stream that declares nothing, so codecs that cannot declare it come out right too."""
_LIMITED, _FULL = 1, 2


def default_pix_fmt(codec: str) -> str:
    """The pixel format that players expect of ``codec`` (a lossless RGB one for ffv1)."""
    return _DEFAULT_PIX_FMT.get(codec, "yuv420p")


def encoder_options(codec: str, crf: float, preset: str | None) -> dict[str, str]:
    """Options for constant quality ``crf`` (0 best, 51 worst, on x264's scale).

    Codecs that know no CRF get the quantizer that doubles every six steps, like x264's.
    """
    if codec in _CRF_CODECS:
        options = {"crf": f"{crf:g}"}
        if codec.startswith("libx26") and preset:
            options["preset"] = preset
        if codec == "libx265":
            options["x265-params"] = "log-level=error"
        if codec.startswith("libvpx"):
            options |= {"b": "0", "deadline": "realtime", "cpu-used": "6"}
        if codec == "libsvtav1":
            options["preset"] = "10"
        return options
    if codec in ("mpeg4", "mpeg2video", "mjpeg"):
        quantiser = str(int(np.clip(round(2 ** ((crf - 12) / 6)), 1, 31)))
        return {"qmin": quantiser, "qmax": quantiser, "b": "1000000000"}
    return {}


def padded_size(width: int, height: int, pix_fmt: str) -> tuple[int, int]:
    """``(width, height)`` made even where the pixel format's chroma is subsampled."""
    wide = "420" in pix_fmt or "422" in pix_fmt
    return width + (width % 2 if wide else 0), height + (height % 2 if "420" in pix_fmt else 0)


def set_up(
    context: VideoCodecContext, width: int, height: int, pix_fmt: str, options: dict[str, str]
) -> None:
    """Give an encoder its size, format, options and color declaration."""
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    context.options = options
    if pix_fmt.startswith("yuv"):
        context.colorspace = _BT601
        context.color_range = _FULL if pix_fmt.startswith("yuvj") else _LIMITED


def to_frame(image: NDArray[np.uint8], width: int, height: int, pix_fmt: str) -> VideoFrame:
    """An encoder's frame of an RGB or gray ``image``, last row and column repeated up to the size given."""
    import av

    pad = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))[: image.ndim]
    if any(after for _, after in pad):
        image = np.pad(image, pad, mode="edge")
    source = "rgb24" if image.ndim == 3 else "gray"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source)
    colour: dict[str, Any] = {}
    if pix_fmt.startswith("yuv"):
        full = pix_fmt.startswith("yuvj")
        colour = {"dst_colorspace": _BT601, "dst_color_range": _FULL if full else _LIMITED}
    return frame.reformat(format=pix_fmt, **colour)


def reencode(
    images: NDArray[np.uint8],
    *,
    codec: str = "libx264",
    crf: float = 23,
    fps: float = 25,
    preset: str = "veryfast",
    pix_fmt: str | None = None,
) -> NDArray[np.uint8]:
    """Send frames through a real encoder and decoder, in memory: the artifacts without the file.

    Parameters
    ----------
    images
        (T, H, W, 3) RGB uint8, T >= 1.
    codec
        FFmpeg encoder: libx264, libx265, libvpx-vp9, libsvtav1, mpeg4, mjpeg, ffv1, ...
    crf
        Quality on x264's scale; other codecs get about the same.
    fps
        Frames a second, which rate control takes into account.
    preset
        Speed of x264 and x265.
    pix_fmt
        The codec's usual one where None.

    Returns
    -------
    NDArray
        (T, H, W, 3) RGB uint8, the same shape as ``images``.

    Raises
    ------
    SetupError
        The encoder is unknown, or refuses these settings.
    """
    import av

    if images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
        raise SetupError(f"reencode: needs (T, H, W, 3) images, not {images.shape}")
    count, height, width = images.shape[:3]
    pix_fmt = pix_fmt or default_pix_fmt(codec)
    wide, high = padded_size(width, height, pix_fmt)
    try:
        encoder: Any = av.CodecContext.create(codec, "w")
        set_up(encoder, wide, high, pix_fmt, encoder_options(codec, crf, preset))
        encoder.time_base = 1 / Fraction(fps).limit_denominator(1001)
        encoder.framerate = Fraction(fps).limit_denominator(1001)
        encoder.thread_count = 1  # training calls this from many workers, on small pictures
        packets = []
        for index, image in enumerate(images):
            frame = to_frame(image, wide, high, pix_fmt)
            frame.pts, frame.time_base = index, encoder.time_base
            packets += encoder.encode(frame)
        packets += encoder.encode(None)
        name = encoder.codec.canonical_name
        decoder: Any = av.CodecContext.create(_DECODERS.get(name, name), "r")
        decoder.width, decoder.height = wide, high  # ffv1 keeps its size in the container only
        decoder.thread_count = 1
        decoder.extradata = encoder.extradata  # some codecs keep their tables there
        frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    except (av.error.FFmpegError, ValueError) as error:
        raise SetupError(f"reencode: {codec} failed: {error}") from None
    if len(frames) != count:
        raise SetupError(f"reencode: {codec} returned {len(frames)} frames of {count}")
    return np.stack([frame.to_ndarray(format="rgb24")[:height, :width] for frame in frames])

"""What a file is, from its first bytes, before any decoder touches it.

Decoders guess generously: handed a text file they may take it for a playlist and open whatever it
names, over the network too. Here only known binary containers pass, and the demuxer is then pinned
to the kind that was found.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vidscan.errors import NotFoundError, UnreadableError

PathLike = str | os.PathLike[str]

PICTURE_KINDS = frozenset({"jpeg", "png", "webp", "bmp", "tiff", "jp2", "avif", "heif"})
"""Kinds that hold a picture; some hold several (:mod:`vidscan.media.animation`)."""

_HEAD_BYTES = 4096
_TS_SYNC = 0x47

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1"})
# Boxes a QuickTime or early MP4 file may start with, lacking ``ftyp``.
_ISO_FIRST_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"FLV\x01", "flv"),
    (b"OggS", "ogg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpegvideo"),
    (b"DKIF", "ivf"),
    (b"YUV4MPEG2 ", "y4m"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
)


def display_name(path: PathLike | bytes) -> str:
    """The path as printable text; undecodable bytes become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sniff(path: PathLike) -> str:
    """Name the kind of container that ``path`` holds, judged by content alone.

    Parameters
    ----------
    path
        A file. Names that are not valid UTF-8 work (surrogateescape, as ``os.fsdecode`` makes them).

    Returns
    -------
    str
        ``mp4``, ``mov``, ``avif``, ``heif``, ``matroska``, ``webm``, ``avi``, ``mpegts``, ``mpeg``,
        ``mpegvideo``, ``asf``, ``flv``, ``ogg``, ``ivf``, ``y4m``, ``gif``, ``jpeg``, ``png``,
        ``webp``, ``bmp``, ``tiff``, ``jp2``, or one of the sound containers ``wav``, ``flac``, ``mp3``.

    Raises
    ------
    NotFoundError
        There is no such file.
    UnreadableError
        A directory, a device, a FIFO, an empty file, a file without read permission, or content that
        is none of the above. Playlists and concat scripts are refused; they are never followed.
    """
    name = display_name(path)
    head = _read_head(path, name)
    kind = _container_kind(head)
    if kind is not None:
        return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"#extm3u", b"ffconcat", b"file ", b"[playlist]", b"<mpd", b"<?xml", b"<smil")):
        raise UnreadableError(f"{name}: a playlist or script, not a video; playlists are not followed")
    raise UnreadableError(f"{name}: not a known video or picture format")


def _read_head(path: PathLike, name: str) -> bytes:
    try:
        status = os.stat(path)  # noqa: PTH116 - Path() refuses nothing that os.stat takes, os.stat refuses less
        if stat.S_ISDIR(status.st_mode):
            why = "is a directory" if os.access(path, os.R_OK | os.X_OK) else "permission denied"
            raise UnreadableError(f"{name}: {why}")
        if not stat.S_ISREG(status.st_mode):
            # Opening a FIFO would block until someone writes; a device may never end.
            raise UnreadableError(f"{name}: not a regular file")
        if status.st_size == 0:
            raise UnreadableError(f"{name}: the file is empty")
        with Path(path).open("rb") as file:
            return file.read(_HEAD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{name}: no such file") from None
    except PermissionError:
        raise UnreadableError(f"{name}: permission denied") from None
    except ValueError:
        raise NotFoundError(f"{name}: not a valid file name") from None
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror or error}") from None


def _container_kind(head: bytes) -> str | None:
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[4:8] == b"ftyp":
        return _iso_kind(head)
    if head[4:8] in _ISO_FIRST_BOXES:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "matroska"
    if head.startswith(b"RIFF"):
        return {b"AVI ": "avi", b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12])
    if head.startswith(b"BM") and head[14:18] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"):
        return "bmp"
    # 188-byte packets, or 192-byte ones with a four-byte time code in front (Blu-ray, camcorders).
    if _is_transport_stream(head, 0, 188) or _is_transport_stream(head, 4, 192):
        return "mpegts"
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 in (0xE2, 0xE4, 0xE6) and head[2] >> 4 != 0xF:
        return "mp3"
    return None


def _iso_kind(head: bytes) -> str:
    """What the brands of ISO/IEC 14496-12 say; ``mif1`` is any picture, the brands beside it say which."""
    size = int.from_bytes(head[:4], "big")
    major = head[8:12]
    if major in _AVIF_BRANDS or (major == b"mif1" and b"avif" in head[16:size]):
        return "avif"
    if major in _HEIF_BRANDS:
        return "heif"
    return "mov" if major == b"qt  " else "mp4"


def is_picture(container: str | None, duration_s: float | None) -> bool:
    """Whether a file is a single picture, by its container and its duration (None where it has none)."""
    return container in PICTURE_KINDS | {"gif"} and duration_s is None


def _is_transport_stream(head: bytes, first: int, packet: int) -> bool:
    marks = head[first::packet]
    return len(marks) >= 3 and all(mark == _TS_SYNC for mark in marks)

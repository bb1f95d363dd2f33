"""Writing a forged clip and its mask: one encode, labeled as what it is."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vidscan import __version__
from vidscan.errors import SetupError
from vidscan.forge.clip import ClipForger, Plan
from vidscan.media import VideoWriter, write_png
from vidscan.media.sniff import PathLike, display_name

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")


@dataclass(frozen=True, slots=True)
class ForgedFile:
    """What was written.

    Attributes
    ----------
    output, mask
        The forged clip or picture, and its mask.
    kind, seed
        How it was forged.
    frames
        Frames in the clip.
    forged_frames
        Those of them that were changed.
    faces
        Tracks that were forged.
    sound
        Whether the sound of the clip went along; None where it has none.
    """

    output: str
    mask: str
    kind: str
    seed: int
    frames: int
    forged_frames: int
    faces: int
    sound: bool | None


def mask_path(output: Path) -> Path:
    """Where a forgery's mask goes: ``fake.mp4`` has ``fake-mask.mkv``, ``fake.png`` ``fake-mask.png``."""
    return output.with_name(f"{output.stem}-mask{'.png' if output.suffix.lower() == '.png' else '.mkv'}")


def write_forgery(
    forger: ClipForger, clip: PathLike, plan: Plan, output: Path, mask: Path, *, crf: float = 18
) -> ForgedFile:
    """Forge a clip or picture into ``output`` and its mask into ``mask``.

    A clip becomes H.264 (yuv420p, its frames' times, upright, with the sound where the container can
    hold it), its mask lossless FFV1 in gray; a picture becomes a PNG, and so does its mask. Both carry a
    comment that says that they are forged, how, and by what. They appear when they are complete.

    Parameters
    ----------
    forger
        Made for ``clip`` and ``plan``.
    crf
        Quality of the encode, 0 (best) to 51.

    Raises
    ------
    SetupError
        A suffix that does not go with the input, or a file that cannot be encoded.
    InputError
        The clip broke off.
    OSError
        A file cannot be written.
    """
    kind, seed = plan.kind.value, plan.seed
    note = f"forged by vidscan {__version__} ({kind}, seed {seed})"
    if forger.is_picture:
        _want(output, (".png",), "a picture")
        _want(mask, (".png",), "the mask of a picture")
        (frame,) = forger.frames()
        write_png(mask, frame.mask, comment=f"mask of a picture {note}")
        write_png(output, frame.image, comment=note)
        return ForgedFile(os.fspath(output), os.fspath(mask), kind, seed, 1, 1, forger.faces, None)
    _want(output, VIDEO_SUFFIXES, "a clip")
    _want(mask, (".mkv",), "the mask of a clip")
    info, count, changed = forger.info, 0, 0
    tags = {"title": f"forged by vidscan ({kind}, seed {seed})", "comment": note}
    with ExitStack() as stack:
        size = (info.width, info.height)
        fps = info.fps or 25.0
        film = stack.enter_context(VideoWriter(output, *size, fps=fps, crf=crf, metadata=tags, sound_of=clip))
        marks = stack.enter_context(
            VideoWriter(
                mask,
                *size,
                fps=fps,
                codec="ffv1",
                pix_fmt="gray",
                metadata={"title": f"mask of a clip {note}"},
            )
        )
        for frame in forger.frames():
            film.write(frame.image, frame.time_s)
            marks.write(frame.mask, frame.time_s)
            count += 1
            changed += bool(frame.mask.any())
        sound = film.has_sound if info.has_audio else None
    return ForgedFile(os.fspath(output), os.fspath(mask), kind, seed, count, changed, forger.faces, sound)


def _want(path: Path, suffixes: tuple[str, ...], what: str) -> None:
    if path.suffix.lower() not in suffixes:
        raise SetupError(f"{display_name(path)}: {what} is written as {', '.join(suffixes)}")

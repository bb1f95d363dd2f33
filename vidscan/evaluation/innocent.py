"""False alarms on genuine clips that were edited as people edit clips every day.

Every clip gets one of :data:`vidscan.forge.innocent.EDITS`, by a hash of its name, with one draw for all
of its frames. Make-up goes on the largest face; another background leaves that face alone; the other
edits change the whole frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidscan.digests import hashed
from vidscan.evaluation.scanning import Scanning, Scored, scan_derived
from vidscan.evaluation.statistics import Rate, rate
from vidscan.evaluation.tables import FALSE_ALARMS, doubts, flags
from vidscan.faces.align import CropSpec, apply_affine, crop_transform, invert_affine
from vidscan.faces.detect import load_detector
from vidscan.forge.base import Faces
from vidscan.forge.innocent import EDITS, edit
from vidscan.forge.template import fitted_landmarks
from vidscan.forge.tracks import TrackPath, find_tracks, largest
from vidscan.media import open_video
from vidscan.training.derive import derive_all, derived_name, rewrite

_CRF = 18
_ON_THE_FACE = ("make_up",)
_NEEDS_A_FACE = ("make_up", "background")
_FACE = CropSpec(size=256, margin=1.6)
"""Where the average face's landmarks are stretched onto the detector's five points."""
_REACH = 1.4
"""Side of the square that make-up is applied in, as a multiple of the extent of the landmarks."""


@dataclass(frozen=True, slots=True)
class Edited:
    """One clip to be edited."""

    source: Path
    target: Path
    kind: str


def draw_edit(file: str) -> str:
    """The edit that a clip gets: always the same for one name."""
    return EDITS[hashed(f"innocent:{file}") % len(EDITS)]


def apply_edit(task: Edited) -> None:
    """Write the edited clip; one without a face gets no make-up and no background, and is only encoded."""
    seed = hashed(task.target.name) % 2**62
    path: TrackPath | None = None
    if task.kind in _NEEDS_A_FACE:
        with open_video(task.source) as video:
            tracks = find_tracks(video, load_detector())
        if not tracks:
            rewrite(task.source, task.target, lambda image, _: image, crf=_CRF)
            return
        path = tracks[largest(tracks)].smoothed()

    def change(image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        return edit_frame(image, task.kind, seed, None if path is None else landmarks(path, index))

    rewrite(task.source, task.target, change, crf=_CRF)


def landmarks(path: TrackPath, index: int) -> NDArray[np.float32]:
    """(478, 2) frame pixels of the face in frame ``index``, or in the nearest frame that shows it."""
    nearest = int(np.abs(path.frames - index).argmin())
    to_crop = crop_transform(path.points[nearest][None], _FACE, path.boxes[nearest][None])[0]
    fitted = fitted_landmarks(apply_affine(to_crop, path.points[nearest]), _FACE)
    return apply_affine(invert_affine(to_crop), fitted).astype(np.float32)


def edit_frame(
    image: NDArray[np.uint8], kind: str, seed: int, points: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """One frame, (H, W, 3) RGB uint8, edited with the draw of ``seed``.

    ``points`` (478, 2) frame pixels are needed by ``make_up`` and ``background``.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = image.shape[:2]
    if kind in _ON_THE_FACE:
        assert points is not None
        low, high = points.min(0), points.max(0)
        side = int(np.ceil(_REACH * float((high - low).max())))
        left, top = np.floor((low + high - side) / 2).astype(int).tolist()
    else:
        # The edits know squares only: the frame is one corner of the square, its border mirrored.
        side, left, top = max(height, width), 0, 0
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 <= x0 or y1 <= y0:
        return image
    room = (y0 - top, top + side - y1, x0 - left, left + side - x1)
    square = cv2.copyMakeBorder(image[y0:y1, x0:x1], *room, cv2.BORDER_REFLECT)
    mesh = np.zeros((478, 2), np.float32) if points is None else points - np.array([left, top], np.float32)
    faces = Faces(torch.from_numpy(square).permute(2, 0, 1)[None].float(), torch.from_numpy(mesh)[None])
    with torch.no_grad():
        done = edit(faces, kind, generator)[0].round().to(torch.uint8).permute(1, 2, 0).numpy()
    out = image.copy()
    out[y0:y1, x0:x1] = done[y0 - top : y1 - top, x0 - left : x1 - left]
    return out


def innocent(
    corpus: Path,
    scored: Sequence[Scored],
    out: Path,
    how: Scanning,
    stage: Callable[[str, int], Callable[[], None]],
) -> tuple[Rate, ...]:
    """Edit, scan and count; edited clips go to ``out/derived/innocent``.

    ``stage`` is called with what comes next and of how many files; it returns what to call after each.
    """
    genuine = [s for s in scored if s.entry.genuine]
    folder = out / "derived" / "innocent"
    tasks = []
    for clip in genuine:
        source, kind = corpus / clip.entry.file, draw_edit(clip.entry.file)
        tasks.append(Edited(source, folder / derived_name(source, kind), kind))
    advance = stage("editing clips", len(tasks))
    failures = derive_all(apply_edit, tasks, jobs=how.jobs, advance=advance)
    outcomes = scan_derived(
        [task.target for task in tasks],
        failures,
        out / "innocent.jsonl",
        how,
        stage("scanning edited clips", len(tasks)),
    )
    edited = [
        (task.kind, Scored.of(clip.entry, outcomes[task.target]))
        for task, clip in zip(tasks, genuine, strict=True)
    ]
    return tabulate(genuine, edited)


def tabulate(genuine: Sequence[Scored], edited: Sequence[tuple[str, Scored]]) -> tuple[Rate, ...]:
    """Rates of ``manipulated``: unedited, edited, by edit; then of ``manipulated or uncertain``, edited."""
    clips = [clip for _, clip in edited]
    kinds = [
        rate(kind.replace("_", " "), flags([clip for own, clip in edited if own == kind]))
        for kind in EDITS
        if any(own == kind for own, _ in edited)
    ]
    return (
        rate(f"{FALSE_ALARMS}, unedited", flags(genuine)),
        rate(f"{FALSE_ALARMS}, edited", flags(clips)),
        *kinds,
        rate("genuine clips labeled manipulated or uncertain, edited", doubts(clips)),
    )

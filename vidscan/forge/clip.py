"""Forged clips and pictures: the faces are found in a first pass over the clip, forged in a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

import vidscan.forge.autogan
import vidscan.forge.held_out
import vidscan.forge.self_blend
import vidscan.forge.swap
import vidscan.forge.warp
import vidscan.forge.whole  # noqa: F401  (importing a forgery registers it)
from vidscan.errors import NoFaceError, SetupError
from vidscan.faces.detect import Detector, load_detector
from vidscan.faces.geometry import CropSpec, crop_transform
from vidscan.forge.base import FORGERIES, Forgery
from vidscan.forge.kinds import KINDS, Kind
from vidscan.forge.mouth import mouth_shift
from vidscan.forge.moving import Companion, FrameForger, Labeller, Past, TrackForger, crop_spec, cut_face
from vidscan.forge.renderers import shipped_renderer
from vidscan.forge.rerender import DecodedSwap, Rerender
from vidscan.forge.tracks import TrackPath, find_tracks, largest
from vidscan.media import open_video
from vidscan.media.sniff import PathLike, display_name, is_picture
from vidscan.types import Detection, VideoInfo

_DONOR_SECONDS = 10.0
"""How far into a donor clip a face is looked for."""
_MOUTH_DELAY_S = (0.3, 0.8)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be forged.

    Attributes
    ----------
    kind
        The forgery.
    seed
        Of everything that is drawn; at least 0.
    donor
        A clip or picture of the person whose face a swap pastes.
    start_s, end_s
        Frames from ``start_s`` up to, not including, ``end_s`` are forged.
    track
        Id of the face as reports number them, ``largest`` or ``all``.
    """

    kind: Kind
    seed: int = 0
    donor: PathLike | None = None
    start_s: float = 0.0
    end_s: float = math.inf
    track: int | Literal["largest", "all"] = "largest"


@dataclass(frozen=True, slots=True)
class ForgedFrame:
    """One frame of a forged clip.

    Attributes
    ----------
    time_s
        Presentation time in seconds.
    image
        (H, W, 3) RGB uint8; the genuine frame wherever ``mask`` is 0.
    mask
        (H, W) uint8; 255 times the share of each pixel that is forged.
    """

    time_s: float
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


class ClipForger:
    """Forges one clip or picture: making it looks for the faces, iterating :meth:`frames` forges.

    Both passes stream; what grows with the clip is 128 bytes for each face and frame. The same clip,
    plan and version give the same frames.

    Parameters
    ----------
    path
        A clip or picture.
    plan
        What is to be forged.
    device
        Where faces are found and forged.
    label
        Finds landmarks on aligned crops; without it an average face is stretched onto the detector's
        five points.
    max_duration_s
        The clip is read up to here; 0 reads it to its end.
    progress
        Called with the share done, 0..1, of both passes together.

    Attributes
    ----------
    info : VideoInfo
        What the container says of the clip.
    faces : int
        Tracks that are forged.

    Raises
    ------
    SetupError
        The plan lacks what its kind needs, or names a time or a track that is not there.
    NoFaceError
        No face in the clip or in the donor.
    InputError
        One of them cannot be read.
    """

    def __init__(
        self,
        path: PathLike,
        plan: Plan,
        *,
        device: str = "cpu",
        label: Labeller | None = None,
        max_duration_s: float = 0.0,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        about = KINDS[plan.kind]
        if about.donor != (plan.donor is not None):
            wants = "needs a donor, a picture or clip of another person" if about.donor else "takes no donor"
            raise SetupError(f"{plan.kind.value} {wants}")
        self._path, self._plan, self._max_duration_s = path, plan, max_duration_s
        self._progress = progress or (lambda share: None)
        where = torch.device(device)
        # Before the long first pass: missing weights should not cost minutes.
        forgery = _forgery(plan.kind, where)
        detector = load_detector(device=device)
        donor = None if plan.donor is None else _donor(plan.donor, detector)
        with open_video(path, max_duration_s=max_duration_s) as source:
            self.info: VideoInfo = source.info
            if self.is_picture and about.past:
                raise SetupError(f"{plan.kind.value} needs a clip, {display_name(path)} is a picture")
            found = find_tracks(source, detector, lambda share: self._progress(share / 2))
        tracks = _chosen(found, plan, display_name(path))
        self.faces = len(tracks)
        self._forgers: list[TrackForger | FrameForger] = []
        if about.whole_frame:
            frames = reduce(np.union1d, [track.frames for track in tracks.values()])
            self._forgers.append(FrameForger(frames, forgery, plan.seed, where))
            return
        for track_id, found_track in tracks.items():
            # Smoothed first: the donor's crop has to be of the same size as the face's.
            track = found_track.smoothed()
            seed = int(np.random.SeedSequence([plan.seed, track_id]).generate_state(1)[0])
            companion: Companion | None = None
            if donor is not None:
                companion = donor.companion(crop_spec(track), where, label)
            elif about.past:
                companion = Past(_delay(track, plan, seed))
            self._forgers.append(TrackForger(track, forgery, seed, where, companion, label))

    @property
    def is_picture(self) -> bool:
        """Whether the input is a single picture."""
        return is_picture(self.info.container, self.info.duration_s)

    def frames(self) -> Iterator[ForgedFrame]:
        """Every frame of the clip, forged or not, in order. To be iterated once."""
        plan = self._plan
        with open_video(self._path, max_duration_s=self._max_duration_s) as source:
            for chunk in source:
                for offset, (image, time_s) in enumerate(
                    zip(chunk.images, chunk.times.tolist(), strict=True)
                ):
                    active = plan.start_s <= time_s < plan.end_s
                    clear = np.full(image.shape[:2], 255, np.uint8)
                    for forger in self._forgers:
                        layer = forger.forge(image, chunk.first_index + offset, time_s, active)
                        if layer is not None:
                            image = layer.image
                            # Two faces that overlap: what neither has covered is still genuine.
                            clear = np.rint(clear * ((255 - layer.mask) / 255)).astype(np.uint8)
                    yield ForgedFrame(time_s, image, 255 - clear)
                if self.info.duration_s:
                    self._progress(min(1.0, 0.5 + 0.5 * time_s / self.info.duration_s))


@dataclass(frozen=True, slots=True)
class _Donor:
    """The frame of a donor that shows the face best."""

    image: NDArray[np.uint8]
    face: Detection

    def companion(self, spec: CropSpec, device: torch.device, label: Labeller | None) -> Companion:
        points = self.face.points.astype(np.float64)
        to_crop = crop_transform(points[None], spec, self.face.box[None])[0]
        face = cut_face(self.image, points, to_crop, spec, device, label)
        return lambda present, time_s: face


def _donor(path: PathLike, detector: Detector) -> _Donor:
    """The largest face of a picture, or of one frame in each chunk of a clip's first seconds."""
    best, side = None, 0.0
    with open_video(path, max_duration_s=_DONOR_SECONDS) as source:
        for chunk in source:
            for face in detector.detect(chunk.image(0)[None])[0][:1]:
                size = float(np.prod(face.box[2:] - face.box[:2]))
                if size > side:
                    best, side = _Donor(chunk.image(0).copy(), face), size
    if best is None:
        raise NoFaceError(f"{display_name(path)}: no face found in the donor")
    return best


def _forgery(kind: Kind, device: torch.device) -> Forgery:
    """Raises WeightsError where the shipped renderer is needed and missing."""
    if KINDS[kind].renderer:
        made = DecodedSwap if kind is Kind.decoded_swap else Rerender
        return made([shipped_renderer(device)])
    return mouth_shift if kind is Kind.mouth_shift else FORGERIES[kind.value]


def _chosen(found: dict[int, TrackPath], plan: Plan, name: str) -> dict[int, TrackPath]:
    """The tracks that the plan wants forged, and that are there when it wants it."""
    if not found:
        raise NoFaceError(f"{name}: no face found")
    if plan.track == "largest":
        track_id = largest(found)
        chosen = {track_id: found[track_id]}
    elif plan.track == "all":
        chosen = found
    elif plan.track in found:
        chosen = {plan.track: found[plan.track]}
    else:
        raise SetupError(f"{name}: no track {plan.track}, there are {', '.join(map(str, sorted(found)))}")
    seen = np.concatenate([track.times for track in chosen.values()])
    if not ((seen >= plan.start_s) & (seen < plan.end_s)).any():
        until = "on" if math.isinf(plan.end_s) else f"to {plan.end_s:g} s"
        raise SetupError(
            f"{name}: the face is not seen from {plan.start_s:g} s {until}, "
            f"but from {seen.min():.2f} to {seen.max():.2f} s"
        )
    return chosen


def _delay(track: TrackPath, plan: Plan, seed: int) -> float:
    """Seconds by which a mouth is late: at most half of the time before the last forged frame."""
    last = float(track.times[track.times < plan.end_s].max(initial=track.times[0]))
    drawn = float(np.random.default_rng((seed, 1)).uniform(*_MOUTH_DELAY_S))
    return min(drawn, (last - float(track.times[0])) / 2)

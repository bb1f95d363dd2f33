"""Who is who from frame to frame: detections joined into tracks, and followed in between."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vidscan.faces.detect import Detector
from vidscan.faces.flow import Look, SmallFrame, follow
from vidscan.faces.shots import Change, CutDetector
from vidscan.types import Detection, Face, FrameChunk

_MEMORY_S = 1.0
"""A face out of sight for longer starts a new track when it returns."""
_START_CONFIDENCE = 0.98
"""A surer detection starts a track at once; a weaker one needs a second detection to confirm it."""
_ALIKE = 0.6
"""Likeness from which a face counts as the same person where its place does not prove it."""
_NOT_ANOTHER = 0.35
"""Likeness that a face at the expected place must have; low, for expressions and pose change it."""
_STEADY = 0.8
"""Likeness from one frame to the next that only a face that is still itself has."""
_SAME_PLACE = 0.3
"""Intersection over union from which a detection is at the place a track expects it."""
_CORRECTION = 0.5
"""Share of the distance between followed and detected points that is made up for. The detector
trembles more from frame to frame than the flow drifts."""
_JUMP = 0.12
"""Distance, as a share of the face, from which following has failed and the detection is taken."""
_SEARCHES = (1, 2, 4, 8, 12)
"""Followed frames after a face was lost in which it is looked for besides the scheduled detections: a
flash or a hand takes a few frames to pass."""
_MISSES = 2
"""Scheduled detections that may miss a face in a row while following still holds it."""
_DOUBT = 8
"""Frames to the next detection where the last one missed a face that is followed, or found a weak one."""
_SPREAD = 8
"""Frames over which a correction is spread, at most."""


@dataclass(slots=True)
class _Track:
    points: NDArray[np.float64]
    box: NDArray[np.float64]
    confidence: float
    look: Look
    """What the face has looked like for a while."""
    latest: Look
    """What it looked like when last seen: turns with the head, but knows nothing of the person."""
    seen_s: float
    confirmed: bool
    track_id: int | None = None
    visible: bool = True
    detected: bool = True
    misses: int = 0
    hidden: int = 0
    """Frames since the face went out of sight."""
    pending: NDArray[np.float64] = field(default_factory=lambda: np.zeros((7, 2)))
    """Correction still to be spread over the next frames: five points, two box corners."""
    pending_frames: int = 0

    @property
    def side(self) -> float:
        return _side(self.box)

    def move(self, transform: NDArray[np.float64]) -> None:
        self.points = self.points @ transform[:, :2].T + transform[:, 2]
        half = (self.box[2:] - self.box[:2]) / 2 * np.hypot(transform[0, 0], transform[1, 0])
        centre = transform[:, :2] @ ((self.box[:2] + self.box[2:]) / 2) + transform[:, 2]
        self.box = np.concatenate([centre - half, centre + half])
        if self.pending_frames:
            step = self.pending / self.pending_frames
            self.points = self.points + step[:5]
            self.box = self.box + step[5:].ravel()
            self.pending = self.pending - step
            self.pending_frames -= 1

    def take(self, detection: Detection, look: Look, spread: int) -> None:
        """Corrects towards a detection: over the next ``spread`` frames, or at once after a jump."""
        points, box = detection.points.astype(np.float64), detection.box.astype(np.float64)
        error = points - self.points
        if not self.visible or np.abs(error.mean(axis=0)).max() > _JUMP * self.side or spread < 1:
            self.points, self.box = points, box
            self.pending_frames = 0
        else:
            self.pending = _CORRECTION * np.concatenate([error, (box - self.box).reshape(2, 2)])
            self.pending_frames = spread
        self.look = self.look.blended(look, 0.3) if self.visible else look
        self.latest = look
        self.confidence = detection.confidence
        self.confirmed = self.visible = self.detected = True
        self.misses = self.hidden = 0


@dataclass(slots=True)
class _Waiting:
    """A frame that is passed over, unless it turns out to be needed."""

    index: int
    time_s: float
    chunk: FrameChunk
    row: int

    @property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB uint8."""
        return self.chunk.image(self.row)

    def alone(self) -> _Waiting:
        """The same frame without the rest of its chunk."""
        return _Waiting(self.index, self.time_s, self.chunk.part(self.row, self.row + 1), 0)


class FaceTracker:
    """Follows every face through a clip, chunk by chunk.

    Faces are detected once in ``detect_every`` frames, after a cut, and where one was lost or is in doubt;
    in between they are followed by optical flow at a fraction of the cost, and looked at once more where they
    are, halfway; in a new shot the first of these looks is at the whole frame, as all are while nobody is
    followed. Detections correct the followed points gradually, over the frames that come, because crops
    that tremble look manipulated. A track never spans a cut, nor two people: where the place alone does not
    tell who it is, the look of the face decides. Frames have to come in order. The result does not depend on
    how a clip is cut into chunks.

    Parameters
    ----------
    detector
        Finds the faces.
    detect_every
        Frames from one full detection to the next.
    max_faces
        Faces followed at once; where there are more the largest win.
    stride
        Only frames whose index is a multiple of it are followed. Where the picture changes too much from
        one to the next, the frames in between are followed too.

    Attributes
    ----------
    left_out
        How many faces were found at once, at most, beside those that were followed.
    """

    def __init__(
        self, detector: Detector, *, detect_every: int = 8, max_faces: int = 8, stride: int = 1
    ) -> None:
        if min(detect_every, max_faces, stride) < 1:
            raise ValueError("detect_every, max_faces and stride must be at least 1")
        self.detector = detector
        self.detect_every = detect_every
        self.max_faces = max_faces
        self.stride = stride
        self._spread = min(detect_every, _SPREAD) // stride - 1
        self._tracks: list[_Track] = []
        self._cuts = CutDetector()
        self._before: SmallFrame | None = None
        self._last_s = 0.0
        self._next_detection = self._next_check = 0
        self._looked = False
        """Whether this shot was looked at as a whole more than once."""
        self._waiting: list[_Waiting] = []
        self._ids = 0
        self.left_out = 0

    @property
    def track_count(self) -> int:
        """Tracks so far; their ids run from 0 in the order in which they appeared."""
        return self._ids

    def update(self, chunk: FrameChunk) -> list[Face]:
        """Every face in the followed frames of the next chunk, by frame and then by track.

        Boxes and points are full-frame pixels. A single picture gives its detections; in a clip
        a weak detection is only reported once a second one has confirmed it. Where frames were passed
        over at the end of the last chunk and turn out to be needed, their faces come with this one's.
        """
        single = len(chunk.times) == 1 and self._before is None
        faces: list[Face] = []
        for row, time_s in enumerate(chunk.times.tolist()):
            now = _Waiting(chunk.first_index + row, time_s, chunk, row)
            if now.index % self.stride:
                self._waiting.append(now)
                continue
            small, cuts = SmallFrame.of(now.image), copy(self._cuts)
            change = cuts.update(small.rgb)
            moves = self._moves(small)
            if self._waiting and (change != "none" or any(move is None for move in moves)):
                for passed in self._waiting:
                    faces += self._step(passed, SmallFrame.of(passed.image))
                faces += self._step(now, small)
            else:
                self._cuts = cuts
                faces += self._advance(now, small, change, moves, single)
            self._waiting.clear()
        # Chunks are large: only what is waiting may outlive this one.
        self._waiting = [waiting.alone() for waiting in self._waiting]
        return faces

    def _step(self, now: _Waiting, small: SmallFrame) -> list[Face]:
        """Goes on by one frame."""
        return self._advance(now, small, self._cuts.update(small.rgb), self._moves(small))

    def _moves(self, small: SmallFrame) -> list[NDArray[np.float64] | None]:
        """How every visible track goes on from the last followed frame to this one."""
        before = self._before
        if before is None or before.grey.shape != small.grey.shape:
            return []
        return follow(before, small, [t.points for t in self._tracks if t.visible])

    def _advance(
        self,
        now: _Waiting,
        small: SmallFrame,
        change: Change,
        moves: list[NDArray[np.float64] | None],
        single: bool = False,
    ) -> list[Face]:
        time_s = now.time_s
        if change == "cut" or not self._continues(small, time_s):
            self._tracks, self._looked = [], False
        lost = self._follow(small, moves, trusting=change == "none")
        scheduled = now.index >= self._next_detection or change != "none"
        if not (scheduled or lost) and now.index >= self._next_check:
            scheduled = not self._check(now, small)
        if scheduled or lost:
            found = self.detector.detect(now.image[None])[0]
            self._associate(found, small, time_s, scheduled=scheduled, single=single)
        if scheduled:
            doubtful = any(t.visible and (t.misses or not t.confirmed) for t in self._tracks)
            wait = min(self.detect_every, _DOUBT) if doubtful else self.detect_every
            self._next_detection = self._next_check = now.index + wait
            if not doubtful:
                self._next_check -= self.detect_every // 2
            if not self._looked:  # whoever the first look missed is found by a second one soon
                self._next_detection, self._looked = self._next_check, True
        for track in self._tracks:
            if track.visible:
                track.seen_s = time_s
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= _MEMORY_S]
        self._before, self._last_s = small, time_s
        return self._report(now.index, time_s)

    def _check(self, now: _Waiting, small: SmallFrame) -> bool:
        """Corrects the visible tracks by a look at where they are; False where one is missing, or all are."""
        held = [t for t in self._tracks if t.visible]
        if not held or not all(t.confirmed for t in held):
            return False
        found = self.detector.detect(now.image[None], np.stack([t.box for t in held]))[0]
        looks = [Look.of(small, d.points) for d in found]
        pairs = self._match(found, looks, now.time_s)
        if len(pairs) < len(held) or any(not self._tracks[row].visible for row, _ in pairs):
            return False
        for row, column in pairs:
            self._tracks[row].take(found[column], looks[column], self._spread)
        self._next_check = self._next_detection
        return True

    def _continues(self, frame: SmallFrame, time_s: float) -> bool:
        before = self._before
        return before is None or (
            before.grey.shape == frame.grey.shape and time_s - self._last_s <= _MEMORY_S
        )

    def _follow(self, frame: SmallFrame, moves: list[NDArray[np.float64] | None], *, trusting: bool) -> bool:
        """Moves all visible tracks on to this frame; True where a detection should look for one."""
        visible = [t for t in self._tracks if t.visible]
        lost = False
        for track in self._tracks:
            if not track.visible:
                track.hidden += 1
                lost |= track.confirmed and track.hidden in _SEARCHES
        for track in visible:
            track.detected = False
        if not visible or self._before is None:
            return lost
        height, width = frame.grey.shape
        for track, move in zip(visible, moves, strict=True):
            # After a doubtful change only a detection that looks alike may carry a track on.
            if move is not None and trusting:
                track.move(move)
                centre = frame.from_full((track.box[:2] + track.box[2:]) / 2)
                look = Look.of(frame, track.points)
                likeness, alone = track.look.likeness(look), self._alone(track)
                alike = likeness >= _ALIKE or (alone and track.latest.likeness(look) >= _STEADY)
                if alike and 0 <= centre[0] < width and 0 <= centre[1] < height:
                    track.latest = look
                    # Behind another face the look must not turn into that face's.
                    if alone or likeness >= _STEADY:
                        track.look = track.look.blended(look, 0.1)
                    continue
            track.visible = False
            lost = True
        return lost

    def _associate(
        self, found: list[Detection], frame: SmallFrame, time_s: float, *, scheduled: bool, single: bool
    ) -> None:
        """Gives detections to tracks, hides tracks that lost their face, starts new ones."""
        looks = [Look.of(frame, d.points) for d in found]
        pairs = self._match(found, looks, time_s)
        held = [t for t in self._tracks if t.visible]
        for row, column in pairs:
            self._tracks[row].take(found[column], looks[column], self._spread)
        matched = {id(self._tracks[row]) for row, _ in pairs}
        for track in held:
            if id(track) in matched:
                continue
            track.misses += scheduled
            covered = any(_overlap(track.box, d.box) > 0.4 for d in found)
            if covered or track.misses > _MISSES or not track.confirmed:
                track.visible = False
        taken = {column for _, column in pairs}
        fresh = [column for column in range(len(found)) if column not in taken]
        started = [self._start(found[column], looks[column], time_s, single) for column in fresh]
        self.left_out = max(self.left_out, started.count(False))

    def _match(self, found: list[Detection], looks: list[Look], time_s: float) -> list[tuple[int, int]]:
        """Pairs (track, detection) of least total cost among those that are possible."""
        if not found or not self._tracks:
            return []
        impossible = 1e3
        cost = np.full((len(self._tracks), len(found)), impossible)
        for row, track in enumerate(self._tracks):
            alone = self._alone(track)
            for column, (detection, look) in enumerate(zip(found, looks, strict=True)):
                likeness = track.look.likeness(look)
                if alone:
                    likeness = max(likeness, track.latest.likeness(look))
                if track.visible:
                    overlap = _overlap(track.box, detection.box)
                    possible = overlap >= _SAME_PLACE and likeness >= _NOT_ANOTHER
                    distance = 1 - overlap
                else:
                    size = _side(detection.box)
                    apart = (detection.box[:2] + detection.box[2:] - track.box[:2] - track.box[2:]) / 2
                    distance = float(np.hypot(*apart)) / track.side
                    reach = 1.0 + 4.0 * (time_s - track.seen_s)
                    possible = likeness >= _ALIKE and distance <= reach and 0.5 < size / track.side < 2
                if possible:
                    cost[row, column] = distance + 2.0 * (1 - likeness)
        free = cost < impossible
        if free.sum(axis=0).max() <= 1 and free.sum(axis=1).max() <= 1:
            return [(int(r), int(c)) for r, c in np.argwhere(free)]
        # Faces near each other are rare, and scipy takes a second to import.
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(cost)
        return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < impossible]

    def _alone(self, track: _Track) -> bool:
        """True where no other face, not even one just lost, is near enough to be taken for it."""
        return all(_overlap(track.box, t.box) < 0.05 for t in self._tracks if t is not track)

    def _start(self, detection: Detection, look: Look, time_s: float, single: bool) -> bool:
        """Whether no face had to be left out for it, or it for others."""
        track = _Track(
            points=detection.points.astype(np.float64),
            box=detection.box.astype(np.float64),
            confidence=detection.confidence,
            look=look,
            latest=look,
            seen_s=time_s,
            confirmed=single or detection.confidence >= _START_CONFIDENCE,
        )
        visible = [t for t in self._tracks if t.visible]
        full = len(visible) >= self.max_faces
        if full:
            smallest = min(visible, key=lambda t: t.side)
            # Twice the area: faces of like size must not push each other out in turns.
            if track.side < 1.4 * smallest.side:
                return False
            self._tracks.remove(smallest)
        self._tracks.append(track)
        return not full

    def _report(self, frame_index: int, time_s: float) -> list[Face]:
        faces = []
        for track in self._tracks:
            if not (track.visible and track.confirmed):
                continue
            if track.track_id is None:
                track.track_id = self._ids
                self._ids += 1
            faces.append(
                Face(
                    frame_index=frame_index,
                    time_s=time_s,
                    track_id=track.track_id,
                    box=track.box.astype(np.float32),
                    points=track.points.astype(np.float32),
                    confidence=track.confidence,
                    detected=track.detected,
                )
            )
        return sorted(faces, key=lambda face: face.track_id)


def _side(box: NDArray[np.floating]) -> float:
    """Side in pixels of the square as large as a box (4,), at least 1."""
    return max(float(np.prod(box[2:] - box[:2])), 1.0) ** 0.5


def _overlap(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Intersection over union of two boxes (4,)."""
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / union) if union > 0 else 0.0

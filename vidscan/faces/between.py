"""Faces of the frames that nobody looked at: between two that were followed, they move evenly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vidscan.types import Face, FrameChunk, FrameFaces


class Between:
    """Gives every frame its faces, one followed frame late.

    Parameters
    ----------
    stride
        That of the :class:`vidscan.faces.track.FaceTracker` whose faces these are.
    """

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self._before: tuple[Face, ...] = ()
        self._waiting: list[tuple[int, float]] = []
        self._known: dict[int, list[Face]] = {}

    def add(self, chunk: FrameChunk, faces: list[Face]) -> list[FrameFaces]:
        """The frames that are complete now, in order; ``faces`` is what the tracker made of the chunk."""
        for face in faces:
            self._known.setdefault(face.frame_index, []).append(face)
        done: list[FrameFaces] = []
        for index, time_s in enumerate(chunk.times.tolist(), chunk.first_index):
            if index % self._stride:
                self._waiting.append((index, time_s))
                continue
            after = tuple(self._known.pop(index, ()))
            done += [self._between(*frame, after) for frame in self._waiting]
            done.append(FrameFaces(index, time_s, after))
            self._waiting.clear()
            self._before = after
        return done

    def finish(self) -> list[FrameFaces]:
        """The last frames of the clip, after the last one that was followed: faces stay where they were."""
        done = []
        for index, time_s in self._waiting:
            faces = (replace(face, frame_index=index, time_s=time_s, detected=False) for face in self._before)
            done.append(FrameFaces(index, time_s, tuple(faces)))
        return done

    def _between(self, index: int, time_s: float, after: tuple[Face, ...]) -> FrameFaces:
        found = {face.track_id: face for face in self._known.pop(index, ())}
        later = {face.track_id: face for face in after}
        for face in self._before:
            end = later.get(face.track_id)
            if end is not None and face.track_id not in found:
                span = end.time_s - face.time_s
                share = np.float32((time_s - face.time_s) / span if span > 0 else 0.0)
                found[face.track_id] = replace(
                    face,
                    frame_index=index,
                    time_s=time_s,
                    box=face.box + share * (end.box - face.box),
                    points=face.points + share * (end.points - face.points),
                    detected=False,
                )
        return FrameFaces(index, time_s, tuple(found[track_id] for track_id in sorted(found)))

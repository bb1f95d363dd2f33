from __future__ import annotations

from pathlib import Path

import numpy as np

from samples.clips import make_clip
from vidscan.media import open_video
from vidscan.media.deferred import Converter, DeferredChunk


def test_frames_are_converted_once_and_only_where_somebody_looks(tmp_path: Path, monkeypatch) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), np.uint8)
    path = make_clip(tmp_path / "a.mp4", frames)
    with open_video(path) as source:
        whole = np.concatenate([chunk.images for chunk in source])
    asked = []
    convert = Converter.rgb
    monkeypatch.setattr(Converter, "rgb", lambda self, frame: asked.append(frame) or convert(self, frame))
    with open_video(path) as source:
        (chunk,) = list(source)
        assert isinstance(chunk, DeferredChunk) and not asked
        assert chunk.shape == (48, 64)
        for row in (2, 5, 2):
            np.testing.assert_array_equal(chunk.image(row), whole[row])
        assert len(asked) == 2
        part = chunk.part(4, 7)
        assert part.first_index == 4 and len(part.times) == 3
        np.testing.assert_array_equal(part.images, whole[4:7])
        told = chunk.quantiser(4)
        assert told is not None and told.shape == (3, 4)
        again = chunk.part(4, 5).quantiser(0)
        assert again is not None and np.array_equal(again, told) and np.array_equal(chunk.quantiser(4), told)
